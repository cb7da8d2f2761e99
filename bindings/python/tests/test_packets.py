# SPDX-License-Identifier: LGPL-2.1-or-later
"""The encoded stream beside the frames."""
import asyncio
import datetime
import fractions
import pickle

import numpy as np
import pytest

import cuframes

VIDEO = cuframes.Stream(codec_id=27, codec_name="h264", packaging="annexb", width=64, height=48,
                        time_base=fractions.Fraction(1, 90000), fps=fractions.Fraction(25),
                        color=(1, 1, 1, 1), extradata=b"\0\0\0\1gh", video_delay=2)
AUDIO = cuframes.Stream(type="audio", codec_id=86018, codec_name="aac", language="eng",
                        sample_rate=48000, channels=2, channel_mask=3, extradata=b"\x11\x90")
KEY = cuframes.PacketFlags.KEY


@pytest.fixture
def pub():
    with cuframes.Publisher("cam", 4, 2, "gray") as publisher:
        publisher.enable_packets([VIDEO, AUDIO])
        yield publisher


def test_packets_arrive_as_they_were_sent(pub):
    taken = datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)
    pub.send_packet(b"first", pts=1.0, dts=0.96, duration=0.04, time=taken, flags=KEY)
    pub.send_packet(b"sound", pts=1.0, stream=1)
    pub.send_packet(bytearray(b"second"))
    with cuframes.packets("cam", timeout=5) as reader:
        assert reader.streams == [VIDEO, AUDIO]
        first, sound, second = (next(reader) for _ in range(3))
    assert [bytes(p) for p in (first, sound, second)] == [b"first", b"sound", b"second"]
    assert (first.seq, first.pts, first.pts_ns, first.dts, first.duration) == (
        0, 1.0, 1000000000, 0.96, 0.04)
    assert first.is_key and first.time == taken and len(first) == 5
    assert first.clock_source is cuframes.ClockSource.APPLICATION
    assert first.stream == VIDEO and sound.stream == AUDIO and sound.stream_index == 1
    assert (second.pts, second.dts, second.time, second.lost) == (None, None, None, 0)
    assert not second.is_key and 0 <= second.age < 60
    assert "second" not in repr(second) and "6 bytes of h264" in repr(second)
    with pytest.raises((BufferError, TypeError)):
        memoryview(first)[0] = 1


def test_where_a_reader_starts(pub):
    for number in range(6):
        pub.send_packet(b"%d" % number, flags=KEY if number % 3 == 0 else 0)
    first = {start: bytes(memoryview(next(cuframes.packets("cam", start, timeout=5))))
             for start in ("newest", "oldest", 3600.0, 0.0)}
    assert first == {"newest": b"3", "oldest": b"0", 3600.0: b"0", 0.0: b"3"}
    with pytest.raises(cuframes.CuframesInvalidArgument, match="newest"):
        cuframes.packets("cam", "middle")
    pub.send_packet(b"a", stream=1)
    with cuframes.packets("cam", "oldest", streams=[1], timeout=5) as reader:
        assert next(reader).stream == AUDIO


def test_a_new_description_begins_a_generation(pub):
    pub.send_packet(b"old", flags=KEY)
    with cuframes.packets("cam", timeout=5) as reader:
        old = next(reader)
        pub.set_streams([cuframes.Stream(codec_id=173, codec_name="hevc")])
        pub.send_packet(b"new", flags=KEY)
        new = next(reader)
        assert new.flags & cuframes.PacketFlags.GENERATION and new.generation == old.generation + 1
        assert new.stream.codec_name == "hevc" and old.stream == VIDEO
        assert len(reader.streams) == 1


def test_what_was_overwritten_is_counted():
    with cuframes.Publisher("cam", 4, 2, "gray") as pub:
        pub.enable_packets([VIDEO], slots=16)
        pub.send_packet(b"0", flags=KEY)
        with cuframes.packets("cam", timeout=5) as reader:
            assert next(reader).seq == 0
            for number in range(1, 100):
                pub.send_packet(b"%d" % number, flags=KEY if number % 5 == 0 else 0)
            packet = next(reader)
            assert packet.is_key and packet.lost == packet.seq - 1 > 0


def test_waits_and_ends():
    with cuframes.Publisher("cam", 4, 2, "gray") as pub:
        with pytest.raises(cuframes.CuframesError):
            cuframes.packets("cam", timeout=5)
        with pytest.raises(cuframes.CuframesPacketError):
            pub.send_packet(b"x")
        pub.enable_packets([VIDEO])
        with pytest.raises(cuframes.CuframesAlreadyExists):
            pub.enable_packets([VIDEO])
        reader = cuframes.packets("cam", timeout=0.05, reconnect=False)
        with pytest.raises(cuframes.CuframesFrameTimeout):
            next(reader)
        assert reader.next_packet(0) is None
        with pytest.raises(cuframes.CuframesPacketError):
            pub.send_packet(b"x" * (3 << 20))
        pub.send_packet(b"x", flags=KEY)
    assert [bytes(packet) for packet in reader] == [b"x"]
    reader.close()
    with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
        next(reader)


