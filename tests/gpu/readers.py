#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames in GPU memory in the hands of PyTorch, CuPy and JAX, in place.

The frames come from another process (gpu_source); this one takes them through the library's C
interface. Each reader is a process of its own. Says a line for each: pass, skip or FAIL.
"""
import argparse
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import time

MULTIPLIER = 0x9E3779B97F4A7C15
FRAMES = 10


class Config(ctypes.Structure):
    """cuframes_subscriber_config_t, whose layout is ABI."""

    _fields_ = [("key", ctypes.c_char_p), ("consumer_name", ctypes.c_char_p),
                ("mode", ctypes.c_int), ("cuda_device", ctypes.c_int32),
                ("connect_timeout_ms", ctypes.c_int32), ("flags", ctypes.c_uint32),
                ("max_holds", ctypes.c_uint32), ("max_fps", ctypes.c_float),
                ("every", ctypes.c_uint32), ("memory", ctypes.c_uint32),
                ("runtime_dir", ctypes.c_char_p), ("_reserved", ctypes.c_uint64)]


class Skipped(Exception):
    """This machine cannot do it."""


class Words:
    """Device memory as others take it: words of 64 bits, by the CUDA array interface."""

    def __init__(self, pointer, count):
        # PyTorch takes no memory that says it is read-only, though this is.
        self.__cuda_array_interface__ = {"shape": (count,), "typestr": "<i8", "version": 3,
                                         "data": (pointer, False), "strides": None, "stream": None}


class Channel:
    """A subscriber, for `with`."""

    def __init__(self, library, key):
        self.lib = ctypes.CDLL(library)
        self.lib.cuframes_last_error.restype = ctypes.c_char_p
        self.lib.cuframes_frame_data.restype = ctypes.c_void_p
        self.lib.cuframes_frame_data_size.restype = ctypes.c_size_t
        self.lib.cuframes_frame_pts_ns.restype = ctypes.c_int64
        for name in ("data", "data_size", "pts_ns", "release"):
            getattr(self.lib, "cuframes_frame_" + name).argtypes = [ctypes.c_void_p]
        self.subscriber = ctypes.c_void_p()
        config = Config(key=key.encode(), connect_timeout_ms=10000)
        self.check(self.lib.cuframes_subscriber_create(ctypes.byref(config),
                                                       ctypes.byref(self.subscriber)))

    def check(self, result):
        if result != 0:
            raise RuntimeError(self.lib.cuframes_last_error().decode())

    def frames(self, count):
        """Gives (pointer, number of words, time stamp), each held while it is looked at."""
        for _ in range(count):
            frame = ctypes.c_void_p()
            self.check(self.lib.cuframes_subscriber_next(self.subscriber, None,
                                                         ctypes.byref(frame), 10000))
            yield (self.lib.cuframes_frame_data(frame),
                   self.lib.cuframes_frame_data_size(frame) // 8,
                   self.lib.cuframes_frame_pts_ns(frame))
            self.check(self.lib.cuframes_frame_release(frame))

    def close(self):
        self.check(self.lib.cuframes_subscriber_destroy(self.subscriber))


def signed(value):
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def read_driver(channel):
    """With the driver's own calls, and so anywhere."""
    cuda = ctypes.CDLL(os.environ.get("CUFRAMES_LIBCUDA") or "libcuda.so.1")
    context = ctypes.c_void_p()
    if cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) or \
            cuda.cuCtxSetCurrent(context):
        raise RuntimeError("the driver does not start")
    for pointer, count, stamp in channel.frames(FRAMES):
        words = (ctypes.c_uint64 * count)()
        if cuda.cuMemcpyDtoH_v2(words, ctypes.c_uint64(pointer), ctypes.c_size_t(count * 8)):
            raise RuntimeError("the frame cannot be copied")
        if any(word != stamp * MULTIPLIER + i & (1 << 64) - 1 for i, word in enumerate(words)):
            raise RuntimeError("the frame is another")
    return "ctypes"


def read_torch(channel):
    import torch

    if not torch.cuda.is_available():
        raise Skipped("PyTorch sees no GPU")
    torch.zeros(1, device="cuda")
    for pointer, count, stamp in channel.frames(FRAMES):
        words = torch.as_tensor(Words(pointer, count), device="cuda:0")
        if words.data_ptr() != pointer:
            raise RuntimeError("PyTorch made a copy")
        wrong = words - torch.arange(count, device="cuda") != signed(stamp * MULTIPLIER)
        if wrong.any().item():
            raise RuntimeError("PyTorch read something else")
    return f"PyTorch {torch.__version__}"


