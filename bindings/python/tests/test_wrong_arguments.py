# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever is passed: an exception of Python's or of the package, with a sentence; no crash, and
everything works after it."""
import itertools
import re

import numpy as np
import pytest

import cuframes

JUNK = [None, True, -1, 0, 3, 2**31, 2**63, 2**70, -2**70, 0.5, -0.5, float("nan"), float("inf"),
        "", "x", "no key", "k" * 200, "a\0b", "\udc80", b"", b"x" * 5000, (), (1,), (1, 2, 3, 4),
        (-1,) * 4, (2**70,) * 4, [None], {}, {"a": object()}, object(), type, len, "cam",
        np.zeros((2, 4), np.uint8), np.zeros((3, 3)), np.zeros((2, 4), object)]
# OverflowError and AttributeError are Python's for numbers and objects of other kinds.
ALLOWED = (cuframes.CuframesError, TypeError, ValueError, OverflowError, BufferError,
           AttributeError, KeyError)


@pytest.fixture
def things():
    with cuframes.Publisher("cam", 4, 2, "gray", slots=8) as pub, \
            cuframes.open("cam", timeout=20, max_holds=4) as sub:
        pub.enable_packets([cuframes.Stream(codec_name="h264")])
        pub.send(np.zeros((2, 4), np.uint8))
        frame = next(sub).hold()
        made = {"pub": pub, "sub": sub, "frame": frame, "plane": frame.planes[0]}
        yield made
        made.clear()
        del frame
        pub.send(np.full((2, 4), 5, np.uint8))
        assert (sub.next_frame(5000).numpy(0) == 5).all()


def try_call(function, *args, **named):
    """The result, or None after an exception that is allowed and says something."""
    try:
        return function(*args, **named)
    except ALLOWED as error:
        assert str(error), error
        assert not re.search(r"NULL|CUFRAMES_(?!RUNTIME_DIR)|cuframes_[a-z_]+\(\)", str(error)), error
        assert not isinstance(error, cuframes.CuframesInternal), error
        return None


def close(made):
    for name in ("close", "discard", "release"):
        if hasattr(made, name):
            getattr(made, name)()
            return


CALLS = {
    # What is called, how many arguments it gets from JUNK, names of others.
    "Publisher.send": (lambda t: t["pub"].send, 1, ("pts", "time", "metadata", "flags")),
    "Publisher.frame": (lambda t: t["pub"].frame, 0, ("pts", "time", "metadata", "flags")),
    "Publisher.send_packet": (lambda t: t["pub"].send_packet, 1,
                              ("pts", "dts", "duration", "time", "flags", "stream")),
    "Publisher.set_streams": (lambda t: t["pub"].set_streams, 1, ()),
    "Frame.numpy": (lambda t: t["frame"].numpy, 1, ("plane",)),
    "Frame.bgr": (lambda t: t["frame"].bgr, 1, ("out",)),
    "Frame.gray": (lambda t: t["frame"].gray, 1, ("out",)),
    "Frame.__array__": (lambda t: t["frame"].__array__, 2, ("dtype", "copy")),
    "Frame.__dlpack__": (lambda t: t["frame"].__dlpack__, 0,
                         ("stream", "max_version", "dl_device", "copy")),
    "Plane.__dlpack__": (lambda t: t["plane"].__dlpack__, 0,
                         ("stream", "max_version", "dl_device", "copy")),
    "Plane.__array__": (lambda t: t["plane"].__array__, 2, ("dtype", "copy")),
    "wait_any": (lambda t: lambda some: cuframes.wait_any(some, 0.01), 1, ()),
    "batch": (lambda t: lambda some: cuframes.batch(some, 0.01), 1, ()),
    "info": (lambda t: lambda key: cuframes.info(key, timeout=0.05), 1, ()),
    "snapshot": (lambda t: lambda key: cuframes.snapshot(key, timeout=0.05), 1, ()),
    "list": (lambda t: cuframes.list, 1, ()),
    "watch": (lambda t: cuframes.watch, 1, ()),
    "PixelFormat.of": (lambda t: cuframes.PixelFormat.of, 1, ()),
    "open": (lambda t: lambda key, **named: cuframes.open(key, **{"timeout": 0.02, **named}), 1,
             ("mode", "fps", "every", "device", "reconnect", "name", "max_holds", "staged",
              "runtime_dir")),
    "subscribe": (lambda t: lambda key, **named: cuframes.subscribe(
        key, **{"connect_timeout_ms": 20, **named}), 1,
        ("consumer_name", "mode", "cuda_device", "consumer_stream")),
    "packets": (lambda t: lambda key, **named: cuframes.packets(key, timeout=0.02, **named), 1,
                ("start", "streams", "name", "runtime_dir")),
    "Publisher": (lambda t: cuframes.Publisher, 4,
                  ("slots", "policy", "ack_timeout", "device", "fps", "color", "pixel_aspect",
                   "max_subscribers", "max_holds", "socket_mode", "socket_group", "runtime_dir",
                   "alignment")),
    "Publisher.reconfigure": (lambda t: t["pub"].reconfigure, 3, ("slots", "color", "fps")),
    "PacketPublisher": (lambda t: cuframes.PacketPublisher, 2,
                        ("keep", "slots", "size", "max_packet", "max_size", "max_subscribers",
                         "socket_mode", "socket_group", "allowed_users", "runtime_dir")),
    "Group": (lambda t: lambda name, size, rank, **named: cuframes.Group(
        name, size, rank, **{"timeout": 0.02, **named}), 3, ("runtime_dir",)),
    "VideoCapture": (lambda t: lambda key: cuframes.VideoCapture(key, timeout=0.02), 1, ()),
}
GOOD = {"Publisher": ("other", 4, 2, "gray"),
        "PacketPublisher": ("packets", [cuframes.Stream(codec_name="h264")]),
        "Group": ("g", 1, 0), "Publisher.reconfigure": (4, 2, "gray"),
        "Publisher.send": (np.zeros((2, 4), np.uint8),), "Publisher.send_packet": (b"x",),
        "open": ("cam",), "subscribe": ("cam",), "packets": ("cam",)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_junk(things, name):
    made, positional, named = CALLS[name]
    function, good = made(things), GOOD.get(name, ())
    for i, junk in itertools.product(range(positional), JUNK):
        args = list(good) + [None] * (positional - len(good))
        args[i] = junk
        close(try_call(function, *args))
    for word, junk in itertools.product(named, JUNK):
        close(try_call(function, *good, **{word: junk}))
    with pytest.raises(TypeError):
        function(*good, *[0] * 30)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["pts", "pts_ns", "time", "metadata", "flags", "color", "crop",
                                  "copies", "stream"])
def test_junk_as_an_attribute_of_a_slot(things, name):
    for junk in JUNK:
        buffer = things["pub"].acquire()
        setattr(buffer, name, junk)
        if try_call(buffer.publish) is None:
            buffer.discard()
        assert buffer.released


@pytest.mark.parametrize("call, sentence", [
    (lambda: cuframes.Publisher("cam", 0, 2), "width is a number of pixels"),
    (lambda: cuframes.Publisher("cam", 4, 2, slots=1), "slots"),
    (lambda: cuframes.Publisher("cam", 4, 2, slots=65), "slots"),
    (lambda: cuframes.Publisher("cam", 4, 2, alignment=3), "alignment"),
    (lambda: cuframes.Publisher("cam", 4, 2, policy="block"), '"drop" or "wait"'),
    (lambda: cuframes.Publisher("cam", 4, 2, color="sepia"), "bt709"),
    (lambda: cuframes.Publisher("cam", 4, 2, device="tpu"), '"cpu"'),
    (lambda: cuframes.Publisher("cam", 4, 2, "png"), "nv12"),
    (lambda: cuframes.Publisher("cam", 4, 2, socket_group="no such group"), "group"),
    (lambda: cuframes.Publisher("cam", 4, 2, runtime_dir="/" + "x" * 200), "long"),
    (lambda: cuframes.open("cam", mode=7), "mode"),
    (lambda: cuframes.packets("cam", "middle"), '"oldest"'),
    (lambda: cuframes.wait_any([]), "no subscriber"),
    (lambda: cuframes.wait_any(["cam"]), "open"),
    (lambda: cuframes.batch([3]), "open"),
    (lambda: cuframes.info("nobody"), "nobody"),
    (lambda: cuframes.snapshot("nobody", timeout=0.01), "nobody"),
    (lambda: cuframes.watch("/nowhere"), "/nowhere"),
    (lambda: cuframes.Publisher("cam", 4, 2, slots=-1), "slots"),
    (lambda: cuframes.Publisher("cam", 4, 2, alignment=-1), "alignment is a power of 2 in bytes"),
    (lambda: cuframes.Publisher("cam", 4, 2, allowed_users=[2**32]), "not 4294967296"),
    (lambda: cuframes.Publisher("cam", 4, 2, device=0), '"cuda:N"'),
    (lambda: cuframes.Publisher("cam", 4, 2, color=7), "H.273"),
    (lambda: cuframes.PacketPublisher("cam", ["h264"]), "Stream"),
    (lambda: cuframes.PacketPublisher("cam", [cuframes.Stream(type="film")]), "video, audio"),
    (lambda: cuframes.open("cam", every=2**32), "not 4294967296"),
    (lambda: cuframes.open("cam", max_holds=-1), "max_holds is a number of frames"),
    (lambda: cuframes.open(0), '"cam1"'),
    (lambda: cuframes.VideoCapture(0), '"cam1"'),
    (lambda: cuframes.open("cam", name=5), "printable characters"),
    (lambda: cuframes.Group(None, 2), "descriptor (fd)"),
    (lambda: cuframes.Group("g", 2, 5), "or None"),
])
def test_the_sentence_says_what_is_wrong(call, sentence):
    with pytest.raises((cuframes.CuframesError, ValueError, TypeError),
                       match=re.escape(sentence)):
        close(call())


NUMBER, WHOLE = ("a", [1], float("nan"), float("inf")), ("a", 0.5, 2**70, -2**70, [1])
COUNT, SECONDS = (*WHOLE, -1), ("a", -1, float("nan"), [1], type)
KEY, TEXT, PATH, SWITCH = (5, b"a", "a\0b", "\udc80"), (5, b"a", "a\0b"), (5, "a\0b", [1]), ("no", 2, [1])
RATE, WORD, LIST = ("a", -1, [1], float("nan"), 1e300), ("a", 5, [1]), (5, "cam", type)
DEVICE, COLOR = ("gpu", "cuda:x", "cuda:-1", 0), ("sepia", 7, (1, 2), (1, 2, 3, 256), (1, 2, 3, "x"))
STAMP, META = ("a", [1], float("nan"), -5), (object(), {1j: 2}, {"a": type})
ACCESS = {"max_subscribers": COUNT, "socket_mode": (*COUNT, 0o1000), "socket_group": TEXT,
          "allowed_users": (5, "abc", [-1], ["x"], [2**32]), "runtime_dir": PATH}
RING = {"keep": SECONDS, "slots": COUNT, "size": COUNT, "max_packet": COUNT, "max_size": COUNT}
H264 = cuframes.Stream(codec_name="h264")


def with_group(call):
    def called(things, **wrong):
        with cuframes.Group("g", 1, timeout=5) as group:
            return call(group, **wrong)
    return called


def publish_slot(things, **wrong):
    with_slot = things["pub"].acquire()
    try:
        setattr(with_slot, *next(iter(wrong.items())))
        return with_slot.publish()
    finally:
        with_slot.discard()


# What is called with one argument that is wrong, and which.
WRONG = {
    "open": (lambda t, **w: cuframes.open(**{"key": "cam", "timeout": 1, **w}),
             {"key": KEY, "mode": WORD, "fps": (*NUMBER, 0, -1), "every": (*COUNT, 0),
              "device": DEVICE, "timeout": SECONDS, "reconnect": SWITCH, "name": TEXT,
              "max_holds": COUNT, "staged": SWITCH, "runtime_dir": PATH}),
    "subscribe": (lambda t, **w: cuframes.subscribe(**{"key": "cam", **w}),
                  {"key": KEY, "consumer_name": TEXT, "mode": WORD, "cuda_device": WHOLE,
                   "connect_timeout_ms": WHOLE, "consumer_stream": COUNT}),
    "snapshot": (lambda t, **w: cuframes.snapshot(**{"key": "cam", **w}),
                 {"key": KEY, "timeout": SECONDS, "runtime_dir": PATH}),
    "list": (lambda t, **w: cuframes.list(**w), {"runtime_dir": PATH}),
    "info": (lambda t, **w: cuframes.info(**{"key": "cam", **w}),
             {"key": KEY, "timeout": SECONDS, "runtime_dir": PATH}),
    "watch": (lambda t, **w: cuframes.watch(**w), {"timeout": SECONDS, "runtime_dir": PATH}),
    "Watch.next": (lambda t, **w: cuframes.watch().next(**w), {"timeout": SECONDS}),
    "wait_any": (lambda t, **w: cuframes.wait_any(**{"subscribers": [t["sub"]], **w}),
                 {"subscribers": (*LIST, ["x"]), "timeout": SECONDS}),
    "batch": (lambda t, **w: cuframes.batch(**{"subscribers": [t["sub"]], **w}),
              {"subscribers": (*LIST, ["x"]), "deadline": SECONDS}),
    "packets": (lambda t, **w: cuframes.packets(**{"key": "cam", "timeout": 1, **w}),
                {"key": KEY, "start": (*NUMBER, -1, 1e9), "streams": (5, "abc", [32], ["a"]),
                 "timeout": SECONDS, "reconnect": SWITCH, "name": TEXT, "runtime_dir": PATH}),
    "next_packet": (lambda t, **w: cuframes.packets("cam", timeout=5).next_packet(**w),
                    {"timeout": SECONDS}),
    "connect": (lambda t, **w: t["sub"].connect(**w), {"timeout": SECONDS}),
    "next_frame": (lambda t, **w: t["sub"].next_frame(**w), {"timeout_ms": WHOLE[:3]}),
    "Frame.numpy": (lambda t, **w: t["frame"].numpy(**w), {"plane": ("a", 0.5, 1, 2**70, -1)}),
    "Frame.bgr": (lambda t, **w: t["frame"].bgr(**w), {"out": (np.zeros((2, 4)), 5, "a")}),
    "Publisher": (lambda t, **w: cuframes.Publisher(
        **{"key": "other", "width": 4, "height": 2, "format": "gray", **w}),
        {"key": KEY, "width": (*COUNT, 0), "height": (*COUNT, 0), "format": ("png", 99, 1.5, None),
         "slots": (*COUNT, 1), "policy": WORD, "ack_timeout": SECONDS, "device": DEVICE,
         "fps": RATE, "pixel_aspect": RATE, "color": COLOR, "max_holds": COUNT,
         "alignment": (*COUNT, 3), **ACCESS}),
    "reconfigure": (lambda t, **w: t["pub"].reconfigure(
        **{"width": 4, "height": 2, "format": "gray", **w}),
        {"width": (*COUNT, 0), "height": (*COUNT, 0), "format": ("png", 99, None),
         "slots": COUNT, "fps": RATE, "color": COLOR}),
    "frame": (lambda t, **w: t["pub"].frame(**w).__exit__(None, None, None),
              {"pts": NUMBER, "time": STAMP, "metadata": META, "flags": COUNT, "wait": SECONDS}),
    "send": (lambda t, **w: t["pub"].send(**{"picture": np.zeros((2, 4), np.uint8), **w}),
             {"pts": NUMBER, "time": STAMP, "metadata": META, "flags": COUNT,
              "picture": ("a", np.zeros((3, 3)), 5, [[1], [1, 2]])}),
    "Buffer": (publish_slot,
               {"pts": NUMBER, "pts_ns": WHOLE[:3], "time": STAMP, "metadata": META,
                "flags": COUNT, "color": COLOR, "crop": (5, (1, 2), (0, 0, "a", 1), (-1,) * 4),
                "copies": COUNT, "stream": COUNT, "packet_seq": COUNT}),
    "send_packet": (lambda t, **w: t["pub"].send_packet(**{"data": b"x", **w}),
                    {"data": (5, "a", None), "pts": NUMBER, "dts": NUMBER, "duration": NUMBER,
                     "time": STAMP, "flags": COUNT, "stream": (*COUNT, 32)}),
    "set_streams": (lambda t, **w: t["pub"].set_streams(**w), {"streams": (*LIST, ["h264"])}),
    "add_client": (lambda t, fd: t["pub"].add_client(fd), {"fd": COUNT}),
    "PacketPublisher": (lambda t, **w: cuframes.PacketPublisher(
        **{"key": "other", "streams": [H264], **w}),
        {"key": KEY, "streams": (*LIST, ["h264"]), **RING, **ACCESS}),
    "Stream": (lambda t, **w: t["pub"].set_streams([cuframes.Stream(**{"codec_name": "h264", **w})]),
               {"type": WORD, "packaging": WORD, "codec_id": WHOLE, "codec_name": (*TEXT, "k" * 32),
                "language": (*TEXT, "k" * 8), "time_base": ("a", 0.5, -1, 2**31), "fps": RATE,
                "pixel_aspect": RATE, "width": WHOLE, "color": COLOR, "bit_rate": WHOLE,
                "sample_rate": WHOLE, "extradata": (5, "a")}),
    "Group": (lambda t, **w: cuframes.Group(**{"name": "g", "size": 1, "timeout": 1, **w}),
              {"name": TEXT, "size": COUNT, "rank": COUNT, "timeout": SECONDS,
               "runtime_dir": PATH, "fd": ("a", 0.5, -2)}),
    "barrier": (with_group(lambda g, **w: g.barrier(**w)), {"ranks": COUNT, "timeout": SECONDS}),
    "all_gather": (with_group(lambda g, **w: g.all_gather(**{"data": b"", **w})),
                   {"data": (5, "a", None), "timeout": SECONDS}),
    "broadcast": (with_group(lambda g, **w: g.broadcast(**{"root": 0, "data": b"", **w})),
                  {"root": COUNT, "data": (5, "a"), "timeout": SECONDS}),
    "all_gather_fds": (with_group(lambda g, **w: g.all_gather_fds(**{"fds": [], **w})),
                       {"fds": (5, ["a"], type), "timeout": SECONDS}),
    "broadcast_fds": (with_group(lambda g, **w: g.broadcast_fds(**{"root": 0, "fds": [], **w})),
                      {"root": COUNT, "fds": (5, ["a"]), "timeout": SECONDS}),
    "VideoCapture": (lambda t, **w: cuframes.VideoCapture(**{"key": "cam", **w}),
                     {"key": (5, "a\0b"), "timeout": SECONDS, "fps": NUMBER, "reconnect": SWITCH}),
    "VideoCapture.get": (lambda t, propId: cuframes.VideoCapture("cam").get(propId),
                         {"propId": WHOLE}),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_error_names_the_argument_and_what_was_given(things, name):
    call, arguments = WRONG[name]
    for argument, values in arguments.items():
        for value in values:
            with pytest.raises((cuframes.CuframesInvalidArgument, TypeError, BufferError)) as raised:
                close(call(things, **{argument: value}))
            text = str(raised.value)
            assert argument in text, text
            shown = repr(value)[:70].strip("'[]")
            assert shown in text or isinstance(value, (list, tuple, np.ndarray, dict)) or (
                isinstance(value, str) and (ascii(value) in text or argument == "runtime_dir")), text


def test_what_is_closed_says_so(things):
    pub, sub = things["pub"], things["sub"]
    with cuframes.Publisher("other", 4, 2, "gray") as other, \
            cuframes.open("other", timeout=5) as reader, cuframes.watch() as watch:
        slot = other.acquire()
    for call in (other.acquire, other.stats, other.subscribers, other.frame,
                 lambda: other.info, lambda: other.send(np.zeros((2, 4), np.uint8)),
                 lambda: next(reader), reader.poll, reader.next_frame, reader.fileno,
                 lambda: reader.info, lambda: next(watch), watch.fileno, slot.publish):
        with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
            call()
    # Its memory is still there.
    assert not slot.numpy(0).any()
    for closed in (other, reader, watch):
        closed.close()
    assert not pub.closed and not sub.closed


def test_where_c_speaks_of_its_own_names(things):
    with cuframes.Publisher("other", 4, 2, "gray") as other, \
            cuframes.PacketPublisher("packets", [cuframes.Stream(codec_name="h264")]):
        slot = other.acquire()
        slot.stream = 5
        for call, sentence in ((lambda: other.send_packet(b"x"), r"call enable_packets\(\) first"),
                               (slot.publish, "without a stream"),
                               (lambda: cuframes.open("packets", timeout=5), r"cuframes\.packets\(\)")):
            with pytest.raises(cuframes.CuframesError, match=sentence) as raised:
                call()
            assert not re.search(r"NULL|CUFRAMES_|cuframes_[a-z]+_", str(raised.value))


@pytest.mark.parametrize("out", [
    np.zeros((48, 64, 3)), np.zeros((48, 64, 3), np.uint16), np.zeros((48, 64), np.uint8),
    np.zeros((48, 64, 3), np.uint8)[:, ::-1]])
@pytest.mark.parametrize("format", ["nv12", "rgb", "bgr"])
def test_an_out_that_does_not_fit_is_refused(out, format):
    with cuframes.Publisher("cam", 64, 48, format) as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(np.full((72, 64) if format == "nv12" else (48, 64, 3), 100, np.uint8))
        frame = next(sub)
        with pytest.raises(cuframes.CuframesInvalidArgument, match="out|rows"):
            frame.bgr(out=out)
        # A view of a frame is read-only memory.
        with pytest.raises((BufferError, ValueError)):
            frame.bgr(out=frame.numpy(0))
