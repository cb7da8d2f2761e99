#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Publishes pictures that PyTorch makes, in GPU memory; read_gpu.py reads them there.

    write_gpu.py                 a generated picture, which moves

Each picture is drawn into a slot of the channel by the GPU and never leaves it. A container needs
the GPU and the folder of the channel's socket:

    docker run --gpus all -v /run/cuframes:/run/cuframes IMAGE python3 read_gpu.py
"""
import argparse
import itertools
import sys
import time

import cuframes

try:
    import torch
except ImportError:
    sys.exit("write_gpu: this example needs PyTorch; write.py does the same in host memory")


def draw(picture, i):
    """A white square on blue. All of it is work of the GPU: nothing here waits."""
    height, width, _ = picture.shape
    side = height // 8
    x, y = 7 * i % (width - side), 3 * i % (height - side)
    picture[...] = torch.tensor([0, 0, 120, 255], dtype=torch.uint8, device=picture.device)
    picture[y:y + side, x:x + side] = 255


def publish(wishes):
    width, height = map(int, wishes.size.split("x"))
    with cuframes.Publisher(wishes.key, width, height, "rgba", fps=wishes.fps,
                            device=wishes.device) as pub:
        print(f"{wishes.key}: {width}x{height} on {wishes.device}; Ctrl-C ends it", flush=True)
        due = time.monotonic()
        for i in itertools.count():
            if i == wishes.count:
                return
            with pub.frame(time=True) as buf:
                draw(torch.from_dlpack(buf), i)
            # Announced when the GPU has drawn it; this program did not wait for that.
            due += 1 / wishes.fps
            time.sleep(max(0, due - time.monotonic()))


def main():
    parser = argparse.ArgumentParser(description="Publishes pictures in GPU memory.")
    parser.add_argument("--key", default="gpu1", help="name of the channel (gpu1)")
    parser.add_argument("--device", default="cuda:0", help="the GPU (cuda:0)")
    parser.add_argument("--size", default="1280x720", help="of the pictures (1280x720)")
    parser.add_argument("--fps", type=float, default=30)
    parser.add_argument("--count", type=int, help="end after so many pictures")
    wishes = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("write_gpu: PyTorch finds no GPU here; write.py does the same in host memory")
    try:
        publish(wishes)
    except cuframes.CuframesError as error:
        sys.exit(f"write_gpu: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
