# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames in GPU memory.

The first half runs with any driver, the stand-in of tests/standin too; the rest with PyTorch, CuPy
and JAX where those are installed and there is a GPU.
"""
import ctypes
import gc
import importlib
import os
import threading
import time

import numpy as np
import pytest
from test_arrays import consume
from test_frames import FORMATS, picture_of

import cuframes

try:
    with cuframes.Publisher(f"probe{os.getpid()}", 64, 48, "gray", device="cuda:0"):
        pass
except (cuframes.CuframesDeviceLost, cuframes.CuframesPermissionError) as error:
    pytest.skip(f"no GPU: {error}", allow_module_level=True)

# What the libraries warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")
# JAX would take most of the memory for itself.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
STAND_IN = "standin" in open("/proc/self/maps").read()
CUDA = 2


@pytest.fixture(autouse=True)
def nothing_left():
    """The driver opens files of its own; what is left is looked at by test_many_frames."""
    yield
    gc.collect()


def held(pub):
    """Slots held, once the streams that frames were given back behind are done."""
    until = time.monotonic() + 5
    while pub.stats()["slots_held"] and time.monotonic() < until:
        time.sleep(0.005)
    return pub.stats()["slots_held"]


def channel(format="gray", **wishes):
    return cuframes.Publisher("cam", 64, 48, format, device="cuda:0", **wishes)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("alignment", [0, 256])
def test_every_format_through_the_gpu(format, alignment):
    picture = picture_of(format)
    with channel(format, alignment=alignment) as pub, \
            cuframes.open("cam", timeout=20, device="cpu", staged=True) as sub:
        pub.send(picture)
        frame = next(sub)
        assert frame.device == "cpu" and np.array_equal(np.asarray(frame), picture)
        pub.send(tuple(frame.numpy()))
        assert np.array_equal(np.asarray(next(sub)), picture)
        assert sub.stats()["access"] == "staged" and sub.stats()["staged"] == 2
    assert pub.closed


def test_what_a_frame_on_a_gpu_says():
    with channel("nv12") as pub, cuframes.open("cam", timeout=20) as sub:
        assert pub.info.memory == "cuda" and pub.info.gpu.startswith("GPU-")
        pub.send(np.zeros((72, 64), np.uint8), metadata={"a": 1}, pts=2.0)
        frame = next(sub)
        assert frame.device == "cuda:0" and frame.__dlpack_device__() == (CUDA, 0)
        assert frame.metadata == {"a": 1} and frame.pts == 2.0
        assert sub.stats()["access"] == "in place"
        interface = frame.__cuda_array_interface__
        assert interface["shape"] == (72, 64) and interface["data"] == (frame.cuda_ptr, True)
        assert interface["version"] == 3 and interface["stream"] is None
        assert frame.planes[1].__cuda_array_interface__["shape"] == (24, 32, 2)
        assert not hasattr(frame, "__array_interface__")
        assert not hasattr(frame.planes[0], "__array_interface__")
        for wrong in (lambda: np.asarray(frame), lambda: frame.numpy(), lambda: memoryview(frame),
                      lambda: np.asarray(frame.planes[0]), lambda: memoryview(frame.planes[0])):
            with pytest.raises((TypeError, BufferError, cuframes.CuframesDeviceLost),
                               match=r"GPU memory: use torch.* frame.copy\(\)"):
                wrong()
        assert frame._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("alignment", [0, 256])
def test_pictures_are_copied_down(format, alignment):
    picture = picture_of(format)
    with channel(format, alignment=alignment) as pub, \
            cuframes.Publisher("host", 64, 48, format) as host, \
            cuframes.open("cam", timeout=20) as sub, cuframes.open("host", timeout=20) as same:
        pub.send(picture, metadata={"a": 1})
        host.send(picture)
        frame, expected = next(sub), next(same)
        assert frame.device == "cuda:0"
        copy = frame.copy()
        assert copy.device == "cpu" and copy.metadata == {"a": 1} and copy.seq == frame.seq
        assert np.array_equal(np.asarray(copy), picture)
        for name in ("bgr", "rgb", "gray"):
            made = getattr(frame, name)()
            assert np.array_equal(made, getattr(expected, name)())
            out = np.zeros_like(made)
            assert getattr(frame, name)(out=out) is out and np.array_equal(out, made)
        frame.release()
        with pytest.raises(cuframes.CuframesInvalidArgument, match="given back|released"):
            frame.bgr()
        assert np.array_equal(np.asarray(copy), picture)
        assert held(pub) == 0


def test_a_crop_is_copied_down_as_it_is_seen():
    picture = picture_of("nv12")
    with channel("nv12", alignment=128) as pub, cuframes.open("cam", timeout=20) as sub:
        buffer = pub.acquire()
        buffer.crop = (8, 4, 32, 16)
        with buffer:
            cuframes._publisher.fill(buffer, picture)
        copy = next(sub).copy()
        assert copy.size == (32, 16)
        assert np.array_equal(copy.numpy(0), picture[4:20, 8:40])
        assert np.array_equal(copy.numpy(1).reshape(8, 32), picture[50:58, 8:40])


def test_opencv_s_names_and_batches_read_a_gpu():
    with channel("bgr") as pub, cuframes.VideoCapture("cam") as capture, \
            cuframes.open("cam", timeout=20) as sub:
        picture = picture_of("bgr")
        pub.send(picture)
        good, read = capture.read()
        assert good and np.array_equal(read, picture)
        assert np.array_equal(cuframes.batch([sub], deadline=5).bgr()[0], picture)


def test_the_cpu_asks_for_copies():
    with channel() as pub:
        with pytest.raises(cuframes.CuframesError):
            cuframes.open("cam", timeout=5, device="cpu")
        pub.send(np.full((48, 64), 5, np.uint8))
        assert (cuframes.snapshot("cam", timeout=20).numpy(0) == 5).all()
        assert cuframes.info("cam").gpu == pub.info.gpu


def test_a_gpu_reads_host_memory():
    with cuframes.Publisher("cam", 64, 48, "gray", device="cpu") as pub:
        try:
            sub = cuframes.open("cam", timeout=20, device="cuda:0")
        except cuframes.CuframesDeviceLost as error:
            pytest.skip(str(error))
        with sub:
            pub.send(np.zeros((48, 64), np.uint8))
            frame = next(sub)
            assert frame.device == "cuda:0" and sub.stats()["access"] == "registered"
            assert pub.info.gpu is None


def test_a_second_gpu(script):
    """On the stand-in there are two; elsewhere only if the machine has them."""
    program = script("""
        import os
        os.environ.setdefault("STANDIN_DEVICES", "2")
        import cuframes, numpy
        with cuframes.Publisher("cam", 64, 48, "gray", device="cuda:0") as pub:
            try:
                sub = cuframes.open("cam", timeout=20, device="cuda:1")
            except cuframes.CuframesError as error:
                print(type(error).__name__, error, flush=True)
            else:
                pub.send(numpy.zeros((48, 64), numpy.uint8))
                frame = next(sub)
                print(frame.device, frame.__dlpack_device__(), sub.stats()["access"], flush=True)
    """)
    said = program.line()
    assert program.end() == 0
    if "Cuframes" in said and not STAND_IN:
        pytest.skip(said)
    assert said == "cuda:1 (2, 1) peer"


def test_any_gpu_of_host_memory():
    with cuframes.Publisher("cam", 64, 48, "gray") as pub:
        try:
            sub = cuframes.open("cam", timeout=20, device="cuda")
        except cuframes.CuframesError as error:
            assert "GPU" in str(error)
            return
        with sub:
            pub.send(np.zeros((48, 64), np.uint8))
            assert next(sub).device == "cuda:0"


def test_capsules_of_gpu_memory():
    with channel() as pub, cuframes.open("cam", timeout=20) as sub:
        pub.send(np.zeros((48, 64), np.uint8))
        frame = next(sub)
        taken = consume(frame.__dlpack__(max_version=(1, 0), stream=1))
        assert tuple(taken.contents.tensor.device) == (CUDA, 0) and taken.contents.flags == 1
        assert taken.contents.tensor.data == frame.cuda_ptr
        for stream in (None, -1, 0, 2):
            frame.__dlpack__(stream=stream)
        frame.release()
        assert pub.stats()["slots_held"] == 1
        taken.contents.deleter(taken)
        assert held(pub) == 0
        with pub.frame() as buf:
            assert buf.device == "cuda:0" and buf.__dlpack_device__() == (CUDA, 0)
            taken = consume(buf.__dlpack__(max_version=(1, 0), stream=1))
            assert taken.contents.flags == 0
            taken.contents.deleter(taken)
            assert buf.planes[0].__cuda_array_interface__["data"][1] is False
            with pytest.raises(TypeError, match="GPU"):
                np.asarray(buf)
        assert next(sub).seq == 1


class Streams:
    """Streams of the driver, the stand-in's too, and work for them that takes its time."""

    def __init__(self):
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.streams = [ctypes.c_void_p() for _ in range(2)]
        self.may_go = threading.Event()
        self.work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: self.may_go.wait(10))
        context = ctypes.c_void_p()
        assert self.driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
        assert self.driver.cuCtxPushCurrent_v2(context) == 0
        for stream in self.streams:
            assert self.driver.cuStreamCreate(ctypes.byref(stream), 1) == 0

    def block(self, number):
        assert self.driver.cuLaunchHostFunc(self.streams[number], self.work, None) == 0

    def end(self):
        self.may_go.set()
        for stream in self.streams:
            assert self.driver.cuStreamSynchronize(stream) == 0
            assert self.driver.cuStreamDestroy_v2(stream) == 0
        self.driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
        self.driver.cuDevicePrimaryCtxRelease_v2(0)


