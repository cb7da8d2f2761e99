# SPDX-License-Identifier: LGPL-2.1-or-later
"""Buffers, array interfaces and DLPack: what views keep, and what they refuse."""
import ctypes
import gc
import signal
import threading

import numpy as np
import pytest

import cuframes

pytestmark = pytest.mark.usefixtures("frameworks")
PICTURE = np.arange(72 * 64, dtype=np.uint16).astype(np.uint8).reshape(72, 64)


@pytest.fixture
def channel():
    """A publisher with few slots, a subscriber, and a function that sends many frames."""
    with cuframes.Publisher("cam", 64, 48, "nv12", slots=4) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        def overwrite():
            for value in range(8):
                pub.send(np.full((72, 64), value, np.uint8))

        pub.send(PICTURE)
        yield sub, overwrite


VIEWS = {
    "numpy": lambda frame: frame.numpy(0),
    "asarray": lambda frame: np.asarray(frame),
    "plane": lambda frame: np.asarray(frame.planes[0]),
    "memoryview": lambda frame: np.asarray(memoryview(frame)),
    "interface": lambda frame: np.asarray(Interface(frame)),
    "dlpack": lambda frame: np.from_dlpack(frame),
    "dlpack of a plane": lambda frame: np.from_dlpack(frame.planes[0]),
}


class Interface:
    """Has nothing but the array interface."""

    def __init__(self, frame):
        self.frame = frame
        self.__array_interface__ = frame.__array_interface__


@pytest.mark.parametrize("how", VIEWS)
def test_a_view_keeps_the_frame(channel, how):
    sub, overwrite = channel
    frame = next(sub)
    view = VIEWS[how](frame)
    assert not view.flags.writeable
    with pytest.raises(ValueError):
        view[0, 0] = 1
    frame.release()
    del frame
    overwrite()
    gc.collect()
    rows = view.shape[0]
    assert np.array_equal(view, PICTURE[:rows])
    assert sub.stats()["held"] == 1
    del view
    gc.collect()
    assert sub.stats()["held"] == 0


def test_planes_keep_the_frame(channel):
    sub, overwrite = channel
    planes = next(sub).planes
    overwrite()
    next(sub)
    assert np.array_equal(np.asarray(planes[0]), PICTURE[:48])
    assert planes[0].shape == (48, 64) and planes[0].strides == (64, 1)
    assert planes[1].shape == (24, 32, 2) and planes[1].dtype == "uint8"
    assert planes[1].ptr - planes[0].ptr == 48 * 64 and planes[0].nbytes == 48 * 64
    assert planes[0].pitch == 64 and "(48, 64)" in repr(planes[0])


def test_a_buffer_refuses_what_it_cannot_give(channel):
    sub, _ = channel
    frame = next(sub)
    for owner in (frame, frame.planes[0]):
        with pytest.raises((BufferError, TypeError)):
            (ctypes.c_char * 4).from_buffer(owner)
    assert memoryview(frame).readonly
    frame.release()
    with pytest.raises(cuframes.CuframesInvalidArgument):
        memoryview(frame)
    with pytest.raises(cuframes.CuframesInvalidArgument):
        frame.__array_interface__


def test_rows_with_gaps_are_no_plain_bytes():
    with cuframes.Publisher("cam", 60, 4, "gray", alignment=64) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        pub.send(np.ones((4, 60), np.uint8))
        frame = next(sub)
        assert memoryview(frame).strides == (64, 1)
        with pytest.raises((BufferError, ValueError)):
            bytes(np.frombuffer(frame, np.uint8))
        assert memoryview(frame.copy()).contiguous


def test_planes_that_are_not_one_array():
    with cuframes.Publisher("cam", 60, 4, "yuv420p", alignment=64) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        picture = np.arange(360, dtype=np.uint16).astype(np.uint8).reshape(6, 60)
        pub.send(picture)
        frame = next(sub)
        with pytest.raises(BufferError, match="planes"):
            memoryview(frame)
        with pytest.raises(BufferError, match="planes"):
            frame.__dlpack__()
        assert not hasattr(frame, "__array_interface__")
        assert np.array_equal(np.asarray(frame), picture)
        with pytest.raises(BufferError):
            frame.__array__(copy=False)
        assert np.array_equal(np.asarray(frame, np.float32), picture.astype(np.float32))


