# SPDX-License-Identifier: LGPL-2.1-or-later
"""cuframessrc in pipelines: the same pictures, and the ways in which a stream ends."""
import signal
import socket
import time

from gst_test import GstTest, main, picture_size

FORMATS = {"nv12": "NV12", "yuv420p": "I420", "rgb": "RGB", "bgr": "BGR", "rgba": "RGBA",
           "grayscale": "GRAY8", "p010": "P010_10LE", "yuv444p": "Y444", "bgra": "BGRA",
           "gray16": "GRAY16_LE"}


class Pictures(GstTest):
    def waiting_source(self, key, frames, *args, readers=1):
        """Publishes `frames` pictures once `readers` are there, and loses none."""
        return self.source(key, "--frames", str(frames), "--fps", "0", "--policy", "wait",
                           "--ack-timeout-ms", "20000", "--wait-subscribers", str(readers), *args)

    def same_pictures(self, name, frames=20):
        source = self.waiting_source("cam", frames, "--format", name, readers=2)
        sums = self.reader("cam")
        self.run_pipeline(f"cuframessrc key=cam mode=order ! filesink location={self.path('raw')}")
        self.finish(sums)
        self.finish(source)
        expected = self.checksums(self.path("sums"))
        self.assertEqual(sorted(expected), list(range(frames)))
        self.assertEqual(self.split(self.path("raw"), picture_size(FORMATS[name], 64, 48)),
                         [expected[i] for i in range(frames)])

    def test_formats(self):
        for name in FORMATS:
            with self.subTest(format=name):
                self.same_pictures(name)

    def test_caps(self):
        source = self.waiting_source("cam", 3)
        text = self.run_pipeline("cuframessrc key=cam mode=order ! fakesink", "-v")
        self.finish(source)
        self.assertIn("format=(string)NV12, width=(int)64, height=(int)48", text)
        self.assertIn("framerate=(fraction)0/1", text)

    def test_new_size_in_mid_stream(self):
        source = self.waiting_source("cam", 30, "--alternate-size", "32x32", "--alternate-every",
                                     "10", readers=2)
        sums = self.reader("cam")
        text = self.run_pipeline("cuframessrc key=cam mode=order ! filesink "
                                 f"location={self.path('raw')}", "-v")
        self.finish(sums)
        self.finish(source)
        self.assertEqual(text.count("GstCuframesSrc:cuframessrc0.GstPad:src: caps = "), 3)
        large, small = picture_size("NV12", 64, 48), picture_size("NV12", 32, 32)
        with open(self.path("raw"), "rb") as file:
            data = file.read()
        self.assertEqual(len(data), 20 * large + 10 * small)

    def test_a_pipeline_that_keeps_everything(self):
        """A queue larger than the channel: frames are copied, which is said; none is changed."""
        source = self.waiting_source("cam", 60, "--slots", "6", readers=2)
        sums = self.reader("cam")
        text = self.run_pipeline("cuframessrc key=cam mode=order ! queue max-size-buffers=100 "
                                 "min-threshold-buffers=50 ! filesink "
                                 f"location={self.path('raw')}")
        self.finish(sums)
        self.finish(source)
        self.assertIn("Frames are copied", text)
        expected = self.checksums(self.path("sums"))
        self.assertEqual(self.split(self.path("raw"), picture_size("NV12", 64, 48)),
                         [expected[i] for i in range(60)])

    def test_waiting_for_buffers_instead(self):
        source = self.waiting_source("cam", 40, "--slots", "6")
        text = self.run_pipeline("cuframessrc key=cam mode=order when-full=wait ! identity "
                                 "sleep-time=2000 ! filesink buffer-mode=unbuffered "
                                 f"location={self.path('raw')}")
        self.finish(source)
        self.assertNotIn("Frames are copied", text)
        self.assertEqual(len(self.split(self.path("raw"), picture_size("NV12", 64, 48))), 40)

    def test_a_pipeline_that_keeps_what_it_waits_for(self):
        source = self.source("cam")
        pipeline = self.launch("cuframessrc key=cam when-full=wait ! queue max-size-buffers=100 "
                               "min-threshold-buffers=50 ! fakesink")
        time.sleep(1.5)
        out, err = self.end(pipeline, number=signal.SIGINT)
        text = (out + err).decode()
        self.end(source)
        self.assertIn("keeps every frame that this reader may hold", text)


