#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads what write_gpu.py publishes as PyTorch tensors, in place, on the GPU.

    read_gpu.py

Start as many as you like. The tensor is the writer's own memory, mapped read-only: clone() what
you want to change or keep.
"""
import argparse
import sys

import cuframes

try:
    import torch
except ImportError:
    sys.exit("read_gpu: this example needs PyTorch; read.py does the same in host memory")


def read(wishes):
    with cuframes.open(wishes.key, device=wishes.device, timeout=wishes.timeout) as frames:
        for count, frame in enumerate(frames, 1):
            picture = torch.from_dlpack(frame)  # uint8, (height, width, 4), on the GPU
            mean = picture[..., :3].mean(dtype=torch.float32)
            print(f"{frame.seq} {tuple(picture.shape)} on {picture.device} mean {mean.item():.1f} "
                  f"age {frame.age * 1e3:.2f} ms", flush=True)
            if count == wishes.count:
                return


def main():
    parser = argparse.ArgumentParser(description="Reads a channel on the GPU.")
    parser.add_argument("--key", default="gpu1", help="name of the channel (gpu1)")
    parser.add_argument("--device", default="cuda:0", help="the GPU (cuda:0)")
    parser.add_argument("--count", type=int, help="end after so many frames")
    parser.add_argument("--timeout", type=float, help="seconds to wait for a frame (for ever)")
    wishes = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("read_gpu: PyTorch finds no GPU here; read.py does the same in host memory")
    try:
        read(wishes)
    except cuframes.CuframesError as error:
        sys.exit(f"read_gpu: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
