# SPDX-License-Identifier: LGPL-2.1-or-later
"""That --verify passes every honest channel and finds every lie."""
import json
import tempfile

import toolbox

FORMATS = ["nv12", "yuv420p", "yuv444p", "p010", "rgb", "bgr", "rgba", "bgra", "grayscale", "gray16"]


class Verify(toolbox.ToolTest):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.files = directory.name

    def lie(self, lie, *args, code=1):
        """(summary, stderr) of a reader of a source with this lie in its frame 5."""
        source = self.start("cam1", lie, "12", program=toolbox.LYING_SOURCE)
        reader = self.start("sub", "cam1", "--verify", "--mode", "order", "--json", *args)
        out, err = self.finish(reader, code)
        self.finish(source)
        return json.loads(out), err.decode()

    def test_honest_source(self):
        result, _ = self.lie("none", code=0)
        self.assertEqual((result["verified"], result["torn"]), (12, 0))

    def test_one_foreign_byte(self):
        result, err = self.lie("byte")
        self.assertEqual((result["verified"], result["torn"]), (12, 1))
        self.assertIn("frame 5", err)
        self.assertIn("offset 2307", err)  # the middle of 64 x 48 NV12, and 3

    def test_stamp_of_another_frame(self):
        result, err = self.lie("stamp")
        self.assertEqual(result["torn"], 1)
        self.assertIn("frame 4", err)

    def test_frame_of_another_run(self):
        self.assertEqual(self.lie("seed")[0]["torn"], 1)

    def test_change_under_the_reader(self):
        result, _ = self.lie("later", "--hold-ms", "100")
        self.assertEqual(result["torn"], 1)

    def checksums(self, lie, *args, code):
        """(torn, lines) of a reader that knows nothing of the pattern."""
        path = f"{self.files}/checksums"
        source = self.start("cam1", lie, "6", program=toolbox.LYING_SOURCE)
        reader = self.start("sub", "cam1", "--mode", "order", "--json", "--checksum", path, *args)
        result = json.loads(self.finish(reader, code)[0])
        self.finish(source)
        with open(path) as lines:
            return result["torn"], lines.read().splitlines()

    def test_checksums_find_a_change_under_the_reader(self):
        torn, lines = self.checksums("held", "--every", "5", "--hold-ms", "500", code=1)
        self.assertEqual(torn, 1)
        self.assertEqual([line.split()[0] for line in lines], ["0", "5"])

    def test_checksums_name_each_picture(self):
        torn, lines = self.checksums("none", "--hold-ms", "5", code=0)
        self.assertEqual(torn, 0)
        self.assertEqual([line.split()[0] for line in lines], ["0", "1", "2", "3", "4", "5"])
        self.assertEqual(len({line.split()[1] for line in lines}), 6)

    def test_checksums_that_cannot_be_kept(self):
        source = self.source("cam1", "--fps", "100")
        _, err = self.run_tool("sub", "cam1", "--checksum", "/dev/full", "--frames", "3",
                               code=1)
        self.assertIn("/dev/full", err)
        self.end(source)

    def test_channel_that_is_no_test_source(self):
        result, err = self.lie("plain")
        self.assertIn("not a test source", err)
        self.assertIn("test-source", result["error"])

    def test_every_format_and_odd_sizes(self):
        for number, name in enumerate(FORMATS):
            for size in ("64x48", "33x17", "1x1"):
                source = self.start("test-source", "cam1", "--size", size, "--format", name,
                                    "--fps", "0", "--frames", "30", "--policy", "wait",
                                    "--ack-timeout-ms", "10000", "--wait-subscribers", "1")
                result = self.run_json("sub", "cam1", "--verify", "--mode", "order", "--json",
                                       "--name", f"reader{number}")
                self.assertEqual((result["received"], result["torn"]), (30, 0), (name, size))
                self.finish(source)

    def test_many_readers_of_a_fast_source(self):
        source = self.source("cam1", "--fps", "0", "--slots", "6")
        readers = [self.start("sub", "cam1", "--verify", "--json", "--seconds", "2",
                              "--mode", ("newest", "order")[i % 2], "--hold-ms", str(i % 3))
                   for i in range(6)]
        for reader in readers:
            result = json.loads(self.finish(reader)[0])
            self.assertGreater(result["verified"], 0)
            self.assertEqual(result["torn"], 0)
        self.end(source)


if __name__ == "__main__":
    toolbox.main()