def test_asyncio(pub):
    async def main():
        async with cuframes.packets("cam", timeout=5, reconnect=False) as reader:
            async def send():
                for number in range(3):
                    await asyncio.sleep(0.02)
                    pub.send_packet(b"%d" % number, flags=KEY)
                pub.close()

            sending = asyncio.create_task(send())
            assert [bytes(p) async for p in reader] == [b"0", b"1", b"2"]
            await sending

    asyncio.run(main())


def test_frames_and_packets_of_one_channel(pub):
    with cuframes.open("cam", timeout=5) as frames, cuframes.packets("cam", timeout=5) as packets:
        pub.send_packet(b"x", pts=1, flags=KEY)
        with pub.frame(pts=1) as buf:
            buf.packet_seq = 0
        frame, packet = next(frames), next(packets)
        assert frame.pts == packet.pts == 1.0 and frame.packet_seq == packet.seq == 0
        assert frame.copy().packet_seq == 0 and frame.flags & cuframes.FrameFlags.PACKET
        pub.send(np.zeros((2, 4), np.uint8))
        assert next(frames).packet_seq is None
        assert frames.info.streams == 2


def test_a_channel_of_packets_alone():
    with cuframes.PacketPublisher("cam", [VIDEO, AUDIO], size=1 << 20) as pub:
        assert "PacketPublisher cam" in repr(pub) and cuframes.list() == ["cam"]
        assert pub.info.packets_only and pub.info.streams == 2
        assert pub.send_packet(b"first", pts=1.0, flags=KEY) == 0
        with cuframes.packets("cam", timeout=5, reconnect=False) as reader:
            assert reader.streams == [VIDEO, AUDIO] and not reader.closed
            assert bytes(next(reader)) == b"first"
            pub.set_streams([AUDIO])
            pub.send_packet(b"second")
            assert next(reader).stream == AUDIO
            assert reader.stats()["packets_received"] == 2
            report = cuframes.info("cam")
            assert report.stats["packets"] == 2 and report.stats["packet_bytes"] == 11
            assert report.subscribers[0]["packets_received"] == 2
            assert report.stats["frame_subscribers"] == 0
            pub.close()
            assert list(reader) == []
        with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
            pub.send_packet(b"third")
    with pytest.raises(TypeError, match="process"):
        pickle.dumps(pub)


def test_a_channel_of_packets_alone_has_no_frames():
    with cuframes.PacketPublisher("cam", [VIDEO]) as pub:
        for wrong in (lambda: next(cuframes.open("cam", timeout=5)),
                      lambda: cuframes.snapshot("cam")):
            with pytest.raises(cuframes.CuframesError, match="packets"):
                wrong()
        assert not hasattr(pub, "frame") and not hasattr(pub, "send")
        with pytest.raises(cuframes.CuframesInvalidArgument, match="packets"):
            pub._acquire()


@pytest.mark.parametrize("wrong", [
    {"streams": []}, {"streams": [VIDEO] * 100}, {"max_packet": 1 << 30},
    {"streams": [cuframes.Stream(codec_name="h264", extradata=b"x" * 5000)]},
])
def test_a_channel_of_packets_that_cannot_be_leaves_nothing(wrong):
    with pytest.raises(cuframes.CuframesError):
        cuframes.PacketPublisher("cam", **{"streams": [VIDEO], **wrong})
    assert cuframes.list() == []
    with cuframes.PacketPublisher("cam", [VIDEO]):
        with pytest.raises(cuframes.CuframesAlreadyExists):
            cuframes.PacketPublisher("cam", [VIDEO])


def test_pyav_decodes_what_pyav_encoded():
    av = pytest.importorskip("av")
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base = fractions.Fraction(1, 25)
    pictures = [np.full((72, 64), value, np.uint8) for value in (50, 100, 150)]
    encoded = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        encoded += encoder.encode(frame)
    encoded += encoder.encode(None)
    stream = cuframes.Stream(codec_name="mpeg4", codec_id=12, width=64, height=48,
                             time_base=fractions.Fraction(1, 25),
                             extradata=bytes(encoder.extradata or b""))
    with cuframes.Publisher("cam", 4, 2, "gray") as pub:
        pub.enable_packets([stream])
        for packet in encoded:
            pub.send_packet(bytes(packet), pts=float(packet.pts * packet.time_base),
                            flags=KEY if packet.is_keyframe else 0)
        with cuframes.packets("cam", "oldest", timeout=5) as reader:
            decoder, decoded = reader.streams[0].to_av(), []
            for _ in encoded:
                packet = next(reader).to_av()
                decoded += decoder.decode(packet)
            decoded += decoder.decode(None)
    assert [frame.pts for frame in decoded] == [0, 1, 2]
    for frame, picture in zip(decoded, pictures):
        assert abs(int(frame.to_ndarray()[0, 0]) - int(picture[0, 0])) < 4
