# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The wall clock is set back and forward while a camera is read and recorded, and everything is stopped
for longer than any timeout: nothing waits by the wall clock, pictures and recording go on, and only
the times that are wall-clock times show it.
"""
import os
import signal
import struct
import time

import ingest_test
from camera import Camera
from ingest_test import RECEIVED, parse_frames
from packet_test import PacketTest

DAY_S = 24 * 3600
NS = 10**9


class Clocks(PacketTest):
    def setUp(self):
        super().setUp()
        self.offset = self.path("offset")
        self.set_clock(0)
        self.env.update(LD_PRELOAD=os.environ["CLOCK_JUMP"], CLOCK_OFFSET=self.offset)

    def set_clock(self, seconds):
        # In place: the programs have it mapped.
        with open(self.offset, "r+b" if os.path.exists(self.offset) else "wb") as file:
            file.write(struct.pack("=q", seconds * NS))

    def jump(self):
        for seconds in (-DAY_S, 2 * DAY_S, -3600, 0):
            time.sleep(0.7)
            self.set_clock(seconds)

    def test_jumps_while_a_camera_is_read_and_recorded(self):
        camera = Camera(self)
        source = self.ingest(camera.url)
        self.run_tool("sub", "cam", "--frames", "1", "--wait", "20")
        reader = self.framelog(100)
        recorder = self.record(self.path("b.mkv"), "--duration", "3.5")
        self.jump()
        frames = parse_frames(self.finish(reader)[0].decode())
        self.finish(recorder)
        self.end(source)
        self.assertEqual(len(frames), 100)
        # Times of pictures, and of their publication, know nothing of it.
        for before, after in zip(frames, frames[1:]):
            self.assertGreater(after.pts_ns, before.pts_ns)
            self.assertGreaterEqual(after.published_ns, before.published_ns)
            self.assertLess(after.published_ns - before.published_ns, 20 * NS)
        self.assertEqual(sum(frame.flags & ingest_test.DISCONTINUITY for frame in frames[1:]), 0)
        # Capture times that are taken when a packet comes are what the clock says.
        received = [frame.capture_ns for frame in frames if frame.source == RECEIVED]
        if received:
            self.assertGreater(max(received) - min(received), DAY_S * NS // 2)
        self.assertEqual(self.decode(self.path("b.mkv")), "")
        packets = self.packets_of(self.path("b.mkv"))[0]
        self.assertAlmostEqual(packets[-1].pts - packets[0].pts, 3.5, delta=0.4)

    def test_timeouts_do_not_follow_the_wall_clock(self):
        for command in (["sub", "none"], ["record", "none", self.path("n.mkv")], ["snapshot", "none", self.path("n.png")]):
            began = time.monotonic()
            waiting = self.start(*command, "--wait", "2")
            self.wait_until_it_catches(waiting)
            self.set_clock(-DAY_S)
            time.sleep(0.2)
            self.set_clock(DAY_S)
            self.finish(waiting, 1)
            took = time.monotonic() - began
            self.set_clock(0)
            self.assertGreater(took, 1.8)
            self.assertLess(took, 15)

    def test_stopped_for_longer_than_any_timeout(self):
        clip = self.clip("a.mp4", ["libx264", "-g", "25", "-bf", "0", "-pix_fmt", "yuv420p"])
        source = self.ingest(clip, "--realtime", "--loop")
        self.run_tool("sub", "cam", "--frames", "1", "--wait", "20")
        recorder = self.record(self.path("b.mkv"))
        reader = self.start("sub", "cam", "--json")
        time.sleep(1)
        stopped = [recorder, reader]
        for process in stopped:
            self.wait_until_it_catches(process)
            process.send_signal(signal.SIGSTOP)
        # A channel that does not wait for them goes on.
        time.sleep(4)
        self.run_tool("sub", "cam", "--frames", "10")
        for process in stopped:
            process.send_signal(signal.SIGCONT)
        time.sleep(1)
        source.send_signal(signal.SIGSTOP)
        time.sleep(4)
        source.send_signal(signal.SIGCONT)
        self.run_tool("sub", "cam", "--frames", "10")
        self.end(recorder)
        self.end(reader)
        self.end(source)
        self.assertEqual(self.decode(self.path("b.mkv")), "")
        packets = self.packets_of(self.path("b.mkv"))[0]
        # From before the first stop to behind the second.
        self.assertGreater(packets[-1].pts - packets[0].pts, 4)


if __name__ == "__main__":
    ingest_test.main()
