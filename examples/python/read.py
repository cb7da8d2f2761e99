#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads what write.py publishes, in place. Start as many as you like, when you like.

    read.py                    prints a line for each frame
    read.py --show             a window, through OpenCV
    read.py --save now.png     one picture, then it ends

It waits for the writer, and goes on when that is started anew. In a container it needs the folder
of the channel's socket, and nothing else of the host:

    bwrap --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp --tmpfs /run --unshare-all \\
          --ro-bind /run/cuframes /run/cuframes python3 read.py
"""
import argparse
import sys

import cuframes


def describe(frame):
    # numpy() gives a read-only view of the writer's memory for each plane: nothing is copied.
    mean = frame.numpy(0)[::8, ::8].mean()
    line = f"{frame.seq} {frame.width}x{frame.height} mean {mean:.1f} age {frame.age * 1e3:.2f} ms"
    if frame.dropped:
        line += f" missed {frame.dropped}"
    if frame.metadata is not None:
        line += f" {frame.metadata}"
    print(line, flush=True)


def show(frame, title):
    import cv2

    cv2.imshow(title, frame.bgr())  # bgr(): your own array, to draw into
    return cv2.waitKey(1) != 27     # Esc


def read(wishes):
    with cuframes.open(wishes.key, mode=wishes.mode, timeout=wishes.timeout) as frames:
        for count, frame in enumerate(frames, 1):
            describe(frame)
            if wishes.save:
                frame.pil().save(wishes.save)
                return
            if wishes.show and not show(frame, wishes.key):
                return
            if count == wishes.count:
                return


def main():
    parser = argparse.ArgumentParser(description="Reads a channel.")
    parser.add_argument("--key", default="cam1", help="name of the channel (cam1)")
    parser.add_argument("--mode", choices=("newest", "order"), default="newest",
                        help="skip what came while you were busy, or take every frame")
    parser.add_argument("--count", type=int, help="end after so many frames")
    parser.add_argument("--timeout", type=float, help="seconds to wait for a frame (for ever)")
    parser.add_argument("--show", action="store_true", help="show it in a window")
    parser.add_argument("--save", metavar="FILE", help="save one picture and end")
    try:
        read(parser.parse_args())
    except cuframes.CuframesError as error:
        sys.exit(f"read: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
