#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finds what moves, and publishes boxes around it with the sequence number of their frame.

    write.py &                        publishes cam1
    detect.py &                       reads cam1, publishes cam1-moving
    read.py --key cam1-moving         {'seq': 41, 'boxes': [[287, 123, 90, 90]]}

The boxes are the metadata of the frames of a second channel, whose picture is the frame with the
boxes drawn in. Who has a frame of the first channel finds its boxes by `seq`. A detector that is
slower than the camera takes the newest frame each time and does not hold the camera up.
"""
import argparse
import sys

import cuframes
import cv2
import numpy as np

MOST_BOXES = 32  # metadata is 1024 bytes at most


def moving(before, now):
    """Boxes [x, y, width, height] of what differs, the largest first."""
    changed = cv2.threshold(cv2.absdiff(before, now), 25, 255, cv2.THRESH_BINARY)[1]
    changed = cv2.dilate(changed, np.ones((9, 9), np.uint8))
    found = cv2.connectedComponentsWithStats(changed)[2][1:]
    largest = found[np.argsort(-found[:, cv2.CC_STAT_AREA])][:MOST_BOXES]
    return largest[:, :4].tolist()


def publish(pub, frame, boxes):
    with pub.frame(pts=frame.pts, time=frame.time,
                   metadata={"seq": frame.seq, "boxes": boxes}) as buf:
        picture = frame.bgr(out=buf.numpy(0))  # straight into the slot
        for x, y, width, height in boxes:
            cv2.rectangle(picture, (x, y), (x + width, y + height), (0, 255, 0), 2)


def detect(key, to, timeout):
    before = None
    with cuframes.open(key, timeout=timeout) as frames, \
            cuframes.Publisher(to, frames.info.width, frames.info.height, "bgr") as pub:
        for frame in frames:
            gray = frame.gray()
            if before is None or before.shape != gray.shape:
                before = gray
            if frame.size != (pub.info.width, pub.info.height):
                pub.reconfigure(*frame.size, "bgr")  # its readers follow
            publish(pub, frame, moving(before, gray))
            before = gray


def main():
    parser = argparse.ArgumentParser(description="Finds what moves in a channel.")
    parser.add_argument("--key", default="cam1", help="channel to read (cam1)")
    parser.add_argument("--to", help="channel to publish (KEY-moving)")
    parser.add_argument("--timeout", type=float, help="seconds to wait for a frame (for ever)")
    wishes = parser.parse_args()
    try:
        detect(wishes.key, wishes.to or f"{wishes.key}-moving", wishes.timeout)
    except cuframes.CuframesError as error:
        sys.exit(f"detect: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
