# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Recordings of files: every packet of every codec as it was in the source, times and all.
"""
import os

import ingest_test
from packet_test import TICK_S, PacketTest

B_FRAMES = ["libx264", "-bf", "3", "-g", "25", "-pix_fmt", "yuv420p"]
PLAIN = ["libx264", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p"]


class Codecs(PacketTest):
    """For each: the packets in the recording are those of the source, times and all."""

    def check(self, source, *names):
        paths = self.record_whole(source, *names, ingest=("--decode", "off"))
        for path in paths:
            reference = self.remuxed(source, "reference" + os.path.splitext(path)[1])
            self.same_packets(self.packets_of(path), reference)
            self.assertEqual(self.decode(path), "")

    def test_h264_with_b_frames_and_aac(self):
        self.check(self.clip("a.mp4", B_FRAMES, ["aac"]), "b.mp4", "b.mkv", "b.ts")

    def test_h264_in_slices_and_opus_at_29_97(self):
        self.check(self.clip("a.mkv", ["libx264", "-x264-params", "slices=4:keyint=30", "-pix_fmt",
                                       "yuv420p"], ["libopus"], rate="30000/1001"),
                   "b.mkv", "b.mp4")

    def test_hevc_in_a_transport_stream(self):
        self.check(self.clip("a.ts", ["libx265", "-x265-params", "log-level=0:keyint=25:pools=2"],
                             ["aac"]), "b.ts", "b.mp4", "b.mkv")

    def test_av1_of_odd_size(self):
        self.check(self.clip("a.mkv", ["libsvtav1", "-preset", "12", "-g", "25"], ["libopus"],
                             size="322x182"), "b.mkv", "b.mp4")

    def test_mjpeg_of_odd_size_and_variable_rate(self):
        self.check(self.clip("a.mkv", ["mjpeg", "-pix_fmt", "yuvj420p", "-fps_mode", "vfr"],
                             ["pcm_alaw"], size="161x121", rate="30",
                             filters=",select='not(eq(mod(n\\,5)\\,2))'"), "b.mkv")

    def test_the_decoded_sound_is_the_same_too(self):
        """And where it belongs: what the encoder put before it is before the beginning of time."""
        padding = 1024 / 44100
        source = self.clip("a.mp4", B_FRAMES, ["aac"])
        sound = self.ffmpeg("-i", source, "-map", "0:a", "-f", "s16le", "-")
        for path in self.record_whole(source, "b.mp4", "b.mkv"):
            # ffmpeg drops the padding of a plain MP4 alone.
            recorded = self.ffmpeg("-i", path, "-map", "0:a", "-f", "s16le", "-")
            self.assertEqual(recorded[2 * 1024:][:len(sound)], sound)
            packets = self.packets_of(path)
            self.assertAlmostEqual(packets[0][0].pts - packets[1][0].pts, padding, delta=TICK_S)

    def test_languages(self):
        source = self.clip("a.mkv", [*PLAIN, "-metadata:s:a:0", "language=fin"], ["aac"])
        path, = self.record_whole(source, "b.mkv")
        audio = self.probe(path, "-show_streams")["streams"][1]
        self.assertEqual(audio["tags"]["language"], "fin")

    def test_damaged_packets_are_recorded_as_they_are(self):
        source = self.clip("a.ts", B_FRAMES, ["mp2"], seconds=3)
        with open(source, "r+b") as file:
            data = bytearray(file.read())
            for offset in range(len(data) // 3, len(data) // 2, 701):
                if offset % 188 > 20:  # the payload, not the container
                    data[offset] ^= 0xFF
            file.seek(0)
            file.write(data)
        path, = self.record_whole(source, "b.ts")
        # Times are guessed where they are damaged.
        self.same_packets(self.packets_of(path), self.remuxed(source, "reference.ts"), times=False)


if __name__ == "__main__":
    ingest_test.main()
