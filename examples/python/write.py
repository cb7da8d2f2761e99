#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Publishes a camera, a video file, a picture or a generated one; read.py reads it.

    write.py                        a generated picture, which moves
    write.py --source 0             the first camera, through OpenCV
    write.py --source street.mp4    a file, again and again
    write.py --source photo.jpg

Readers come and go while it runs, any number of them. A reader in a container needs the folder of
the channel's socket and nothing else:

    docker run -v /run/cuframes:/run/cuframes IMAGE python3 read.py
"""
import argparse
import itertools
import os
import sys
import time

import cuframes
import numpy as np

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def generated(width, height):
    """A white square that walks over a gradient."""
    ground = np.empty((height, width, 3), np.uint8)
    ground[...] = np.linspace(0, 120, width, dtype=np.uint8)[None, :, None]
    side = height // 8
    for i in itertools.count():
        picture = ground.copy()
        x, y = 7 * i % (width - side), 3 * i % (height - side)
        picture[y:y + side, x:x + side] = 255
        yield picture


def filmed(source):
    """A camera as long as it lives, a file again and again."""
    import cv2

    while True:
        capture = cv2.VideoCapture(source)
        worked, picture = capture.read()
        if not worked:
            sys.exit(f"write: OpenCV cannot read from {source}")
        while worked:
            yield picture
            worked, picture = capture.read()
        if isinstance(source, int):
            sys.exit(f"write: camera {source} gives no more pictures")


def opened(source, width, height):
    """Pictures as OpenCV has them: uint8, (height, width, 3), blue first."""
    if source is None:
        return generated(width, height)
    if source.isdigit():
        return filmed(int(source))
    if not os.path.exists(source):
        sys.exit(f"write: there is no file {source}")
    if not source.lower().endswith(PICTURES):
        return filmed(source)
    import cv2

    picture = cv2.imread(source)
    if picture is None:
        sys.exit(f"write: OpenCV cannot read {source}")
    return itertools.repeat(picture)


def publish(key, pictures, rate, count):
    """Sends pictures at a steady rate; a camera (rate 0) keeps its own."""
    pictures = itertools.islice(pictures, count)
    first = next(pictures)
    height, width = first.shape[:2]
    with cuframes.Publisher(key, width, height, "bgr", fps=rate) as pub:
        print(f"{key}: {width}x{height}; Ctrl-C ends it", flush=True)
        due = time.monotonic()
        for picture in itertools.chain([first], pictures):
            if picture.shape != (height, width, 3):
                height, width = picture.shape[:2]
                pub.reconfigure(width, height, "bgr", fps=rate)  # readers follow
            pub.send(picture, time=True)
            if rate:
                due += 1 / rate
                time.sleep(max(0, due - time.monotonic()))


def main():
    parser = argparse.ArgumentParser(description="Publishes pictures.")
    parser.add_argument("--key", default="cam1", help="name of the channel (cam1)")
    parser.add_argument("--source", help="number of a camera, or a file; else generated")
    parser.add_argument("--size", default="1280x720", help="of generated pictures (1280x720)")
    parser.add_argument("--fps", type=float, default=30, help="of all but cameras (30)")
    parser.add_argument("--count", type=int, help="end after so many pictures")
    wishes = parser.parse_args()
    width, height = map(int, wishes.size.split("x"))
    camera = wishes.source is not None and wishes.source.isdigit()
    try:
        publish(wishes.key, opened(wishes.source, width, height), 0 if camera else wishes.fps,
                wishes.count)
    except cuframes.CuframesError as error:
        sys.exit(f"write: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