def test_the_array_protocol(channel):
    sub, _ = channel
    frame = next(sub)
    assert np.shares_memory(frame.__array__(), frame.numpy(0))
    assert np.array(frame).flags.writeable
    assert frame.__array__(np.float32).dtype == np.float32
    with pytest.raises(ValueError):
        frame.__array__(np.float32, copy=False)
    assert not np.shares_memory(frame.__array__(copy=True), frame.numpy(0))
    assert frame.__array_interface__["data"] == (frame.cuda_ptr, True)
    assert not hasattr(frame, "__cuda_array_interface__")
    assert not hasattr(frame.planes[0], "__cuda_array_interface__")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_tensor_of_host_memory(channel, name):
    module = pytest.importorskip(name)
    from_dlpack = (module.from_dlpack if name == "torch"
                   else pytest.importorskip("jax.dlpack").from_dlpack)
    sub, overwrite = channel
    frame = next(sub)
    tensor, planes = from_dlpack(frame), [from_dlpack(plane) for plane in frame.planes]
    frame.release()
    del frame
    gc.collect()
    overwrite()
    assert np.array_equal(np.asarray(tensor), PICTURE)
    assert [tuple(plane.shape) for plane in planes] == [(48, 64), (24, 32, 2)]
    if name == "torch":
        assert sub.stats()["held"] == 1
    del tensor, planes
    gc.collect()
    assert sub.stats()["held"] == 0


# ---- DLPack by hand ----

class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", ctypes.c_int32 * 2),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64)]


class Versioned(ctypes.Structure):
    pass


Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(Versioned))
Versioned._fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32),
                      ("context", ctypes.c_void_p), ("deleter", Deleter),
                      ("flags", ctypes.c_uint64), ("tensor", Tensor)]

api = ctypes.pythonapi
api.PyCapsule_GetPointer.restype = ctypes.c_void_p
api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
USED = b"used_dltensor_versioned"


def consume(capsule):
    """What a consumer does: takes the structure out of the capsule."""
    pointer = api.PyCapsule_GetPointer(capsule, b"dltensor_versioned")
    api.PyCapsule_SetName(capsule, USED)
    return ctypes.cast(pointer, ctypes.POINTER(Versioned))


def test_versioned_capsules(channel):
    sub, overwrite = channel
    frame = next(sub)
    taken = consume(frame.__dlpack__(max_version=(1, 0)))
    managed = taken.contents
    assert (managed.major, managed.flags) == (1, 1)
    tensor = managed.tensor
    assert tuple(tensor.device) == (1, 0) and (tensor.code, tensor.bits, tensor.lanes) == (1, 8, 1)
    assert tensor.ndim == 2 and tensor.shape[:2] == [72, 64] and tensor.strides[:2] == [64, 1]
    frame.release()
    del frame
    gc.collect()
    overwrite()
    assert ctypes.string_at(tensor.data, 72 * 64) == PICTURE.tobytes()
    assert sub.stats()["held"] == 1
    # A deleter is called from any thread, also one without the GIL.
    thread = threading.Thread(target=managed.deleter, args=(taken,))
    thread.start()
    thread.join()
    assert sub.stats()["held"] == 0


def test_capsules_that_nobody_takes(channel):
    sub, _ = channel
    frame = next(sub)
    for _ in range(10):
        frame.__dlpack__()
        frame.__dlpack__(max_version=(1, 1))
        frame.planes[1].__dlpack__(max_version=(1, 0), dl_device=(1, 0), copy=False)
    frame.release()
    assert sub.stats()["held"] == 0


def test_what_dlpack_refuses(channel):
    sub, _ = channel
    frame = next(sub)
    with pytest.raises(BufferError, match="not moved"):
        frame.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="copy"):
        frame.__dlpack__(copy=True)
    with pytest.raises(BufferError, match="stream"):
        frame.__dlpack__(stream=1)
    with pytest.raises(TypeError):
        frame.__dlpack__(max_version=1)
    with pytest.raises(TypeError):
        frame.__dlpack__(1, 2, 3, 4, 5)


