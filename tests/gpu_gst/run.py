#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
run-gst-cuda-tests [--out DIR] [TEST...]: the tests of GPU memory in GStreamer's pipelines on the GPU of
this machine, with the GStreamer of the bundle that this program lies in.
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def find(*patterns):
    for pattern in patterns:
        for path in sorted(glob.glob(pattern, recursive=True)):
            return path
    return None


def environment():
    """The driver, and NVRTC, which GStreamer's converters compile their kernels with."""
    env = dict(os.environ)
    driver = find("/usr/local/nvidia/lib64/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
                  "/usr/lib64/libcuda.so.1", "/usr/local/nvidia/**/libcuda.so.1")
    nvrtc = find("/usr/local/cuda/lib64/libnvrtc.so.1[0-9]", "/usr/local/cuda*/**/libnvrtc.so.1[0-9]",
                 "/opt/**/nvidia/**/libnvrtc.so.1[0-9]")
    folders = [os.path.dirname(path) for path in (driver, nvrtc) if path]
    env.update(PATH=f"{HERE}/bin:{env['PATH']}", LD_LIBRARY_PATH=":".join(folders),
               GST_PLUGIN_PATH="", GST_PLUGIN_SYSTEM_PATH=f"{HERE}/plugins",
               GST_PLUGINS=f"{HERE}/plugins", GST_REGISTRY_FORK="no", CUFRAMES=f"{HERE}/bin/cuframes",
               GST_CLIP=f"{HERE}/clip", GST_REGISTRY=tempfile.mktemp(prefix="gst-registry"))
    env.pop("GST_CUDA", None)
    if nvrtc:
        env.update(GST_CUDA_NVRTC_LIBNAME=f"{HERE}/lib/libnvrtc-for-gstreamer.so", NVRTC=nvrtc)
    return env


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out")
    parser.add_argument("tests", nargs="*")
    arguments = parser.parse_args()
    env = environment()
    print({name: env.get(name) for name in ("LD_LIBRARY_PATH", "NVRTC")})
    subprocess.run(["gst-inspect-1.0", "--version"], env=env, check=False)
    subprocess.run(["gst-inspect-1.0", "nvcodec"], env=env, check=False)
    result = subprocess.run([sys.executable, f"{HERE}/tests/gstreamer/test_cuda.py", *arguments.tests],
                            env=env, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = result.stdout.decode(errors="replace")
    print(text)
    if arguments.out:
        with open(os.path.join(arguments.out, f"{os.path.basename(HERE)}.log"), "w",
                  encoding="utf-8") as file:
            file.write(text)
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