@pytest.mark.parametrize("slow", [0, 1])
def test_every_stream_of_a_consumer_counts(slow):
    with channel() as pub, cuframes.open("cam", timeout=20) as sub:
        pub.send(np.zeros((48, 64), np.uint8))
        frame, streams = next(sub), Streams()
        streams.block(slow)
        for stream in streams.streams:
            consume_and_delete(frame, stream=stream.value)
        frame.release()
        buf = pub.acquire()
        for stream in streams.streams:
            consume_and_delete(buf, stream=stream.value)
        with buf:
            buf.pts = 7.0
        time.sleep(0.1)
        assert pub.stats()["slots_held"] == 1 and sub.poll() is None
        streams.may_go.set()
        with next(sub) as frame:
            assert frame.pts == 7.0
        assert held(pub) == 0
        streams.end()


def test_wrong_pictures_are_refused():
    with channel() as pub:
        with pytest.raises(cuframes.CuframesInvalidArgument, match=r"\(48, 64\)"):
            pub.send(np.zeros((64, 48), np.uint8))
        with pytest.raises(cuframes.CuframesInvalidArgument, match="uint8"):
            pub.send(np.zeros((48, 64), np.int32))
        assert pub.stats()["published"] == 0
    with pytest.raises(cuframes.CuframesError):
        cuframes.Publisher("other", 64, 48, "gray", device="cuda:99")


