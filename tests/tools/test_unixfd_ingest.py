# SPDX-License-Identifier: LGPL-2.1-or-later
"""cuframes ingest unixfd: what a sink offers, and sinks that offer what cannot be."""
import os
import signal
import struct
import tempfile
import zlib

from toolbox import ToolTest, main
from unixfd_peer import (EOS, NEW_BUFFER, RELEASE_BUFFER, Sink, buffer_payload, caps_text, memfd,
                         message, send_caps, send_picture, time_meta, video_meta)

WIDTH, HEIGHT = 64, 48
SIZE = WIDTH * HEIGHT * 3 // 2


class Ingest(ToolTest):
    def setUp(self):
        super().setUp()
        self.path = f"{self.dir}/gst"
        self.leftovers.update({"gst", "sums"})
        self.sink = Sink(self.path)
        self.addCleanup(self.sink.close)

    def ingest(self, *args):
        return self.start("ingest", f"unixfd:{self.path}", "--key", "cam", "--policy", "wait",
                          "--ack-timeout-ms", "20000", "--wait-subscribers", "1", *args)

    def reader(self):
        return self.start("sub", "cam", "--mode", "order", "--wait", "20", "--checksum",
                          f"{self.dir}/sums")

    def checksums(self):
        with open(f"{self.dir}/sums", encoding="ascii") as file:
            return [int(line.split()[1], 16) for line in file]

    def test_pictures(self):
        ingest, reader = self.ingest(), self.reader()
        connection = self.sink.accept()
        send_caps(connection, caps_text(WIDTH, HEIGHT))
        pictures = [os.urandom(SIZE) for _ in range(30)]
        for number, data in enumerate(pictures):
            send_picture(connection, number + 1000, data, pts=number * 1000000,
                         metas=[time_meta(1700000000 * 10**9 + number)])
        connection.send(message(EOS))
        out, _ = self.finish(ingest)
        self.finish(reader)
        self.assertEqual(self.checksums(), [zlib.crc32(data) for data in pictures])
        self.assertIn(b"30 frames published, all of them copied; 0 dropped, 0 reconnects", out)

    def test_padded_rows_and_several_memories(self):
        """Rows of 80 bytes for 64, and a memory for each plane."""
        ingest, reader = self.ingest(), self.reader()
        connection = self.sink.accept()
        send_caps(connection, caps_text(WIDTH, HEIGHT))
        expected = []
        for number in range(5):
            luma, chroma = os.urandom(80 * HEIGHT), os.urandom(80 * HEIGHT // 2)
            fds = [memfd(b"before" + luma), memfd(chroma)]
            payload = buffer_payload(number, [(len(luma), 6), (len(chroma), 0)],
                                     [video_meta(WIDTH, HEIGHT, [0, len(luma)], [80, 80])])
            connection.send(message(NEW_BUFFER, payload), fds)
            for fd in fds:
                os.close(fd)
            self.assertEqual(connection.receive()[0], RELEASE_BUFFER)
            rows = b"".join(plane[at:at + WIDTH] for plane in (luma, chroma)
                            for at in range(0, len(plane), 80))
            expected.append(zlib.crc32(rows))
        connection.send(message(EOS))
        self.finish(ingest)
        self.finish(reader)
        self.assertEqual(self.checksums(), expected)

    def test_new_caps_in_mid_stream(self):
        ingest, reader = self.ingest(), self.reader()
        connection = self.sink.accept()
        expected = []
        for name, size in (("NV12", SIZE), ("RGB", WIDTH * HEIGHT * 3), ("NV12", SIZE)):
            send_caps(connection, caps_text(WIDTH, HEIGHT, name, ", colorimetry=(string)bt709"))
            data = os.urandom(size)
            send_picture(connection, len(expected), data)
            expected.append(zlib.crc32(data))
        connection.send(message(EOS))
        self.finish(ingest)
        self.finish(reader)
        self.assertEqual(self.checksums(), expected)

    def test_the_sink_comes_again(self):
        ingest, reader = self.ingest(), self.reader()
        for number in range(3):
            connection = self.sink.accept()
            send_caps(connection, caps_text(WIDTH, HEIGHT))
            send_picture(connection, number, bytes(SIZE))
            connection.close()
        self.end(ingest)
        self.finish(reader)
        self.assertEqual(len(self.checksums()), 3)

    def refused(self, *pieces, fds=(), said=""):
        """The connection ends, and the next one is served."""
        ingest, reader = self.ingest(), self.reader()
        connection = self.sink.accept()
        for piece in pieces:
            connection.send(piece, fds if piece is pieces[-1] else ())
        self.assertTrue(connection.is_closed())
        connection = self.sink.accept()
        send_caps(connection, caps_text(WIDTH, HEIGHT))
        send_picture(connection, 1, bytes(SIZE))
        connection.send(message(EOS))
        _, err = self.finish(ingest)
        self.finish(reader)
        self.assertIn(said, err.decode())

    def caps(self):
        return message(2, caps_text(WIDTH, HEIGHT).encode() + b"\0")

    def picture_message(self, size=SIZE, memories=None, **more):
        return message(NEW_BUFFER, buffer_payload(7, memories or [(size, 0)], **more))

    def test_memory_that_ends_within_the_picture(self):
        fd = memfd(bytes(SIZE - 1))
        self.refused(self.caps(), self.picture_message(), fds=[fd], said="ends within the picture")
        os.close(fd)

    def test_descriptors_of_something_else(self):
        """Reading a pipe may take for ever, and so may a file: nobody knows what is behind it."""
        ends = os.pipe()
        self.addCleanup(lambda: [os.close(fd) for fd in ends])
        with open(__file__, "rb") as file:
            for fd in (ends[0], file.fileno()):
                with self.subTest(fd=os.readlink(f"/proc/self/fd/{fd}")):
                    self.refused(self.caps(), self.picture_message(), fds=[fd],
                                 said="not of shared memory")

    def test_memory_of_dev_shm(self):
        with tempfile.TemporaryFile(dir="/dev/shm") as file:
            file.write(bytes(SIZE))
            file.flush()
            ingest, reader = self.ingest(), self.reader()
            connection = self.sink.accept()
            connection.send(self.caps())
            connection.send(self.picture_message(), [file.fileno()])
            connection.send(message(EOS))
            self.finish(ingest)
            self.finish(reader)
        self.assertEqual(self.checksums(), [zlib.crc32(bytes(SIZE))])

    def test_a_buffer_that_is_too_small(self):
        fd = memfd(bytes(100))
        self.refused(self.caps(), self.picture_message(100), fds=[fd], said="does not fit")
        os.close(fd)

    def test_wrong_number_of_descriptors(self):
        fd = memfd(bytes(SIZE))
        self.refused(self.caps(), self.picture_message(), fds=[fd, fd],
                     said="does not describe itself")
        os.close(fd)

    def test_no_descriptors(self):
        self.refused(self.caps(), self.picture_message(), said="does not describe itself")

    def test_a_buffer_before_caps(self):
        fd = memfd(bytes(SIZE))
        self.refused(self.picture_message(), fds=[fd], said="before its caps")
        os.close(fd)

    def test_planes_outside(self):
        fd = memfd(bytes(SIZE))
        meta = video_meta(WIDTH, HEIGHT, [0, 2**63], [64, 64])
        self.refused(self.caps(), self.picture_message(metas=[meta]), fds=[fd], said="does not fit")
        os.close(fd)

    def test_a_meta_that_is_longer_than_the_message(self):
        fd = memfd(bytes(SIZE))
        meta = struct.pack("<II", 1000, 4) + b"name\0\0"
        self.refused(self.caps(), self.picture_message(metas=[meta]), fds=[fd],
                     said="does not describe itself")
        os.close(fd)

    def test_a_giant_message(self):
        self.refused(struct.pack("=II", NEW_BUFFER, 1 << 30), said="too long")

    def test_caps_that_no_channel_can_have(self):
        for text in ("audio/x-raw, format=(string)S16LE", caps_text(64, 48, "YUY2"),
                     caps_text(0, 48), "video/x-raw(memory:CUDAMemory), format=(string)NV12"):
            with self.subTest(caps=text):
                ingest = self.ingest()
                send_caps(self.sink.accept(), text)
                _, err = self.finish(ingest, code=1)
                self.assertIn(b"caps cannot be a channel's", err)

    def test_dma_bufs(self):
        ingest = self.ingest()
        connection = self.sink.accept()
        fd = memfd(bytes(SIZE))
        connection.send(self.caps())
        connection.send(self.picture_message(kind=1), [fd])
        os.close(fd)
        _, err = self.finish(ingest, code=1)
        self.assertIn(b"DMA-BUF", err)

    def test_no_sink(self):
        _, err = self.run_tool("ingest", f"unixfd:{self.dir}/none", "--key", "cam",
                               "--no-reconnect", code=1)
        self.assertIn("cannot connect", err)

    def test_ended_while_it_waits(self):
        process = self.start("ingest", f"unixfd:{self.dir}/none", "--key", "cam")
        self.wait_until_it_catches(process)
        self.end(process, number=signal.SIGINT)

    def test_no_key(self):
        _, err = self.run_tool("ingest", f"unixfd:{self.path}", code=2)
        self.assertIn("--key", err)


if __name__ == "__main__":
    main()
