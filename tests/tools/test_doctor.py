# SPDX-License-Identifier: LGPL-2.1-or-later
"""The doctor: what it says of good and of bad machines."""
import os
import resource
import tempfile

import toolbox


class Doctor(toolbox.ToolTest):
    def diagnose(self, *args, code=0):
        result = self.run_json("doctor", "--json", *args, code=code)
        for check in result["checks"]:
            self.assertIn(check["status"], ("ok", "warn", "fail"))
            self.assertTrue(check["message"])
            # Whatever is wrong comes with what to do, and nothing else does.
            self.assertEqual(check["remedy"] is None, check["status"] == "ok", check)
        for status, count in (("fail", result["failed"]), ("warn", result["warnings"])):
            self.assertEqual(len([c for c in result["checks"] if c["status"] == status]), count)
        return result["checks"]

    def find(self, checks, status, text):
        found = [c for c in checks if c["status"] == status and text in c["message"]]
        self.assertTrue(found, f"no {status} with {text!r} in {checks}")
        return found[0]

    def test_good_directory(self):
        checks = self.diagnose()
        self.find(checks, "ok", "$CUFRAMES_RUNTIME_DIR")
        self.find(checks, "ok", "can publish")
        self.find(checks, "ok", "cannot map it for writing")
        self.find(checks, "ok", "read-only memory")
        self.find(checks, "ok", "descriptors can be passed")
        subjects = {c["subject"] for c in checks}
        self.assertLessEqual({"kernel", "descriptors", "memory", "gpu", "namespaces"}, subjects)

    def test_text_says_the_same(self):
        out, _ = self.run_tool("doctor")
        for check in self.diagnose():
            self.assertIn(check["subject"], out)
        self.assertNotIn("FAIL", out)

    def test_directory_that_others_can_write(self):
        os.chmod(self.dir, 0o777)
        self.find(self.diagnose(code=1), "fail", "everybody can replace what is in")
        self.assertIn("FAIL", self.run_tool("doctor", code=1)[0])
        os.mkdir(self.dir + "/own", 0o700)
        self.find(self.diagnose("--runtime-dir", self.dir + "/own", code=1), "fail",
                  "which leads to")
        os.rmdir(self.dir + "/own")
        # As the library sees it.
        for mode in (0o1777, 0o770):
            os.chmod(self.dir, mode)
            self.find(self.diagnose(), "ok", "can publish")

    def test_directory_that_is_none(self):
        self.find(self.diagnose("--runtime-dir", "/dev/null", code=1), "fail", "not a directory")
        self.find(self.diagnose("--runtime-dir", "/proc/no/such", code=1), "fail",
                  "cannot be made")
        self.find(self.diagnose("--runtime-dir", self.dir + "/new"), "ok", "not there yet")

    def test_long_path(self):
        with tempfile.TemporaryDirectory(prefix="c" * 40, dir=self.dir) as path:
            self.find(self.diagnose("--runtime-dir", path), "warn", "keys of at most")
        with tempfile.TemporaryDirectory(prefix="c" * 100, dir=self.dir) as path:
            self.find(self.diagnose("--runtime-dir", path, code=1), "fail", "no socket's name")

    def test_live_and_dead_channels(self):
        living, dead = self.source("living", "--fps", "100"), self.source("dying")
        dead.kill()
        dead.wait()
        self.wait_for(lambda: self.run_json("info", "living", "--json")["published"], "a frame")
        checks = self.diagnose()
        self.find(checks, "ok", "living lives")
        self.find(checks, "warn", "dying has no publisher")
        self.end(living)

    def test_few_descriptors(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

        out, _ = self.finish(self.start("doctor", "--json", preexec_fn=few))
        self.assertIn(b"a process may have 100:", out)

    def test_small_files(self):
        def small():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        out, _ = self.finish(self.start("doctor", "--json", preexec_fn=small))
        self.assertIn(b"files are limited to 1 MiB", out)


if __name__ == "__main__":
    toolbox.main()
