# SPDX-License-Identifier: LGPL-2.1-or-later
"""
cuframes unixfd: what a client gets, what it may hold, and what clients do that no one should do.
"""
import os
import resource
import signal
import struct
import threading
import time

from toolbox import ToolTest, main
from unixfd_peer import (CAPS, DISCONT, EOS, NEW_BUFFER, Client, Closed, message, release_message)

SIZE = 64 * 48 * 3 // 2


class Offer(ToolTest):
    def setUp(self):
        super().setUp()
        self.path = f"{self.dir}/gst"
        self.clients = []
        self.addCleanup(lambda: [client.close() for client in self.clients])

    def client(self, path=None):
        client = Client(path or self.path)
        self.clients.append(client)
        return client

    def offer(self, *args, key="cam"):
        process = self.start("unixfd", key, self.path, *args)
        self.wait_for(lambda: process.poll() is not None or os.path.exists(self.path), "the socket")
        return process

    def paced_source(self, *args, fps="100"):
        return self.source("cam", "--fps", fps, *args)

    def held(self):
        """Slots of the channel that somebody holds."""
        return self.run_json("info", "cam", "--json")["slots_held"]

    def finish_offer(self, offer, source):
        out, err = self.end(offer)
        self.end(source)
        self.assertFalse(os.path.exists(self.path))
        return out.decode(), err.decode()


