# SPDX-License-Identifier: LGPL-2.1-or-later
"""Command lines: help, mistakes and their exit codes, channels that are not there."""
import os
import pty
import subprocess

import toolbox

COMMANDS = ["test-source", "sub", "ls", "info", "top", "snapshot", "cat", "packets", "record",
            "view", "doctor"]
ALL_COMMANDS = COMMANDS + ["ingest", "group"]
BAD_KEYS = ["", "a/b", "../up", "a b", "k" * 64, "ümlaut", "dot.ted"]


class Usage(toolbox.ToolTest):
    def refused(self, *args):
        out, err = self.run_tool(*args, code=2)
        self.assertEqual(out, "")
        self.assertIn("--help", err)
        return err

    def test_help_lists_every_command(self):
        for args in (["--help"], ["-h"], ["help"]):
            out, _ = self.run_tool(*args)
            for command in ALL_COMMANDS:
                self.assertRegex(out, rf"\n  {command} ")

    def test_every_command_explains_itself(self):
        for command in ALL_COMMANDS:
            out, _ = self.run_tool(command, "--help")
            self.assertIn(f"cuframes {command}", out)
            self.assertEqual(self.run_tool("help", command)[0], out)

    def test_version(self):
        self.assertRegex(self.run_tool("--version")[0], r"^cuframes \d+\.\d+\.\d+ .*protocol 5")

    def test_without_a_command(self):
        out, err = self.run_tool(code=2)
        self.assertEqual(out, "")
        self.assertIn("Commands:", err)

    def test_unknown_command_suggests(self):
        self.assertIn('"snapshot"', self.refused("snapshut"))
        self.assertIn('"sub"', self.refused("subs"))
        self.assertNotIn("did you mean", self.refused("frobnicate"))
        self.refused("help", "snapshut")

    def test_unknown_option(self):
        for command in COMMANDS:
            self.assertIn("--bogus", self.refused(command, "--bogus"))
            self.assertIn("-x", self.refused(command, "-x"))

    def test_option_without_its_argument(self):
        self.assertIn("--frames", self.refused("sub", "cam", "--frames"))
        self.assertIn("no argument", self.refused("sub", "cam", "--json=1"))

    def test_missing_and_surplus_words(self):
        for command in ("sub", "info", "cat", "snapshot", "view", "test-source"):
            self.assertIn("KEY", self.refused(command))
        self.assertIn("too many", self.refused("info", "a", "b"))
        self.assertIn("too many", self.refused("ls", "a"))
        self.assertIn("FILE", self.refused("snapshot", "cam"))

    def test_bad_keys(self):
        for key in BAD_KEYS:
            for command in ("sub", "info", "cat", "test-source", "view"):
                self.assertIn("key", self.refused(command, key))
            self.assertIn("key", self.refused("snapshot", key, "x.png"))

    def test_bad_values(self):
        for args in (
            ["--size", "0x0"],
            ["--size", "100000x100"],
            ["--size", "1920"],
            ["--size", "1920x1080x3"],
            ["--format", "bogus"],
            ["--fps", "-1"],
            ["--fps", "fast"],
            ["--fps", "nan"],
            ["--frames", "0"],
            ["--frames", "1e3"],
            ["--slots", "1"],
            ["--slots", "65"],
            ["--policy", "hope"],
            ["--alternate-every", "5"],
        ):
            self.assertIn(args[0], self.refused("test-source", "cam", *args))
        for args in (["--mode", "all"], ["--seconds", "0"], ["--hold-ms", "-1"], ["--every", "0"]):
            self.assertIn(args[0], self.refused("sub", "cam", *args))
        self.assertIn("nv12", self.refused("test-source", "cam", "--format", "bogus"))
        self.assertIn("y4m", self.refused("cat", "cam", "--format", "avi"))
        self.assertIn(".png", self.refused("snapshot", "cam", "picture.gif"))
        self.assertIn("--interval", self.refused("top", "--interval", "0"))

    def test_options_that_do_not_go_together(self):
        for command, words in (
            ("top --once --count 3", ("--once", "--count")),
            ("snapshot cam a.png --quality 90", ("--quality", "JPEG")),
            ("snapshot cam a.jpg --compression 3", ("--compression", "PNG")),
            ("test-source cam --ack-timeout-ms 100", ("--ack-timeout-ms", "--policy wait")),
            ("test-source cam --alternate-every 5", ("--alternate-every", "--alternate-size")),
            ("unixfd cam path --wait-clients 3 --max-clients 2", ("--wait-clients", "--max-clients")),
            ("ingest unixfd:path --key cam --ack-timeout-ms 100", ("--ack-timeout-ms", "--policy")),
            ("cat cam --packets --frames 3", ("--frames", "--packets")),
            ("cat cam --packets --mode newest", ("--mode", "--packets")),
            ("cat cam --to unix:path", ("--to", "--packets")),
        ):
            with self.subTest(command=command):
                _, err = self.run_tool(*command.split(), code=2)
                for word in words:
                    self.assertIn(word, err)

    def test_channel_that_is_not_there(self):
        picture = f"{self.dir}/x.png"
        for args in (
            ["info", "nobody"],
            ["sub", "nobody", "--wait", "0"],
            ["sub", "nobody", "--wait", "0.3", "--json"],
            ["cat", "nobody", "--wait", "0"],
            ["snapshot", "nobody", picture, "--wait", "0"],
        ):
            out, err = self.run_tool(*args, code=1)
            self.assertEqual(out, "")
            self.assertIn("nobody", err)
            self.assertTrue(err.startswith(f"cuframes {args[0]}: "), err)
        self.assertFalse(os.path.exists(picture))

    def test_empty_and_missing_directory(self):
        self.assertEqual(self.run_tool("ls")[0], "")
        self.assertEqual(self.run_json("ls", "--json"), [])
        self.assertEqual(self.run_json("ls", "--json", "--runtime-dir", self.dir + "/no"), [])

    def test_directory_that_cannot_be(self):
        for command in (["sub", "cam", "--wait", "0"], ["info", "cam"], ["test-source", "cam"]):
            _, err = self.run_tool(*command, "--runtime-dir", "/" + "d" * 120, code=1)
            self.assertIn("long", err)
            _, err = self.run_tool(*command, "--runtime-dir", "/dev/null", code=1)
            self.assertIn("/dev/null", err)

    def test_reader_of_the_help_goes_away(self):
        read, write = os.pipe()
        os.close(read)
        _, err = self.run_tool("--help", code=1, stdout=write)
        os.close(write)
        self.assertEqual(err, "")

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            _, err = self.run_tool("doctor", "--help", code=1, stdout=full)
        self.assertIn("No space", err)

    def test_frames_on_a_terminal_are_refused(self):
        ours, theirs = pty.openpty()
        self.run_tool("cat", "cam", code=2, stdout=theirs)
        os.close(ours)
        os.close(theirs)

    def test_names_of_the_program(self):
        link = f"{self.dir}/sub_count"
        os.symlink(toolbox.CUFRAMES, link)
        try:
            for args, code in ((["--help"], 0), ([], 2), (["--key", "a/b"], 2)):
                result = subprocess.run([link, *args], env=self.env, capture_output=True, text=True,
                                        timeout=toolbox.TIMEOUT_S, check=False)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertIn("sub_count", result.stdout + result.stderr)
        finally:
            os.unlink(link)


if __name__ == "__main__":
    toolbox.main()