def test_slots_and_copies_are_writable(channel):
    sub, _ = channel
    with cuframes.Publisher("other", 4, 2, "gray") as pub:
        with pub.frame() as buf:
            assert consume_flags(buf) == 0
            np.asarray(buf)[...] = 9
            plane = buf.planes[0]
            np.asarray(plane)[0, 0] = 8
        assert not np.asarray(plane).flags.writeable
        assert cuframes.snapshot("other").numpy(0).tolist() == [[8, 9, 9, 9], [9, 9, 9, 9]]
    copy = next(sub).copy()
    assert consume_flags(copy) == 0
    copy.numpy(0)[0, 0] = 99
    assert np.asarray(copy)[0, 0] == 99
    array = copy.numpy(0)
    copy.release()
    assert array[0, 0] == 99


def consume_flags(owner):
    taken = consume(owner.__dlpack__(max_version=(1, 0)))
    flags = taken.contents.flags
    taken.contents.deleter(taken)
    return flags


def test_a_view_of_a_slot_keeps_it_from_being_used_again():
    with cuframes.Publisher("cam", 4, 2, "gray", slots=2) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        with pub.frame() as buf:
            view = np.asarray(buf)
            view[...] = 5
        pub.send(np.zeros((2, 4), np.uint8))
        with pytest.raises(cuframes.CuframesTooMany, match="own hands"):
            pub.send(np.zeros((2, 4), np.uint8))
        assert (view == 5).all()
        del view
        gc.collect()
        assert pub.send(np.zeros((2, 4), np.uint8)) == 2
        assert next(sub).seq == 2


def test_a_write_into_a_shared_frame_faults(script):
    with cuframes.Publisher("cam", 4096, 2, "gray") as pub:
        pub.send(np.zeros((2, 4096), np.uint8))
        program = script("""
            import ctypes
            import cuframes
            frame = cuframes.open("cam", timeout=5).next_frame()
            print("ready", flush=True)
            ctypes.memset(frame.cuda_ptr, 1, 1)
        """)
        assert program.line() == "ready"
        assert program.end() == -11
        assert not cuframes.snapshot("cam").numpy(0).any()


def test_many_frames_leave_nothing():
    """Holds, descriptors and memory after many frames are those after a few."""
    import os
    import resource

    zero = np.zeros((8, 8), np.uint8)
    with cuframes.Publisher("cam", 8, 8, "gray") as pub, cuframes.open("cam", timeout=5) as sub:
        def some(count):
            for _ in range(count):
                pub.send(zero, metadata={"a": 1})
                frame = next(sub)
                np.from_dlpack(frame), frame.numpy(), frame.planes, frame.bgr(), frame.metadata
                np.asarray(frame), frame.time, frame.copy(), frame.__array_interface__

        some(500)
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        descriptors = len(os.listdir("/proc/self/fd"))
        some(10000)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert sub.stats()["held"] == 0 and sub.gap_count == 0


@pytest.mark.parametrize("write", ["cv2.rectangle(view, (1, 1), (5, 5), (255, 255, 255))",
                                   "cv2.flip(picture, 0, dst=view)"])
def test_opencv_cannot_write_into_a_frame(script, write):
    """Releases that do not look at the read-only flag end in a fault: the memory is read-only."""
    pytest.importorskip("cv2")
    with cuframes.Publisher("cam", 64, 48, "bgr") as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(np.zeros((48, 64, 3), np.uint8))
        program = script(f"""
            import cuframes, cv2, numpy
            picture = numpy.full((48, 64, 3), 255, numpy.uint8)
            view = next(cuframes.open("cam", timeout=20)).numpy(0)
            try:
                {write}
            except cv2.error:
                print("refused", flush=True)
        """)
        said, status = program.line(), program.end()
        assert (said, status) == ("refused", 0) or status == -signal.SIGSEGV
        assert not next(sub).numpy(0).any()


def test_opencv_draws_into_what_is_your_own():
    cv2 = pytest.importorskip("cv2")
    with cuframes.Publisher("cam", 64, 48, "bgr") as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(np.zeros((48, 64, 3), np.uint8))
        frame = next(sub)
        for own in (frame.bgr(), frame.copy().numpy(0)):
            cv2.rectangle(own, (1, 1), (5, 5), (255, 255, 255))
            assert own[1, 1].all()
        assert not frame.numpy(0).any()