def write_torch(channel):
    import torch

    if not torch.cuda.is_available():
        raise Skipped("PyTorch sees no GPU")
    torch.zeros(1, device="cuda")
    for pointer, count, _ in channel.frames(1):
        words = torch.as_tensor(Words(pointer, count), device="cuda")
        try:
            words.zero_()
            torch.cuda.synchronize()
        except Exception as error:  # its class differs between releases
            # The context is lost, and nothing can be ended in order.
            tell("pass", "torch_cannot_write_into_a_frame", str(error).splitlines()[0][:80])
            os._exit(0)
    raise RuntimeError("PyTorch wrote into a frame")


def read_cupy(channel):
    import cupy

    cupy.zeros(1)
    for pointer, count, stamp in channel.frames(FRAMES):
        words = cupy.asarray(Words(pointer, count))
        if words.data.ptr != pointer:
            raise RuntimeError("CuPy made a copy")
        wrong = words - cupy.arange(count, dtype="int64") != signed(stamp * MULTIPLIER)
        if bool(wrong.any()):
            raise RuntimeError("CuPy read something else")
    return f"CuPy {cupy.__version__}"


def dlpack_maker():
    """Whoever can make a DLPack tensor of the memory: JAX takes no CUDA array interface."""
    try:
        import cupy
    except ImportError:
        import torch
        return lambda pointer, count: torch.as_tensor(Words(pointer, count),
                                                      device="cuda:0").view(torch.int32)

    def make(pointer, count):
        # JAX leaves the last GPU of the machine current. CuPy would then copy to that one, and the
        # frame is mapped for its own GPU alone, the first.
        with cupy.cuda.Device(0):
            return cupy.asarray(Words(pointer, count)).view("int32")

    return make


def read_jax(channel):
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    import jax
    import numpy

    if jax.default_backend() != "gpu":
        raise Skipped("JAX sees no GPU")
    make = dlpack_maker()
    for pointer, count, stamp in channel.frames(FRAMES):
        words = jax.dlpack.from_dlpack(make(pointer, count))
        if words.unsafe_buffer_pointer() != pointer:
            raise RuntimeError("JAX made a copy")
        expected = (numpy.arange(count, dtype="uint64") +
                    numpy.uint64(stamp * MULTIPLIER & (1 << 64) - 1)).view("int32")
        if not bool((words == expected).all()):
            raise RuntimeError("JAX read something else")
        del words
    return f"JAX {jax.__version__}"


READERS = {"python_reads_a_frame": read_driver, "torch_reads_in_place": read_torch,
           "cupy_reads_in_place": read_cupy, "jax_reads_in_place": read_jax,
           "torch_cannot_write_into_a_frame": write_torch}


def tell(verdict, name, detail):
    print(f"{verdict} {name} ({detail})", flush=True)


def run_reader(name, library, key):
    start = time.monotonic()
    try:
        channel = Channel(library, key)
        what = READERS[name](channel)
        channel.close()
    except ImportError as missing:
        tell("skip", name, missing)
        return 0
    except Skipped as reason:
        tell("skip", name, reason)
        return 0
    tell("pass", name, f"{what}, {time.monotonic() - start:.1f} s")
    return 0


def run_all(build):
    """Gives how many failed."""
    failed = 0
    library, key = str(build / "src" / "libcuframes.so.0"), "torch"
    with tempfile.TemporaryDirectory(prefix="cft", dir="/tmp") as folder:
        environment = {**os.environ, "CUFRAMES_RUNTIME_DIR": folder}
        with subprocess.Popen([str(build / "tests" / "gpu" / "gpu_source"), key], env=environment,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as source:
            said = source.stdout.readline().strip()
            if said != "ready":
                tell("skip" if source.wait() == 77 else "FAIL", "python", said)
                return source.returncode != 77
            for name in READERS:
                done = subprocess.run([sys.executable, __file__, "--reader", name, "--key", key,
                                       "--library", library], env=environment, timeout=120,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      check=False)
                print(done.stdout, end="", flush=True)
                if done.returncode != 0:
                    tell("FAIL", name, done.stdout.strip().splitlines()[-1:] or "no word")
                    failed += 1
            source.stdin.close()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--reader", choices=READERS)
    parser.add_argument("--library")
    parser.add_argument("--key")
    args = parser.parse_args()
    if args.reader:
        return run_reader(args.reader, args.library, args.key)
    return 1 if run_all(args.build.resolve()) else 0


if __name__ == "__main__":
    sys.exit(main())