def test_many_frames():
    with channel(slots=6) as pub, cuframes.open("cam", timeout=20) as sub:
        picture = np.zeros((48, 64), np.uint8)

        def some(count):
            for _ in range(count):
                pub.send(picture)
                frame = next(sub)
                consume_and_delete(frame)
                frame.planes, frame.__cuda_array_interface__

        some(50)
        descriptors = len(os.listdir("/proc/self/fd"))
        some(500)
        assert len(os.listdir("/proc/self/fd")) <= descriptors
        assert held(pub) == 0


def consume_and_delete(frame, **wishes):
    taken = consume(frame.__dlpack__(max_version=(1, 0), **wishes))
    taken.contents.deleter(taken)


# ---- with the libraries ----

def library(name):
    """A framework that has a GPU here, or skips."""
    if STAND_IN:
        pytest.skip("the stand-in runs no code on a GPU")
    module = pytest.importorskip(name)
    if name == "torch" and not module.cuda.is_available():
        pytest.skip("PyTorch has no GPU")
    if name == "cupy" and not module.cuda.is_available():
        pytest.skip("CuPy has no GPU")
    if name == "jax" and module.default_backend() != "gpu":
        pytest.skip("JAX has no GPU")
    return module


def to_host(array):
    """NumPy's copy of an array of any of them."""
    if hasattr(array, "cpu"):
        return array.cpu().numpy()
    return array.get() if hasattr(array, "get") else np.asarray(array)


READERS = {
    "torch": lambda module: module.from_dlpack,
    "cupy": lambda module: module.from_dlpack,
    "jax": lambda module: importlib.import_module("jax.dlpack").from_dlpack,
    "cupy asarray": lambda module: module.asarray,
}


