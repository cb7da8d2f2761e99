# SPDX-License-Identifier: LGPL-2.1-or-later
"""cuframespacketsink and cuframespacketsrc: the encoded stream arrives as it left."""
import os
import signal
import time

from gst_test import GstTest, main

# Name: elements needed, encoder with parser, caps for a raw file of the stream.
CODECS = {
    "h264": (("x264enc", "h264parse"), "x264enc key-int-max=15 tune=zerolatency ! h264parse",
             "video/x-h264,stream-format=byte-stream,alignment=au"),
    "h264 avc": (("x264enc", "h264parse"), "x264enc key-int-max=15 tune=zerolatency ! h264parse",
                 "video/x-h264,stream-format=avc,alignment=au"),
    "hevc": (("x265enc", "h265parse"), "x265enc key-int-max=15 tune=zerolatency ! h265parse",
             "video/x-h265,stream-format=byte-stream,alignment=au"),
    "hevc hvc1": (("x265enc", "h265parse"), "x265enc key-int-max=15 tune=zerolatency ! h265parse",
                  "video/x-h265,stream-format=hvc1,alignment=au"),
    "av1": (("av1enc", "av1parse"), "av1enc cpu-used=8 usage-profile=realtime ! av1parse",
            "video/x-av1,stream-format=obu-stream,alignment=tu"),
}
AUDIO = {
    "aac": (("avenc_aac", "aacparse"), "avenc_aac ! aacparse",
            "audio/mpeg,mpegversion=4,stream-format=raw"),
    "aac adts": (("avenc_aac", "aacparse"), "avenc_aac ! aacparse",
                 "audio/mpeg,mpegversion=4,stream-format=adts"),
    "opus": (("opusenc", "opusparse"), "opusenc ! opusparse", "audio/x-opus"),
}
VIDEO_SOURCE = "videotestsrc is-live=true num-buffers=75 ! video/x-raw,format=I420,width=64,height=48,framerate=60/1"
AUDIO_SOURCE = "audiotestsrc is-live=true num-buffers=70 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2"


class Packets(GstTest):
    def content(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def passes(self, source, needed, encoder, caps):
        """What a reader gets, from a key frame to the end, is the tail of what was published."""
        self.need_elements(*needed)
        sink = self.launch(f"{source} ! {encoder} ! {caps} ! tee name=t "
                           f"t. ! queue ! filesink buffer-mode=unbuffered location={self.path('sent')} "
                           "t. ! queue ! cuframespacketsink key=cam")
        self.wait_for_channel("cam")
        text = self.run_pipeline("cuframespacketsrc key=cam ! filesink buffer-mode=unbuffered "
                                 f"location={self.path('got')}", "-v")
        self.finish(sink)
        sent, got = self.content("sent"), self.content("got")
        self.assertGreater(len(got), len(sent) // 4)
        self.assertTrue(sent.endswith(got))
        return text

    def test_video(self):
        for name, (needed, encoder, caps) in CODECS.items():
            with self.subTest(codec=name):
                text = self.passes(VIDEO_SOURCE, needed, encoder, caps)
                for field in caps.split(",")[1:]:
                    key, value = field.split("=")
                    self.assertIn(f"{key}=(string){value}", text)
                self.assertIn("width=(int)64", text)

    def test_audio(self):
        for name, (needed, encoder, caps) in AUDIO.items():
            with self.subTest(codec=name):
                text = self.passes(AUDIO_SOURCE, needed, encoder, caps)
                if "stream-format" in caps:
                    self.assertIn(f"stream-format=(string){caps.split('=')[-1]}", text)
                self.assertIn("rate=(int)48000", text)

    def camera(self, key="cam", frames=300):
        self.need_elements("x264enc", "h264parse", "avdec_h264")
        return self.launch(f"videotestsrc is-live=true num-buffers={frames} ! video/x-raw,format=I420,"
                           "width=64,height=48,framerate=30/1 ! x264enc key-int-max=15 "
                           "tune=zerolatency ! h264parse ! video/x-h264,stream-format=avc ! "
                           f"cuframespacketsink key={key} keep=3000")

    def test_starts_at_a_key_frame_and_decodes(self):
        camera = self.camera()
        self.wait_for_channel("cam")
        time.sleep(0.7)
        text = self.run_pipeline("cuframespacketsrc key=cam num-buffers=30 ! identity silent=false ! "
                                 "avdec_h264 ! fakesink", "-v")
        self.end(camera, number=signal.SIGINT)
        chains = [line for line in text.splitlines() if "identity0:sink" in line and "chain" in line]
        self.assertEqual(len(chains), 30)
        self.assertNotIn("delta-unit", chains[0])
        self.assertIn("delta-unit", chains[1])
        times = [line.split("pts: ")[1].split(",")[0] for line in chains]
        self.assertEqual(times, sorted(set(times)))

    def test_recorded_to_mp4(self):
        self.need_elements("mp4mux")
        camera = self.camera()
        self.wait_for_channel("cam")
        self.run_pipeline("cuframespacketsrc key=cam num-buffers=60 ! h264parse ! mp4mux ! filesink "
                          f"location={self.path('a.mp4')}")
        self.end(camera, number=signal.SIGINT)
        self.run_pipeline(f"filesrc location={self.path('a.mp4')} ! decodebin ! videoconvert ! "
                          f"video/x-raw,format=GRAY8 ! filesink location={self.path('raw')}")
        self.assertEqual(os.path.getsize(self.path("raw")), 60 * 64 * 48)

    def test_pre_roll(self):
        camera = self.camera()
        self.wait_for_channel("cam")
        time.sleep(2)
        first = {}
        for start in ("oldest-key", "newest-key"):
            text = self.run_pipeline(f"cuframespacketsrc key=cam start={start} num-buffers=1 ! identity "
                                     "silent=false ! fakesink", "-v")
            first[start] = int(text.split(" offset: ")[1].split(",")[0])
        self.end(camera, number=signal.SIGINT)
        self.assertEqual(first["oldest-key"], 0)
        self.assertGreater(first["newest-key"], 0)

    def test_the_next_publisher(self):
        camera = self.camera()
        self.wait_for_channel("cam")
        reader = self.launch("cuframespacketsrc key=cam reconnect=true num-buffers=80 ! fakesink")
        time.sleep(0.5)
        self.end(camera, number=signal.SIGINT)
        camera = self.camera()
        self.finish(reader)
        self.end(camera, number=signal.SIGINT)

    def test_a_channel_without_packets(self):
        source = self.source("cam")
        self.element_error("cuframespacketsrc key=cam ! fakesink")
        self.end(source)

    def test_a_stream_that_is_not_there(self):
        camera = self.camera()
        self.wait_for_channel("cam")
        text = self.element_error("cuframespacketsrc key=cam stream=3 ! fakesink")
        self.assertIn("no stream 3", text)
        self.end(camera, number=signal.SIGINT)

    def test_caps_that_are_not_parsed(self):
        text = self.run_pipeline("videotestsrc num-buffers=1 ! cuframespacketsink key=cam", code=1)
        self.assertIn("could not link", text)


if __name__ == "__main__":
    main()