class Ends(GstTest):
    def test_unknown_key(self):
        began = time.monotonic()
        text = self.element_error("cuframessrc key=nobody timeout=300 ! fakesink")
        self.assertIn("nobody", text)
        self.assertLess(time.monotonic() - began, 10)

    def test_no_key(self):
        self.assertIn("set the property", self.element_error("cuframessrc ! fakesink"))

    def test_a_key_that_is_none(self):
        self.assertIn("key", self.element_error("cuframessrc key=a/b ! fakesink"))

    def test_waits_for_the_channel(self):
        pipeline = self.launch("cuframessrc key=late timeout=-1 num-buffers=5 ! fakesink")
        time.sleep(0.3)
        self.assertIsNone(pipeline.poll())
        source = self.source("late")
        self.finish(pipeline)
        self.end(source)

    def test_a_pipeline_that_waits_is_ended(self):
        pipeline = self.launch("cuframessrc key=late timeout=-1 ! fakesink")
        self.wait_until_it_catches(pipeline, signal.SIGINT)
        time.sleep(0.3)
        self.end(pipeline, number=signal.SIGINT)

    def test_a_publisher_that_does_not_answer(self):
        """It has as long as the timeout says: here, for ever."""
        source = self.source("cam")
        source.send_signal(signal.SIGSTOP)
        pipeline = self.launch("cuframessrc key=cam timeout=-1 num-buffers=5 ! fakesink")
        time.sleep(2)
        self.assertIsNone(pipeline.poll())
        source.send_signal(signal.SIGCONT)
        self.finish(pipeline)
        self.end(source)

    def test_ended_before_the_answer(self):
        """Nothing comes over a descriptor: the pipeline is waiting, and ends at once when it shall."""
        for element in ("cuframessrc", "cuframespacketsrc"):
            with self.subTest(element=element):
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                pipeline = self.launch(f"{element} fd={theirs.fileno()} timeout=-1 ! fakesink",
                                       pass_fds=[theirs.fileno()])
                theirs.close()
                self.wait_until_it_catches(pipeline, signal.SIGINT)
                # Longer than the library waits if it is not told how long.
                time.sleep(5.5)
                self.assertIsNone(pipeline.poll())
                began = time.monotonic()
                self.end(pipeline, number=signal.SIGINT)
                self.assertLess(time.monotonic() - began, 3)
                ours.close()

    def test_ended_before_it_knows_the_channel(self):
        """memory=cuda asks what the channel is before it attaches; a stopped publisher does not say."""
        source = self.source("cam")
        source.send_signal(signal.SIGSTOP)
        pipeline = self.launch("cuframessrc key=cam memory=cuda timeout=-1 ! fakesink")
        self.wait_until_it_catches(pipeline, signal.SIGINT)
        # Longer than the library waits if it is not told how long.
        time.sleep(1.5)
        self.assertIsNone(pipeline.poll())
        out, err = self.end(pipeline, number=signal.SIGINT)
        self.assertNotIn(b"ERROR", out + err)
        source.send_signal(signal.SIGCONT)
        self.end(source)

    def test_end_of_the_channel_is_the_end(self):
        source = self.source("cam")
        pipeline = self.launch("cuframessrc key=cam ! fakesink")
        self.wait_for_reading("cam")
        self.end(source)
        self.assertIn(b"Got EOS", self.finish(pipeline)[0])

    def test_the_next_publisher(self):
        source = self.source("cam")
        pipeline = self.launch("cuframessrc key=cam reconnect=true ! identity silent=false ! fakesink",
                               "-v")
        self.wait_for_reading("cam")
        self.end(source)
        time.sleep(0.3)
        self.assertIsNone(pipeline.poll())
        source = self.source("cam")
        self.wait_for_reading("cam")
        text = self.end(pipeline, number=signal.SIGINT)[0].decode()
        self.end(source)
        self.check_restarts(text, 1)

    def test_frames_that_stop_coming(self):
        source = self.source("cam", "--fps", "0.2")
        text = self.element_error("cuframessrc key=cam frame-timeout=300 ! fakesink")
        self.end(source)
        self.assertIn("No frame came for 300 ms", text)

    def test_gaps_are_told(self):
        """Nothing for two seconds between frames: those behind are told that time goes on."""
        source = self.source("cam", "--fps", "0.5")
        text = self.run_pipeline("cuframessrc key=cam num-buffers=2 ! identity silent=false ! fakesink",
                                 "-v")
        self.end(source)
        self.assertGreaterEqual(text.count("type: gap"), 2, text)

    def test_most_frames_a_second(self):
        source = self.source("cam", "--fps", "100", "--frames", "200", "--wait-subscribers", "1")
        text = self.run_pipeline("cuframessrc key=cam mode=order max-fps=20 ! identity silent=false ! "
                                 "fakesink", "-v")
        self.finish(source)
        # Two seconds of them; a slow machine gives fewer frames, not more.
        self.assertIn(text.count("chain"), range(10, 45), text)

    def test_uri(self):
        source = self.source("cam")
        self.run_pipeline("uridecodebin uri=cuframes://cam ! identity eos-after=10 ! fakesink")
        self.end(source)

    def test_playbin(self):
        source = self.source("cam", "--fps", "50", "--frames", "30", "--wait-subscribers", "1")
        text = self.run_pipeline("playbin uri=cuframes://cam video-sink=fakesink", "-v")
        self.finish(source)
        self.assertIn("video/x-raw, format=(string)NV12, width=(int)64", text)


if __name__ == "__main__":
    main()