class Frames(Offer):
    def test_the_same_pictures(self):
        source = self.source("cam", "--fps", "200", "--frames", "60", "--policy", "wait",
                             "--ack-timeout-ms", "20000", "--wait-subscribers", "2")
        sums = self.start("sub", "cam", "--mode", "order", "--checksum", f"{self.dir}/sums")
        self.leftovers.add("sums")
        offer = self.offer("--mode", "order", "--wait-clients", "2", "--max-frames", "64")
        clients = [self.client(), self.client()]
        got = [{}, {}]
        last = -1
        for _ in range(60):
            for client, sums_got in zip(clients, got):
                buffer = client.next()
                sums_got[buffer.offset] = client.checksum(buffer)
                if client is clients[0]:
                    self.assertGreater(buffer.pts, last)
                    last = buffer.pts
                    self.assertLessEqual(buffer.pts, time.monotonic_ns())
                self.assertEqual(buffer.offset_end, buffer.offset + 1)
                client.release(buffer)
        self.assertIsNone(clients[0].next())
        self.assertIsNone(clients[1].next())
        self.finish(offer)
        self.finish(sums)
        self.finish(source)
        with open(f"{self.dir}/sums", encoding="ascii") as file:
            expected = {int(seq): int(value, 16) for seq, value in map(str.split, file)}
        self.assertEqual(got, [expected, expected])

    def test_caps_and_metas(self):
        source = self.paced_source("--format", "yuv420p")
        offer = self.offer()
        client = self.client()
        buffer = client.next()
        self.assertTrue(buffer.flags & DISCONT)
        self.assertEqual(client.caps, "video/x-raw, format=(string)I420, width=(int)64, "
                         "height=(int)48, interlace-mode=(string)progressive, "
                         "pixel-aspect-ratio=(fraction)1/1, framerate=(fraction)100/1")
        self.assertEqual(buffer.duration, 10000000)
        video = buffer.metas["GstVideoMeta"]
        self.assertEqual(struct.unpack_from("<iiIII", video), (0, 2, 64, 48, 3))
        self.assertEqual(struct.unpack_from("<3Q", video, 20), (0, 3072, 3840))
        self.assertEqual(struct.unpack_from("<3i", video, 44), (64, 32, 32))
        self.assertEqual(len(video), 36 + 16 * 3)
        self.assertEqual(buffer.memories[0][0], SIZE)
        self.finish_offer(offer, source)

    def test_the_memory_cannot_be_written(self):
        source = self.paced_source()
        offer = self.offer()
        client = self.client()
        buffer = client.next()
        with self.assertRaises(PermissionError):
            os.pwrite(buffer.fds[0], b"x", buffer.memories[0][1])
        with self.assertRaises(PermissionError):
            os.ftruncate(buffer.fds[0], 0)
        self.finish_offer(offer, source)

    def test_new_size_in_mid_stream(self):
        source = self.paced_source("--alternate-size", "32x32", "--alternate-every", "10")
        offer = self.offer("--mode", "order")
        client = self.client()
        sizes = set()
        for _ in range(25):
            buffer = client.next()
            sizes.add((client.caps.split("width=(int)")[1].split(",")[0], buffer.memories[0][0]))
            client.release(buffer)
        self.assertEqual(sizes, {("64", SIZE), ("32", 32 * 32 * 3 // 2)})
        self.finish_offer(offer, source)

    def test_rows_that_gstreamer_pads(self):
        """A width of 66: the channel's rows are packed, GStreamer's are not."""
        source = self.start("test-source", "cam", "--size", "66x48", "--fps", "100")
        self.wait_for(lambda: os.path.exists(f"{self.dir}/cam.sock"), "the channel")
        offer = self.offer()
        client = self.client()
        buffer = client.next()
        self.assertEqual(buffer.memories, [(68 * 72, 0)])
        client.release(buffer)
        out, err = self.finish_offer(offer, source)
        self.assertIn("frames are copied", err)
        self.assertNotIn(" 0 copied", out)

    def test_copies_on_request(self):
        source = self.paced_source()
        offer = self.offer("--copy")
        client = self.client()
        for _ in range(10):
            buffer = client.next()
            self.assertEqual(buffer.memories, [(SIZE, 0)])
            client.release(buffer)
        self.finish_offer(offer, source)

    def test_the_channel_ends(self):
        source = self.paced_source()
        offer = self.offer()
        client = self.client()
        client.next()
        self.end(source)
        for _ in range(100):
            buffer = client.next()
            if not buffer:
                break
            client.release(buffer)
        client.close()
        self.finish(offer)

    def test_the_next_publisher(self):
        source = self.paced_source()
        offer = self.offer("--reconnect")
        client = self.client()
        client.release(client.next())
        self.end(source)
        source = self.paced_source()
        for _ in range(200):
            buffer = client.next()
            client.release(buffer)
            if buffer.flags & DISCONT:
                break
        else:
            self.fail("no discontinuity")
        self.finish_offer(offer, source)


class Holds(Offer):
    def test_a_client_gets_what_it_may_have(self):
        source = self.paced_source()
        offer = self.offer("--max-frames", "3")
        client = self.client()
        buffers = [client.next() for _ in range(3)]
        before = [client.checksum(buffer) for buffer in buffers]
        client.sock.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            client.next()
        client.sock.settimeout(20)
        # What it has does not change.
        self.assertEqual([client.checksum(buffer) for buffer in buffers], before)
        self.assertGreaterEqual(self.held(), 3)
        client.release(buffers[1])
        client.next()
        _, err = self.finish_offer(offer, source)
        self.assertIn("3 frames, all that it may have", err)

    def test_a_client_that_leaves_gives_all_back(self):
        source = self.paced_source()
        offer = self.offer()
        client = self.client()
        for _ in range(4):
            client.next()
        self.assertGreaterEqual(self.held(), 4)
        client.close()
        self.wait_for(lambda: self.held() <= 1, "the frames of a client that left")
        self.finish_offer(offer, source)

    def test_stuck_clients_harm_nobody(self):
        """More of them than there are holds: one keeps all it gets, the others do not even read."""
        source = self.paced_source()
        offer = self.offer("--max-frames", "6")
        stuck = [self.client() for _ in range(6)]
        good = self.client()
        for _ in range(6):
            stuck[0].next()
        began = time.monotonic()
        for _ in range(100):
            good.release(good.next())
        self.assertLess(time.monotonic() - began, 5)
        stats = self.run_json("info", "cam", "--json")
        self.assertEqual(stats["dropped"], 0)
        _, err = self.finish_offer(offer, source)
        self.assertIn("frames are copied: the clients have nearly as many", err)

    def test_copies_that_cannot_be_made(self):
        """They are missed by the clients, said once, and end nothing."""
        source = self.paced_source()
        offer = self.offer("--copy")
        client = self.client()
        client.release(client.next())
        before = resource.prlimit(offer.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(offer.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        client.sock.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            while True:
                client.release(client.next())
        resource.prlimit(offer.pid, resource.RLIMIT_NOFILE, before)
        client.sock.settimeout(20)
        client.release(client.next())
        _, err = self.finish_offer(offer, source)
        self.assertEqual(err.count("a copy could not be made"), 1)

    def limited_offer(self, soft, hard):
        self.path = f"{self.dir}/gst"
        return self.start("unixfd", "cam", self.path, "--max-clients", "20", "--max-frames", "4",
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))

    def test_descriptors_for_all_clients(self):
        """Those on their way to clients that do not read count for all: there are enough."""
        source = self.paced_source()
        offer = self.limited_offer(64, 512)
        client = self.client()
        client.release(client.next())
        self.assertEqual(resource.prlimit(offer.pid, resource.RLIMIT_NOFILE)[0], 20 * 17 + 64)
        self.finish_offer(offer, source)

    def test_not_enough_descriptors(self):
        _, err = self.finish(self.limited_offer(64, 256), 1)
        self.assertIn(b"20 clients with 4 frames each may need 404 descriptors", err)

    def test_too_many_clients(self):
        source = self.paced_source()
        offer = self.offer("--max-clients", "2")
        clients = [self.client(), self.client()]
        for client in clients:
            client.next()
        with self.assertRaises(Closed):
            self.client().next()
        for client in clients:
            client.release(client.next())
        self.finish_offer(offer, source)


class Hostile(Offer):
    def check(self, *attack, fds=(), closed=True):
        source = self.paced_source()
        offer = self.offer()
        good, bad = self.client(), self.client()
        good.release(good.next())
        bad.next()
        there = len(os.listdir(f"/proc/{offer.pid}/fd"))
        for piece in attack:
            bad.send(piece, fds)
        if closed:
            self.assertTrue(bad.is_closed())
        else:
            bad.next()
        for _ in range(20):
            good.release(good.next())
        self.wait_for(lambda: len(os.listdir(f"/proc/{offer.pid}/fd")) <= there, "fewer descriptors")
        out, _ = self.finish_offer(offer, source)
        return out

    def test_half_a_message(self):
        out = self.check(release_message(1)[:11], closed=False)
        self.assertIn(" 0 clients disconnected", out)

    def test_half_a_header(self):
        self.check(b"\1\0", closed=False)

    def test_a_frame_that_it_does_not_have(self):
        self.assertIn(" 1 clients disconnected", self.check(release_message(123456789)))

    def test_released_twice(self):
        source = self.paced_source()
        offer = self.offer()
        bad = self.client()
        buffer = bad.next()
        bad.release(buffer)
        bad.send(release_message(buffer.id))
        self.assertTrue(bad.is_closed())
        self.finish_offer(offer, source)

    def test_release_of_a_wrong_size(self):
        self.check(message(1, b"\0" * 7))

    def test_a_giant_message(self):
        self.check(struct.pack("=II", 1, 0xffffffff))

    def test_messages_of_the_other_side(self):
        for command in (NEW_BUFFER, CAPS, EOS):
            with self.subTest(command=command):
                self.check(message(command))

    def test_what_a_later_version_might_send(self):
        self.check(message(77, b"abc"), message(78), closed=False)

    def test_descriptors(self):
        fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
        self.check(message(77, b"abc"), fds=fds)
        for fd in fds:
            os.close(fd)

    def test_a_client_that_never_stops_sending(self):
        """What it sends is allowed, but without end: the others have their turn."""
        source = self.paced_source()
        offer = self.offer()
        good, bad = self.client(), self.client()
        good.release(good.next())
        # In pieces that the kernel does not divide, from several threads: it never runs dry.
        flood = message(77, bytes(1000)) * 16
        senders = [threading.Thread(target=self.send_until_it_fails, args=(bad, flood))
                   for _ in range(4)]
        for sender in senders:
            sender.start()
        began = time.monotonic()
        for _ in range(100):
            good.release(good.next())
        self.assertLess(time.monotonic() - began, 5)
        self.assertTrue(all(sender.is_alive() for sender in senders))
        self.finish_offer(offer, source)
        for sender in senders:
            sender.join()

    @staticmethod
    def send_until_it_fails(client, data):
        try:
            while True:
                client.send(data)
        except OSError:
            pass

    def test_garbage(self):
        self.check(os.urandom(64) + b"\xff" * 4096)


class Usage(Offer):
    def test_unknown_key(self):
        _, err = self.run_tool("unixfd", "nobody", self.path, "--wait", "0.1", code=1)
        self.assertIn("nobody", err)
        self.assertFalse(os.path.exists(self.path))

    def test_a_socket_that_is_left_over(self):
        source = self.paced_source()
        offer = self.offer()
        offer.send_signal(signal.SIGKILL)
        offer.wait()
        self.assertTrue(os.path.exists(self.path))
        offer = self.start("unixfd", "cam", self.path)
        client = self.client()
        client.release(client.next())
        self.finish_offer(offer, source)

    def test_a_socket_in_use(self):
        source = self.paced_source()
        offer = self.offer()
        _, err = self.run_tool("unixfd", "cam", self.path, code=1)
        self.assertIn("is there already", err)
        client = self.client()
        client.next()
        self.finish_offer(offer, source)

    def test_a_file_is_not_replaced(self):
        source = self.paced_source()
        with open(self.path, "w", encoding="ascii") as file:
            file.write("precious")
        _, err = self.run_tool("unixfd", "cam", self.path, code=1)
        self.assertIn("is there already", err)
        with open(self.path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(self.path)
        self.end(source)

    def test_permissions(self):
        source = self.paced_source()
        for mode in ("0", "1000", "68", "rw"):
            _, err = self.run_tool("unixfd", "cam", self.path, "--socket-mode", mode, code=2)
            self.assertIn("permission bits in octal", err)
        offer = self.offer("--socket-mode", "660")
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o660)
        self.finish_offer(offer, source)


if __name__ == "__main__":
    main()
