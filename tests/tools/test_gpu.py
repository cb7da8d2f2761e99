# SPDX-License-Identifier: LGPL-2.1-or-later
"""Channels in GPU memory, over the stand-in driver: who reads what, and that copies are said."""
import os
import re

import toolbox


class Gpu(toolbox.ToolTest):
    COPIES = "each one is copied to the host for this reader"

    def setUp(self):
        super().setUp()
        self.env["LD_LIBRARY_PATH"] = os.environ["STANDIN"]

    def test_readers_of_a_gpu_channel(self):
        source = self.source("cam1", "--fps", "100", "--memory", "cuda")
        info = self.run_json("info", "cam1", "--json")
        self.assertEqual(info["memory"], "cuda")
        self.assertRegex(info["gpu"], r"^GPU-[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")
        counted, errors = self.run_tool("sub", "cam1", "--frames", "5", "--json")
        self.assertIn('"access": "in place"', counted)
        self.assertNotIn(self.COPIES, errors)
        verified, errors = self.run_tool("sub", "cam1", "--frames", "5", "--verify", "--json")
        self.assertIn('"access": "staged"', verified)
        self.assertIn('"torn": 0', verified)
        self.assertEqual(len(re.findall(self.COPIES, errors)), 1)
        self.leftovers.add("a.png")
        _, errors = self.run_tool("snapshot", "cam1", os.path.join(self.dir, "a.png"))
        self.assertIn(self.COPIES, errors)
        self.end(source)

    def test_gpu_is_named(self):
        self.env["STANDIN_DEVICES"] = "2"
        first = self.source("one", "--memory", "auto")
        second = self.source("two", "--memory", "cuda", "--gpu", "1")
        uuids = {key: self.run_json("info", key, "--json")["gpu"] for key in ("one", "two")}
        self.assertNotEqual(uuids["one"], uuids["two"])
        third = self.source("three", "--memory", "cuda", "--gpu", uuids["two"])
        self.assertEqual(self.run_json("info", "three", "--json")["gpu"], uuids["two"])
        for source in (first, second, third):
            self.end(source)


if __name__ == "__main__":
    toolbox.main()
