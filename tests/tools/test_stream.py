# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames that leave the channel: cat as raw, y4m and NUT, and snapshots."""
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import termios
import time
import zlib

import toolbox

FFMPEG_NAMES = {"nv12": "nv12", "yuv420p": "yuv420p", "yuv444p": "yuv444p", "p010": "yuv420p10le",
                "rgb": "rgb24", "bgr": "bgr24", "rgba": "rgba", "bgra": "bgra", "grayscale": "gray",
                "gray16": "gray16le"}

WIDTH, HEIGHT = 33, 17
HALF = (WIDTH + 1) // 2 * ((HEIGHT + 1) // 2)


def png_rows(data):
    """(width, height, rows) of an 8-bit RGB PNG, by the standard."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    offset, packed, width, height = 8, b"", 0, 0
    while offset < len(data):
        (length,) = struct.unpack(">I", data[offset : offset + 4])
        kind, body = data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) == (8, 2)
        elif kind == b"IDAT":
            packed += body
        offset += length + 12
    raw = zlib.decompress(packed)
    rows = []
    for y in range(height):
        kind, row = raw[y * (width * 3 + 1)], bytearray(raw[y * (width * 3 + 1) + 1 :][: width * 3])
        assert kind in (0, 1)
        if kind == 1:
            for i in range(3, len(row)):
                row[i] = (row[i] + row[i - 3]) & 255
        rows.append(bytes(row))
    return width, height, rows


def planar_ten_bits(raw):
    """A P010 frame with its samples' bits at the bottom and chroma in planes of its own."""
    count, luma = len(raw) // 2, WIDTH * HEIGHT
    samples = [s >> 6 for s in struct.unpack(f"<{count}H", raw)]
    planar = samples[:luma] + samples[luma::2] + samples[luma + 1 :: 2]
    return struct.pack(f"<{count}H", *planar)


