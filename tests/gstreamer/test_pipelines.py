# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pipelines as people write them: pictures to files, encoders, several sinks, many at a time, deaths."""
import signal
import struct

from gst_test import GstTest, main, picture_size

SIZE = picture_size("NV12", 64, 48)
CAPS = "video/x-raw,format=NV12,width=64,height=48,framerate=60/1"


class Uses(GstTest):
    def test_png(self):
        self.need_elements("pngenc", "pngdec")
        source = self.source("cam", "--format", "rgb", "--fps", "0", "--frames", "5", "--policy", "wait",
                             "--ack-timeout-ms", "20000", "--wait-subscribers", "2")
        sums = self.reader("cam")
        self.run_pipeline("cuframessrc key=cam mode=order ! videoconvert ! pngenc ! multifilesink "
                          f"location={self.path('%d.png')}")
        self.finish(sums)
        self.finish(source)
        expected = self.checksums(self.path("sums"))
        for i in range(5):
            self.run_pipeline(f"filesrc location={self.path(f'{i}.png')} ! pngdec ! videoconvert ! "
                              f"video/x-raw,format=RGB ! filesink location={self.path('raw')}")
            self.assertEqual(self.split(self.path("raw"), 64 * 48 * 3), [expected[i]])

    def recorded(self, name="a.mp4", frames=60):
        """A clip that was made without us."""
        self.need_elements("x264enc", "mp4mux", "avdec_h264")
        path = self.path(name)
        self.run_pipeline(f"videotestsrc pattern=ball animation-mode=frames num-buffers={frames} ! "
                          "video/x-raw,format=I420,width=64,height=48,framerate=60/1 ! x264enc ! "
                          f"mp4mux ! filesink location={path}")
        return path

    def test_decodebin_into_a_channel(self):
        """What decodebin decodes: each frame is what it decodes anyway."""
        path = self.recorded()
        self.run_pipeline(f"filesrc location={path} ! decodebin ! video/x-raw,format=I420 ! filesink "
                          f"location={self.path('expected')}")
        expected = self.split(self.path("expected"), picture_size("I420", 64, 48))
        sums = self.reader("cam", "--wait", "10")
        self.run_pipeline(f"filesrc location={path} ! decodebin ! cuframessink key=cam slots=32")
        self.finish(sums)
        got = self.checksums(self.path("sums"))
        self.assertGreater(len(got), 20)
        for seq, value in got.items():
            self.assertEqual(value, expected[seq], f"frame {seq}")

    def test_decoders_that_copy_nothing(self):
        caps = "video/x-raw,format=I420,width=64,height=48,framerate=60/1"
        ways = {"jpegdec": ("jpegenc", "avimux", "avidemux"),
                "vp8dec": ("vp8enc", "matroskamux", "matroskademux"),
                "openh264dec": ("x264enc ! h264parse", "matroskamux", "matroskademux ! h264parse"),
                "avdec_h264 direct-rendering=false": ("x264enc ! h264parse", "matroskamux",
                                                      "matroskademux ! h264parse")}
        for decoder, (encoder, mux, demux) in ways.items():
            with self.subTest(decoder=decoder):
                self.need_elements(decoder.split()[0], encoder.split()[0], mux)
                self.run_pipeline(f"videotestsrc num-buffers=30 ! {caps} ! {encoder} ! {mux} ! filesink "
                                  f"location={self.path('clip')}")
                text = self.run_pipeline(f"filesrc location={self.path('clip')} ! {demux} ! {decoder} ! "
                                         "cuframessink key=cam slots=64 sync=false")
                self.assertNotIn("Frames are copied", text)

    def test_through_decodebin(self):
        """What is raw already goes through untouched."""
        source = self.source("cam", "--fps", "0", "--frames", "20", "--policy", "wait",
                             "--ack-timeout-ms", "20000", "--wait-subscribers", "2")
        sums = self.reader("cam")
        self.run_pipeline("cuframessrc key=cam mode=order ! decodebin ! filesink "
                          f"location={self.path('raw')}")
        self.finish(sums)
        self.finish(source)
        self.assertEqual(self.split(self.path("raw"), SIZE),
                         list(self.checksums(self.path("sums")).values()))

    def duration_s(self, name):
        """Of an MP4 file, as its header says it."""
        with open(self.path(name), "rb") as file:
            data = file.read()
        at = data.index(b"mvhd") + 4
        self.assertEqual(data[at], 0, "version of mvhd")
        scale, duration = struct.unpack_from(">II", data, at + 12)
        return duration / scale

    def test_to_mp4(self):
        """An encoder that looks ahead keeps more buffers than frames can be held. Without loss, so
        that what is played can be compared."""
        self.need_elements("x264enc", "mp4mux", "avdec_h264")
        source = self.source("cam", "--format", "yuv420p", "--fps", "100", "--frames", "150",
                             "--policy", "wait", "--ack-timeout-ms", "20000", "--wait-subscribers", "2")
        sums = self.reader("cam")
        self.run_pipeline("cuframessrc key=cam mode=order ! x264enc pass=quant quantizer=0 ! mp4mux ! "
                          f"filesink location={self.path('a.mp4')}")
        self.finish(sums)
        self.finish(source)
        self.assertAlmostEqual(self.duration_s("a.mp4"), 1.5, delta=0.3)
        self.run_pipeline(f"filesrc location={self.path('a.mp4')} ! decodebin ! video/x-raw,format=I420 "
                          f"! filesink location={self.path('raw')}")
        self.assertEqual(self.split(self.path("raw"), picture_size("I420", 64, 48)),
                         list(self.checksums(self.path("sums")).values()))

    def test_tee_to_two_sinks(self):
        source = self.source("cam", "--fps", "0", "--frames", "40", "--policy", "wait",
                             "--ack-timeout-ms", "20000", "--wait-subscribers", "2")
        sums = self.reader("cam")
        self.run_pipeline("cuframessrc key=cam mode=order ! tee name=t "
                          f"t. ! queue ! filesink location={self.path('a')} "
                          f"t. ! queue ! filesink location={self.path('b')}")
        self.finish(sums)
        self.finish(source)
        expected = list(self.checksums(self.path("sums")).values())
        self.assertEqual(len(expected), 40)
        self.assertEqual(self.split(self.path("a"), SIZE), expected)
        self.assertEqual(self.split(self.path("b"), SIZE), expected)

    def test_ten_pipelines(self):
        source = self.source("cam", "--fps", "100", "--frames", "60", "--slots", "32", "--policy",
                             "wait", "--ack-timeout-ms", "20000", "--wait-subscribers", "11")
        sums = self.reader("cam")
        readers = [self.launch("cuframessrc key=cam mode=order ! filesink buffer-mode=unbuffered "
                               f"location={self.path(f'raw{i}')}") for i in range(10)]
        for process in (*readers, sums, source):
            self.finish(process)
        expected = list(self.checksums(self.path("sums")).values())
        for i in range(10):
            self.assertEqual(self.split(self.path(f"raw{i}"), SIZE), expected)

    def test_metas_survive_a_conversion(self):
        source = self.source("cam", "--fps", "50")
        text = self.run_pipeline("cuframessrc key=cam num-buffers=5 ! videoconvert ! "
                                 "video/x-raw,format=RGB ! videoscale ! video/x-raw,width=32,height=32 ! "
                                 "identity silent=false ! fakesink", "-v")
        self.end(source)
        self.assertEqual(text.count("CuframesFrame"), 5, text)


