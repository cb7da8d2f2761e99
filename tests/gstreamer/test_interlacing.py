# SPDX-License-Identifier: LGPL-2.1-or-later
"""Interlaced pictures through a channel: what sinks are told, sources tell."""
import re
import shutil
import signal
import subprocess

from gst_test import GstTest, main

INTERLACED, TOP_FIELD_FIRST = 1 << 20, 1 << 21  # GStreamer's video buffer flags


class Interlacing(GstTest):
    def through(self, mode):
        """The caps and the flags of buffers behind a channel whose pictures are said to be so."""
        self.need_elements("capssetter")
        sink = self.launch("videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,"
                           f"framerate=60/1 ! capssetter caps=video/x-raw,{mode} ! cuframessink key=cam")
        text = self.run_pipeline("cuframessrc key=cam num-buffers=5 ! identity silent=false ! fakesink",
                                 "-v")
        self.end(sink, number=signal.SIGINT)
        return self.said(text)

    def said(self, text):
        caps = re.search(r"GstCuframesSrc:cuframessrc0.GstPad:src: caps = (.*)", text).group(1)
        flags = [int(word, 16) & (INTERLACED | TOP_FIELD_FIRST)
                 for word in re.findall(r"flags: ([0-9a-f]{8}) .* 0x", text)]
        self.assertGreaterEqual(len(flags), 5, text)
        return caps, set(flags)

    def test_top_field_first(self):
        caps, flags = self.through("interlace-mode=interleaved,field-order=top-field-first")
        self.assertIn("interlace-mode=(string)mixed", caps)
        self.assertEqual(flags, {INTERLACED | TOP_FIELD_FIRST})

    def test_bottom_field_first(self):
        caps, flags = self.through("interlace-mode=interleaved,field-order=bottom-field-first")
        self.assertIn("interlace-mode=(string)mixed", caps)
        self.assertEqual(flags, {INTERLACED})

    def test_mixed_buffers_that_are_not(self):
        caps, flags = self.through("interlace-mode=mixed")
        self.assertIn("interlace-mode=(string)progressive", caps)
        self.assertEqual(flags, {0})

    def test_what_the_decoder_says(self):
        if not shutil.which("ffmpeg"):
            self.skipTest("ffmpeg is not there")
        clip = self.path("clip.mp4")
        subprocess.run(["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=50",
                        "-vf", "interlace", "-frames:v", "30", "-c:v", "libx264", "-flags",
                        "+ilme+ildct", "-x264opts", "tff=1", clip], check=True)
        ingest = self.start("ingest", clip, "--key", "cam", "--loop", "--realtime", "--decode", "cpu")
        text = self.run_pipeline("cuframessrc key=cam num-buffers=5 ! identity silent=false ! fakesink",
                                 "-v")
        self.end(ingest)
        caps, flags = self.said(text)
        self.assertIn("interlace-mode=(string)mixed", caps)
        self.assertEqual(flags, {INTERLACED | TOP_FIELD_FIRST})

    def test_progressive(self):
        caps, flags = self.through("interlace-mode=progressive")
        self.assertIn("interlace-mode=(string)progressive", caps)
        self.assertEqual(flags, {0})

    def test_fields_in_buffers_of_their_own(self):
        self.need_elements("capssetter")
        text = self.element_error("videotestsrc num-buffers=3 ! video/x-raw,format=I420,width=64,height=48 "
                                  "! capssetter caps=video/x-raw,interlace-mode=fields ! "
                                  "cuframessink key=cam")
        self.assertIn("cannot be shared", text)


if __name__ == "__main__":
    main()