@pytest.mark.parametrize("how", READERS)
def test_a_tensor_is_a_view_and_keeps_its_frame(how):
    module = library(how.split()[0])
    take = READERS[how](module)
    with channel(slots=4) as pub:
        with cuframes.open("cam", timeout=20) as sub:
            first = picture_of("grayscale", 1)
            pub.send(first)
            frame = next(sub)
            tensor = take(frame)
            if how != "jax":
                pointer = tensor.data_ptr() if how == "torch" else tensor.data.ptr
                assert pointer == frame.cuda_ptr
            frame.release()
            del frame
            for seed in range(2, 12):
                pub.send(picture_of("grayscale", seed))
            gc.collect()
            assert sub.stats()["held"] == 1
            assert np.array_equal(to_host(tensor), first)
        # The subscriber is closed; the tensor still reads its frame.
        for seed in range(12, 20):
            pub.send(picture_of("grayscale", seed))
        assert np.array_equal(to_host(tensor), first)
    # The publisher too.
    assert np.array_equal(to_host(tensor), first)
    del tensor
    gc.collect()


@pytest.mark.parametrize("how", ["torch", "cupy", "jax"])
def test_a_tensor_on_the_second_gpu(how):
    """By DLPack, whichever GPU is the current one. The CUDA array interface cannot name the GPU."""
    module = library(how)
    take = READERS[how](module)
    picture = picture_of("grayscale", 3)
    with channel() as pub:
        try:
            sub = cuframes.open("cam", timeout=20, device="cuda:1")
        except cuframes.CuframesError as error:
            pytest.skip(str(error))
        with sub, cuframes.open("cam", timeout=20) as own:
            pub.send(picture)
            frame = next(sub)
            assert frame.__dlpack_device__() == (CUDA, 1) and sub.stats()["access"] == "peer"
            there, here = take(frame), take(next(own))
            assert np.array_equal(to_host(there), picture)
            assert np.array_equal(to_host(here), picture)
            assert np.array_equal(frame.copy().numpy(0), picture)
            if how == "torch":
                assert there.device.index == 1 and here.device.index == 0
            del there, here


def test_torch_reads_the_planes_of_nv12():
    torch = library("torch")
    picture = picture_of("nv12")
    with channel("nv12") as pub, cuframes.open("cam", timeout=20) as sub:
        pub.send(picture)
        frame = next(sub)
        y, uv = (torch.from_dlpack(plane) for plane in frame.planes)
        assert y.shape == (48, 64) and uv.shape == (24, 32, 2)
        assert np.array_equal(to_host(torch.from_dlpack(frame)), picture)
        assert np.array_equal(to_host(y), picture[:48])
        assert np.array_equal(to_host(uv).reshape(24, 64), picture[48:])
        del frame, y, uv
        gc.collect()
        pub.send(picture)
        assert next(sub).seq == 1


def test_the_old_capsules_of_04():
    torch = library("torch")
    with channel("nv12") as pub, cuframes.subscribe("cam", connect_timeout_ms=20000) as sub:
        picture = picture_of("nv12")
        pub.send(picture)
        with sub.next_frame(timeout_ms=5000) as frame:
            y = torch.utils.dlpack.from_dlpack(frame.dlpack_y())
            uv = torch.utils.dlpack.from_dlpack(frame.dlpack_uv())
        assert np.array_equal(to_host(y), picture[:48]) and uv.shape == (24, 32, 2)


@pytest.mark.parametrize("name", ["torch", "cupy"])
def test_publishing_from_a_gpu(name):
    module = library(name)
    with channel("bgr") as pub, cuframes.open("cam", timeout=20, device="cpu", staged=True) as sub:
        picture = picture_of("bgr")
        tensor = (module.from_numpy(picture).cuda() if name == "torch" else module.asarray(picture))
        pub.send(tensor)
        assert np.array_equal(next(sub).bgr(), picture)
        with pub.frame() as buf:
            view = module.from_dlpack(buf)
            view[...] = tensor
            view[:, :, 0] = 7
        frame = next(sub)
        assert (frame.bgr()[:, :, 0] == 7).all()
        assert np.array_equal(frame.bgr()[:, :, 1:], picture[:, :, 1:])
        with pytest.raises(cuframes.CuframesInvalidArgument, match="shape"):
            pub.send(tensor[:10])


def test_a_frame_is_announced_behind_the_stream_that_fills_it():
    torch = library("torch")
    stream = torch.cuda.Stream()
    with cuframes.Publisher("cam", 1024, 1024, "gray", device="cuda:0") as pub, \
            cuframes.open("cam", timeout=20, device="cpu", staged=True) as sub:
        for value in range(1, 6):
            with torch.cuda.stream(stream), pub.frame() as buf:
                view = torch.from_dlpack(buf)
                torch.cuda._sleep(50_000_000)
                view.fill_(value)
            assert (next(sub).numpy(0) == value).all()


