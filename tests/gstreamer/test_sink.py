# SPDX-License-Identifier: LGPL-2.1-or-later
"""cuframessink in pipelines: slots for upstream, copies that are said, formats that come and go."""
import os
import signal

from gst_test import GstTest, main, picture_size

BALL = "videotestsrc pattern=ball animation-mode=frames num-buffers=60"


class Publish(GstTest):
    def expected(self, description, size):
        """What a pipeline gives without our sink."""
        self.run_pipeline(f"{description} ! filesink location={self.path('expected')}")
        return self.split(self.path("expected"), size)

    def check(self, description, copied, name="NV12", width=64, height=48, sink=""):
        expected = self.expected(description, picture_size(name, width, height))
        reader = self.reader("cam")
        text = self.run_pipeline(f"{description} ! cuframessink key=cam {sink}")
        self.finish(reader)
        got = self.checksums(self.path("sums"))
        self.assertGreater(len(got), 10)
        for seq, value in got.items():
            self.assertEqual(value, expected[seq], f"frame {seq}")
        if copied:
            self.assertIn("Frames are copied once", text)
        else:
            self.assertNotIn("Frames are copied once", text)

    def caps(self, name="NV12", width=64, height=48, fps=60):
        return f"video/x-raw,format={name},width={width},height={height},framerate={fps}/1"

    def test_upstream_writes_into_slots(self):
        self.check(f"{BALL} ! {self.caps()}", copied=False)

    def test_formats(self):
        for name in ("I420", "RGB", "BGRA", "GRAY8", "Y444", "P010_10LE", "GRAY16_LE"):
            with self.subTest(format=name):
                self.check(f"{BALL} ! {self.caps(name)}", copied=False, name=name)

    def test_converted_into_slots(self):
        self.check(f"{BALL} ! {self.caps('I420')} ! videoconvert ! {self.caps('NV12')}",
                   copied=False)

    def test_memory_of_upstream_is_copied(self):
        # A queue in the way changes nothing; a filter that drops the allocation query does.
        self.check(f"{BALL} ! {self.caps()} ! identity drop-allocation=true", copied=True)

    def test_wait_policy(self):
        self.check(f"{BALL} ! {self.caps()}", copied=False, sink="policy=wait ack-timeout=5000")

    def test_through_and_back(self):
        """sink, src, sink: the end reads what the beginning wrote."""
        expected = self.expected(f"{BALL} ! {self.caps()}", picture_size("NV12", 64, 48))
        reader = self.reader("two")
        middle = self.launch("cuframessrc key=one mode=order ! cuframessink key=two sync=false")
        self.run_pipeline(f"{BALL} ! {self.caps()} ! cuframessink key=one")
        self.finish(middle)
        self.finish(reader)
        got = list(self.checksums(self.path("sums")).values())
        self.assertGreater(len(got), 10)
        start = expected.index(got[0])
        self.assertEqual(got, expected[start:start + len(got)])

    def test_key_in_use(self):
        source = self.source("cam")
        text = self.element_error("videotestsrc num-buffers=3 ! cuframessink key=cam")
        self.end(source)
        self.assertIn("cam", text)

    def test_no_key(self):
        self.assertIn("set the property", self.element_error("videotestsrc ! cuframessink"))

    def test_a_format_that_cannot_be_shared(self):
        text = self.run_pipeline("videotestsrc ! video/x-raw,format=YUY2 ! cuframessink key=cam",
                                 code=1)
        self.assertIn("could not link", text)

    def test_names_and_permissions(self):
        place = self.path("channels")
        os.mkdir(place, 0o700)
        sink = self.launch(f"videotestsrc is-live=true ! {self.caps()} ! cuframessink key=cam "
                           f"runtime-dir={place} socket-mode=0660")
        self.wait_for(lambda: os.path.exists(f"{place}/cam.sock"), "the channel")
        self.assertEqual(os.stat(f"{place}/cam.sock").st_mode & 0o777, 0o660)
        reader = self.launch(f"cuframessrc key=cam runtime-dir={place} consumer-name=door ! fakesink")
        self.env["CUFRAMES_RUNTIME_DIR"] = place
        self.wait_for_reading("cam")
        self.assertEqual([one["name"] for one in self.readers("cam")], ["door"])
        self.end(reader, number=signal.SIGINT)
        self.end(sink, number=signal.SIGINT)

    def test_group_of_the_socket(self):
        mine = os.getegid()
        others = [g for g in (os.getgroups() if os.geteuid() else (1, 2)) if g != mine]
        if not others:
            self.skipTest("this user is in one group alone")
        sink = self.launch(f"videotestsrc is-live=true ! {self.caps()} ! cuframessink key=cam "
                           f"socket-mode=0660 socket-group={others[0]}")
        self.wait_for_channel("cam")
        self.assertEqual(os.stat(f"{self.dir}/cam.sock").st_gid, others[0])
        # gst-launch catches signals by the time that it plays; the channel is there before.
        self.run_pipeline("cuframessrc key=cam num-buffers=5 ! fakesink")
        self.end(sink, number=signal.SIGINT)
        text = self.element_error("videotestsrc ! cuframessink key=cam socket-group=no-such-group-here")
        self.assertIn("no-such-group-here", text)

    def test_no_more_readers_than_it_says(self):
        sink = self.launch(f"videotestsrc is-live=true ! {self.caps()} ! cuframessink key=cam "
                           "max-subscribers=1")
        reader = self.launch("cuframessrc key=cam ! fakesink")
        self.wait_for_reading("cam")
        text = self.element_error("cuframessrc key=cam ! fakesink")
        self.assertIn("subscribers", text)
        self.end(reader, number=signal.SIGINT)
        self.wait_for(lambda: not self.readers("cam"), "the end of the reader")
        self.run_pipeline("cuframessrc key=cam num-buffers=5 ! fakesink")
        self.end(sink, number=signal.SIGINT)

    def test_info_of_the_channel(self):
        pipeline = self.launch(
            "videotestsrc ! video/x-raw,format=NV12,width=64,height=48,framerate=30/1,"
            "pixel-aspect-ratio=4/3,colorimetry=bt709 ! cuframessink key=cam slots=5")
        self.wait_for_channel("cam")
        info = self.run_json("info", "cam", "--json")
        self.end(pipeline, number=signal.SIGINT)
        self.assertEqual(info["slots"], 5)
        self.assertEqual(info["fps_nominal"], [30, 1])
        self.assertEqual(info["sar"], [4, 3])
        self.assertEqual(info["color"], {"matrix": 1, "primaries": 1, "transfer": 1,
                                         "range": "limited"})
        self.assertEqual([plane["pitch"] for plane in info["layout"]["planes"]], [64, 64])


if __name__ == "__main__":
    main()