class Deaths(GstTest):
    def test_a_stopped_pipeline(self):
        """It holds what it has and costs nobody else a frame."""
        source = self.source("cam", "--fps", "100")
        stopped = self.launch("cuframessrc key=cam ! fakesink")
        self.wait_for(lambda: self.run_json("info", "cam", "--json")["subscribers"], "the reader")
        stopped.send_signal(signal.SIGSTOP)
        sums = self.reader("cam", "--frames", "100")
        self.finish(sums)
        self.assertEqual(len(self.checksums(self.path("sums"))), 100)
        self.assertEqual(self.run_json("info", "cam", "--json")["dropped"], 0)
        stopped.send_signal(signal.SIGCONT)
        self.end(stopped, number=signal.SIGINT)
        self.end(source)

    def test_readers_killed_and_started_again(self):
        source = self.source("cam", "--fps", "100")
        for _ in range(5):
            reader = self.launch("cuframessrc key=cam ! queue min-threshold-buffers=3 ! fakesink")
            self.wait_for(lambda: self.run_json("info", "cam", "--json")["slots_held"] > 1, "holds")
            reader.send_signal(signal.SIGKILL)
            reader.wait()
            self.wait_for(lambda: not self.run_json("info", "cam", "--json")["subscribers"],
                          "the end of the killed")
        self.assertEqual(self.run_json("info", "cam", "--json")["slots_held"], 0)
        # The one after them gets every frame as it was published.
        sums = self.reader("cam")
        self.wait_for_reading("cam")
        self.run_pipeline("cuframessrc key=cam mode=order num-buffers=30 ! filesink "
                          f"location={self.path('raw')}")
        self.end(source)
        self.finish(sums)
        expected = list(self.checksums(self.path("sums")).values())
        got = self.split(self.path("raw"), SIZE)
        start = expected.index(got[0])
        self.assertEqual(got, expected[start:start + 30])

    def test_a_publisher_killed_and_started_again(self):
        publish = f"videotestsrc is-live=true ! {CAPS} ! cuframessink key=cam"
        publisher = self.launch(publish)
        reader = self.launch("cuframessrc key=cam reconnect=true ! identity silent=false ! fakesink",
                             "-v")
        self.wait_for_channel("cam")
        for _ in range(3):
            self.wait_for_reading("cam")
            publisher.send_signal(signal.SIGKILL)
            publisher.wait()
            publisher = self.launch(publish)
        self.wait_for_reading("cam")
        text = self.end(reader, number=signal.SIGINT)[0].decode()
        self.end(publisher, number=signal.SIGINT)
        self.check_restarts(text, 3)


if __name__ == "__main__":
    main()