def test_a_frame_is_given_back_behind_the_stream_that_reads_it():
    torch = library("torch")
    stream = torch.cuda.Stream()
    with cuframes.Publisher("cam", 1024, 1024, "gray", device="cuda:0", slots=3) as pub, \
            cuframes.open("cam", timeout=20) as sub:
        sums = []
        for value in range(1, 8):
            pub.send(np.full((1024, 1024), value, np.uint8))
            with torch.cuda.stream(stream):
                tensor = torch.from_dlpack(next(sub))
                torch.cuda._sleep(20_000_000)
                sums.append((value, tensor.sum(dtype=torch.int64)))
            del tensor
            # The next pictures are written while the sum above has not begun.
            pub.send(np.full((1024, 1024), 99, np.uint8))
            pub.send(np.full((1024, 1024), 98, np.uint8))
            sub.next_frame(5000).release()
        torch.cuda.synchronize()
        assert [int(total) for _, total in sums] == [value << 20 for value, _ in sums]
        assert held(pub) == 0


def test_a_frame_is_given_back_behind_every_stream_that_reads_it():
    torch = library("torch")
    streams = [torch.cuda.Stream() for _ in range(2)]
    with cuframes.Publisher("cam", 1024, 1024, "gray", device="cuda:0", slots=3) as pub, \
            cuframes.open("cam", timeout=20) as sub:
        for slow in (0, 1):
            sums = []
            for value in range(1, 5):
                pub.send(np.full((1024, 1024), value, np.uint8))
                frame = next(sub)
                for i, stream in enumerate(streams):
                    with torch.cuda.stream(stream):
                        tensor = torch.from_dlpack(frame)
                        torch.cuda._sleep(40_000_000 if i == slow else 1)
                        sums.append((value, tensor.sum(dtype=torch.int64)))
                del tensor
                frame.release()
                pub.send(np.full((1024, 1024), 99, np.uint8))
                pub.send(np.full((1024, 1024), 98, np.uint8))
                sub.next_frame(5000).release()
            torch.cuda.synchronize()
            assert [int(total) for _, total in sums] == [value << 20 for value, _ in sums]
            assert held(pub) == 0


def test_a_frame_is_announced_behind_every_stream_that_fills_it():
    torch = library("torch")
    streams = [torch.cuda.Stream() for _ in range(2)]
    with cuframes.Publisher("cam", 1024, 1024, "gray", device="cuda:0") as pub, \
            cuframes.open("cam", timeout=20, device="cpu", staged=True) as sub:
        for slow in (0, 1):
            for value in range(1, 4):
                with pub.frame() as buf:
                    for i, stream in enumerate(streams):
                        with torch.cuda.stream(stream):
                            half = torch.from_dlpack(buf)[512 * i:512 * (i + 1)]
                            torch.cuda._sleep(50_000_000 if i == slow else 1)
                            half.fill_(value)
                assert (next(sub).numpy(0) == value).all()


def test_another_process_reads_the_gpu(script):
    library("torch")
    program = script("""
        import cuframes, torch
        with cuframes.open("cam", timeout=60) as sub:
            print("ready", flush=True)
            for frame in sub:
                print(frame.seq, int(torch.from_dlpack(frame).sum(dtype=torch.int64)), flush=True)
                if frame.seq == 2:
                    break
    """)
    with channel() as pub:
        assert program.line() == "ready"
        for value in range(3):
            pub.send(np.full((48, 64), value, np.uint8))
            assert program.line() == f"{value} {value * 48 * 64}"
    assert program.end() == 0


def test_a_view_outlives_a_killed_publisher(script):
    torch = library("torch")
    program = script("""
        import cuframes, numpy, sys
        pub = cuframes.Publisher("cam", 64, 48, "gray", device="cuda:0")
        print("ready", flush=True)
        sys.stdin.readline()
        pub.send(numpy.full((48, 64), 5, numpy.uint8))
        sys.stdin.readline()
    """)
    assert program.line() == "ready"
    with cuframes.open("cam", timeout=20, reconnect=False) as sub:
        program.say()
        tensor = torch.from_dlpack(next(sub))
        program.kill()
        assert int(tensor.sum(dtype=torch.int64)) == 5 * 48 * 64
        assert list(sub) == []
        assert (to_host(tensor) == 5).all()