class Stream(toolbox.ToolTest):
    def frames(self, count, pixels, *args):
        """`count` frames of a source as one byte string."""
        source = self.start("test-source", "cam1", "--size", f"{WIDTH}x{HEIGHT}", "--format", pixels,
                            "--fps", "100", "--policy", "wait", "--ack-timeout-ms", "10000",
                            "--frames", str(count), "--wait-subscribers", "2", "--slots", "16")
        other = self.start("cat", "cam1", "--format", "raw")
        reader = self.start("cat", "cam1", *args)
        out, err = self.finish(reader)
        self.assertEqual(err, b"")
        raw, _ = self.finish(other)
        self.finish(source)
        return out, raw

    def test_y4m_of_planar_frames_is_raw_with_headers(self):
        y4m, raw = self.frames(5, "yuv420p", "--format", "y4m")
        header, rest = y4m.split(b"\n", 1)
        self.assertEqual(header.split(b" ")[:4], [b"YUV4MPEG2", b"W33", b"H17", b"F100:1"])
        size = WIDTH * HEIGHT + 2 * HALF
        self.assertEqual(len(raw), 5 * size)
        for i in range(5):
            frame = rest[i * (size + 6) :][: size + 6]
            self.assertEqual(frame[:6], b"FRAME\n")
            self.assertEqual(frame[6:], raw[i * size :][:size])

    def test_y4m_of_interleaved_frames_is_planar(self):
        y4m, raw = self.frames(2, "nv12", "--format", "y4m")
        rest = y4m.split(b"\n", 1)[1]
        luma = WIDTH * HEIGHT
        size = luma + 2 * HALF
        for i in range(2):
            frame, source = rest[i * (size + 6) + 6 :][:size], raw[i * size :][:size]
            self.assertEqual(frame[:luma], source[:luma])
            self.assertEqual(frame[luma : luma + HALF], source[luma::2])
            self.assertEqual(frame[luma + HALF :], source[luma + 1 :: 2])

    def test_y4m_of_ten_bits_has_them_at_the_bottom(self):
        y4m, raw = self.frames(1, "p010", "--format", "y4m")
        self.assertEqual(y4m.split(b"FRAME\n", 1)[1], planar_ten_bits(raw))

    def test_y4m_has_no_rgb(self):
        source = self.source("cam1", "--format", "rgb")
        out, err = self.run_tool("cat", "cam1", "--format", "y4m", code=1)
        self.assertEqual(out, "")
        self.assertIn("nut", err)
        self.end(source)

    def test_ffmpeg_reads_what_was_published(self):
        if not shutil.which("ffmpeg"):
            self.skipTest("no ffmpeg")
        streams = [("nut", pixels) for pixels in FFMPEG_NAMES]
        streams += [("yuv4mpegpipe", p) for p in ("nv12", "yuv420p", "yuv444p", "p010", "grayscale")]
        for kind, pixels in streams:
            option = "nut" if kind == "nut" else "y4m"
            stream, raw = self.frames(3, pixels, "--format", option)
            if pixels == "p010":
                raw = b"".join(planar_ten_bits(raw[i * len(raw) // 3 :][: len(raw) // 3])
                               for i in range(3))
            decoded = subprocess.run(
                ["ffmpeg", "-v", "error", "-f", kind, "-i", "pipe:", "-f", "rawvideo", "-pix_fmt",
                 FFMPEG_NAMES[pixels], "-vsync", "0", "pipe:"],
                input=stream, capture_output=True, timeout=toolbox.TIMEOUT_S, check=True)
            self.assertEqual(decoded.stdout, raw, (kind, pixels))

    def test_reader_of_the_pipe_goes_away(self):
        source = self.source("cam1", "--fps", "200")
        for kind in ("raw", "y4m", "nut"):
            cat = self.start("cat", "cam1", "--format", kind)
            cat.stdout.read(1000)
            cat.stdout.close()
            cat.stdout = None
            _, err = self.finish(cat, 1)
            self.assertEqual(err, b"")
        self.end(source)

    def test_reader_of_the_pipe_goes_away_while_nothing_comes(self):
        source = self.source("cam1", "--wait-subscribers", "9")
        cat = self.start("cat", "cam1", "--format", "raw")
        self.wait_for(lambda: self.run_json("info", "cam1", "--json")["subscribers"], "the reader")
        cat.stdout.close()
        cat.stdout = None
        self.finish(cat, 1)
        self.end(source)

    def is_stuck(self, process):
        before = struct.unpack("i", fcntl.ioctl(process.stdout, termios.FIONREAD, b"0000"))
        time.sleep(0.2)
        after = struct.unpack("i", fcntl.ioctl(process.stdout, termios.FIONREAD, b"0000"))
        return before == after != (0,)

    def test_signal_while_the_pipe_is_full(self):
        source = self.source("cam1", "--fps", "500", "--size", "640x480")
        for kind in ("raw", "y4m", "nut"):
            cat = self.start("cat", "cam1", "--format", kind)
            self.wait_for(lambda: self.is_stuck(cat), "a full pipe")
            cat.send_signal(signal.SIGTERM)
            cat.wait(timeout=toolbox.TIMEOUT_S)
            self.assertEqual(cat.returncode, 0, kind)
        self.end(source)

    def test_change_of_size_ends_the_stream(self):
        source = self.source("cam1", "--fps", "200", "--alternate-size", "128x72",
                             "--alternate-every", "20", "--wait-subscribers", "1")
        for kind in ("raw", "y4m", "nut"):
            _, err = self.finish(self.start("cat", "cam1", "--format", kind), 1)
            self.assertIn(b"64x48", err)
            self.assertIn(b"128x72", err)
        self.end(source)

    def test_limits(self):
        source = self.source("cam1", "--fps", "200", "--format", "grayscale")
        out, _ = self.finish(self.start("cat", "cam1", "--format", "raw", "--frames", "7"))
        self.assertEqual(len(out), 7 * 64 * 48)
        begin = time.monotonic()
        self.finish(self.start("cat", "cam1", "--format", "raw", "--seconds", "0.5"))
        self.assertGreaterEqual(time.monotonic() - begin, 0.5)
        self.end(source)

    def test_snapshot_is_the_frame(self):
        picture = os.path.join(self.dir, "picture.png")
        self.leftovers.add("picture.png")
        source = self.start("test-source", "cam1", "--size", f"{WIDTH}x{HEIGHT}", "--format", "rgb",
                            "--fps", "1000", "--frames", "1", "--wait-subscribers", "2")
        raw = self.start("cat", "cam1", "--format", "raw")
        self.run_tool("snapshot", "cam1", picture)
        with open(picture, "rb") as file:
            width, height, rows = png_rows(file.read())
        self.assertEqual((width, height), (WIDTH, HEIGHT))
        self.assertEqual(b"".join(rows), self.finish(raw)[0])
        self.assertEqual(os.stat(picture).st_mode & 0o777, 0o666 & ~current_umask())
        self.finish(source)

    def test_snapshot_as_jpeg_and_to_stdout(self):
        source = self.source("cam1", "--fps", "100")
        picture = os.path.join(self.dir, "picture.JPG")
        self.leftovers.add("picture.JPG")
        self.run_tool("snapshot", "cam1", picture, "--quality", "50")
        with open(picture, "rb") as file:
            data = file.read()
        self.assertEqual((data[:2], data[-2:]), (b"\xff\xd8", b"\xff\xd9"))
        out, _ = self.finish(self.start("snapshot", "cam1", "-", "--type", "png"))
        self.assertEqual(png_rows(out)[:2], (64, 48))
        self.end(source)

    def test_snapshot_that_cannot_be_written(self):
        source = self.source("cam1", "--fps", "100")
        _, err = self.run_tool("snapshot", "cam1", f"{self.dir}/no/such/dir.png", code=1)
        self.assertIn("No such file", err)
        _, err = self.run_tool("snapshot", "cam1", "/dev/full", "--type", "png", code=1)
        self.assertIn("No space", err)
        self.end(source)

    def test_snapshot_of_a_channel_without_frames(self):
        source = self.source("cam1", "--wait-subscribers", "9")
        _, err = self.run_tool("snapshot", "cam1", f"{self.dir}/x.png", "--wait", "0.3", code=1)
        self.assertIn("no frame", err)
        self.end(source)


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


if __name__ == "__main__":
    toolbox.main()
