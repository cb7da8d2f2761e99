#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the clips for the ingest's tests on a GPU, and says what a software decoder makes of them.

    make_clips.py FOLDER

Needs ffmpeg with encoders for H.264, HEVC, VP9, AV1 and MJPEG. FOLDER/clips.json tells of each clip
its codec, size and the md5 of every picture as NV12 or P010.
"""
import json
import os
import subprocess
import sys

SIZE = "640x360"
X265 = "log-level=none:pools=2"

# name: (encoder and its options, format of the pictures)
CLIPS = {
    "h264.mp4": ("libx264 -preset veryfast -pix_fmt yuv420p -bf 3 -refs 4 -g 25", "nv12"),
    "h264-low-delay.mkv": ("libx264 -preset veryfast -pix_fmt yuv420p -tune zerolatency", "nv12"),
    "h264-interlaced.mkv": ("libx264 -preset veryfast -pix_fmt yuv420p -flags +ildct+ilme "
                            "-x264-params tff=1", "nv12"),
    "hevc.mp4": (f"libx265 -preset veryfast -pix_fmt yuv420p -x265-params {X265} -tag:v hvc1", "nv12"),
    "hevc-10.mp4": (f"libx265 -preset veryfast -pix_fmt yuv420p10le -x265-params {X265} -tag:v hvc1",
                    "p010le"),
    "vp9.webm": ("libvpx-vp9 -b:v 600k -cpu-used 8 -deadline realtime -pix_fmt yuv420p", "nv12"),
    "vp9-10.webm": ("libvpx-vp9 -b:v 600k -cpu-used 8 -deadline realtime -profile:v 2 "
                    "-pix_fmt yuv420p10le", "p010le"),
    "av1.mkv": ("libaom-av1 -cpu-used 8 -usage realtime -b:v 600k -pix_fmt yuv420p", "nv12"),
    "av1-10.mkv": ("libaom-av1 -cpu-used 8 -usage realtime -b:v 600k -pix_fmt yuv420p10le", "p010le"),
    "mjpeg.avi": ("mjpeg -q:v 3 -pix_fmt yuvj420p", "nv12"),
}
# Decoders of this codec need not give the same bits.
NOT_EXACT = {"mjpeg.avi"}


def ffmpeg(*args):
    return subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *args], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout


def source(size, rate=25, seconds=2):
    return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]


def pictures(path, pix_fmt):
    text = ffmpeg("-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", pix_fmt, "-f",
                  "framemd5", "-")
    return [line.split(b",")[-1].strip().decode() for line in text.splitlines()
            if not line.startswith(b"#")]


def make_sizes(folder):
    """A stream whose pictures change their size; the md5 of every picture."""
    parts, md5 = [], []
    for number, size in enumerate((SIZE, "320x240", SIZE)):
        path = os.path.join(folder, f"part{number}.h264")
        ffmpeg(*source(size, seconds=1), "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt",
               "yuv420p", "-bf", "2", path)
        md5 += pictures(path, "nv12")
        parts.append(path)
    with open(os.path.join(folder, "sizes.h264"), "wb") as out:
        for path in parts:
            with open(path, "rb") as file:
                out.write(file.read())
            os.unlink(path)
    return md5


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    known = {}
    for name, (encoder, pix_fmt) in CLIPS.items():
        path = os.path.join(folder, name)
        ffmpeg(*source(SIZE), "-threads", "2", "-c:v", *encoder.split(), path)
        known[name] = {"format": pix_fmt, "exact": name not in NOT_EXACT,
                       "md5": pictures(path, pix_fmt)}
    known["sizes.h264"] = {"format": "nv12", "exact": True, "md5": make_sizes(folder)}
    # One damaged packet in twenty, then a clean second half.
    ffmpeg("-i", os.path.join(folder, "h264.mp4"), "-c", "copy", "-bsf:v", "noise=drop=0:amount=3000",
           os.path.join(folder, "damaged.mkv"))
    # A camera's picture, ten seconds of it; the rate is set where it is played.
    ffmpeg(*source("1920x1080", seconds=10), "-vf", "noise=alls=6:allf=t", "-threads", "2", "-c:v",
           "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "50", "-bf", "0", "-b:v",
           "3M", "-maxrate", "4M", "-bufsize", "4M", os.path.join(folder, "camera.h264"))
    with open(os.path.join(folder, "clips.json"), "w", encoding="utf-8") as file:
        json.dump(known, file, indent=1)


if __name__ == "__main__":
    main()
