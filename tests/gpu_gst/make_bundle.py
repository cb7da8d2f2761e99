#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
make_bundle.py BUILD DIRECTORY: GStreamer with its CUDA elements, the plug-in and the command of BUILD,
the tests of GPU memory in pipelines, and a clip with what it decodes to, for a GPU machine that has
no GStreamer. With the C library and its loader, so that the other machine's may be older.

DIRECTORY/run-gst-cuda-tests is to be run there.
"""
import argparse
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLUGINS = ("coreelements", "videotestsrc", "videoconvertscale", "videoparsersbad", "nvcodec", "app")
TESTS = ("tests/gstreamer/gst_test.py", "tests/gstreamer/test_cuda.py", "tests/tools/toolbox.py")
# The driver's are the machine's own.
NOT_OURS = ("libcuda.", "libnvcuvid.", "libnvidia-", "linux-vdso")
CLIP_FRAMES = 120


def plugin_folder():
    return subprocess.run(["pkg-config", "--variable=pluginsdir", "gstreamer-1.0"], check=True,
                          capture_output=True, text=True).stdout.strip()


def closure(path):
    """The shared objects that a program needs, the loader among them."""
    listing = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        words = line.split()
        found = words[2] if "=>" in words and len(words) > 2 else words[0]
        name = os.path.basename(found)
        if found.startswith("/") and not name.startswith(NOT_OURS):
            yield name, os.path.realpath(found)


def copy(source, target, *, strip=True):
    if os.path.exists(target):
        return
    shutil.copy2(source, target)
    os.chmod(target, 0o755)
    if strip:
        subprocess.run(["strip", "--strip-unneeded", target], check=False, stderr=subprocess.DEVNULL)


def wrapper(folder, name):
    """A program started by the bundle's own loader."""
    path = os.path.join(folder, "bin", name)
    with open(path, "w", encoding="ascii") as file:
        file.write('#!/bin/sh\nhere=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")\n'
                   'exec "$here/lib/ld-linux-x86-64.so.2" --argv0 "$0" --library-path '
                   f'"$here/lib:$LD_LIBRARY_PATH" "$here/programs/{name}" "$@"\n')
    os.chmod(path, 0o755)


def clip(folder):
    source = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i",
              "testsrc2=size=1280x720:rate=60", "-frames:v", str(CLIP_FRAMES)]
    subprocess.run([*source, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "30", "-y",
                    os.path.join(folder, "clip.h264")], check=True)
    subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-i",
                    os.path.join(folder, "clip.h264"), "-pix_fmt", "nv12", "-f", "framehash",
                    "-hash", "CRC32", "-y", os.path.join(folder, "clip.crc")], check=True)


def fill(build, folder):
    for name in ("bin", "lib", "plugins", "programs", "tests/gstreamer", "tests/tools"):
        os.makedirs(os.path.join(folder, name))
    programs = {name: shutil.which(name) for name in ("gst-launch-1.0", "gst-inspect-1.0")}
    programs["cuframes"] = os.path.join(build, "tools", "cuframes")
    wanted = [(path, os.path.join(folder, "programs", name)) for name, path in programs.items()]
    wanted += [(os.path.join(plugin_folder(), f"libgst{name}.so"),
                os.path.join(folder, "plugins", f"libgst{name}.so")) for name in PLUGINS]
    wanted.append((os.path.join(build, "integrations", "gstreamer", "libgstcuframes.so"),
                   os.path.join(folder, "plugins", "libgstcuframes.so")))
    for source, target in wanted:
        copy(source, target)
        for name, path in closure(source):
            copy(path, os.path.join(folder, "lib", name))
    for name in programs:
        wrapper(folder, name)
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o",
                    os.path.join(folder, "lib", "libnvrtc-for-gstreamer.so"),
                    os.path.join(ROOT, "tests", "gpu_gst", "nvrtc.c"), "-ldl"], check=True)
    for path in TESTS:
        copy(os.path.join(ROOT, path), os.path.join(folder, path), strip=False)
    copy(os.path.join(ROOT, "tests", "gpu_gst", "run.py"),
         os.path.join(folder, "run-gst-cuda-tests"), strip=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("directory")
    arguments = parser.parse_args()
    if os.path.exists(arguments.directory):
        sys.exit(f"{arguments.directory} is there already")
    fill(os.path.abspath(arguments.build), os.path.abspath(arguments.directory))
    if shutil.which("ffmpeg"):
        clip(os.path.abspath(arguments.directory))


if __name__ == "__main__":
    main()
