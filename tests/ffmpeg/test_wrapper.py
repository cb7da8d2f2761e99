# SPDX-License-Identifier: LGPL-2.1-or-later
"""cuframes-ffmpeg: which tool it runs, and what it says where it can do nothing."""
import os
import shutil
import subprocess
import tempfile
import unittest

WRAPPER = os.environ["CUFRAMES_FFMPEG"]
WRONG_USE, REFUSED, NO_TOOL = 2, 69, 127


class Wrapper(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="cfw")
        self.addCleanup(shutil.rmtree, self.dir)

    def run_wrapper(self, *args, **environment):
        return subprocess.run([WRAPPER, *args], capture_output=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL, env=dict(os.environ, **environment))

    def program(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def test_runs_ffmpeg_unless_told(self):
        self.assertTrue(self.run_wrapper("-version").stdout.startswith("ffmpeg version"))

    def test_runs_the_others_and_paths(self):
        self.assertTrue(self.run_wrapper("ffprobe", "-version").stdout.startswith("ffprobe version"))
        path = shutil.which("ffprobe")
        self.assertTrue(self.run_wrapper(path, "-version").stdout.startswith("ffprobe version"))

    def test_gives_the_exit_status(self):
        self.assertEqual(self.run_wrapper("ffprobe", "/nowhere").returncode, 1)

    def test_a_static_program_is_refused(self):
        path = self.program("ffmpeg", "#!/bin/sh\n")
        done = self.run_wrapper(path, "-version")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("cuframes cat", done.stderr)

    def test_no_tool(self):
        done = self.run_wrapper(os.path.join(self.dir, "ffmpeg"))
        self.assertEqual(done.returncode, NO_TOOL)
        self.assertNotIn("apt-get", done.stderr)
        for name in ("ffmpeg", "ffplay"):
            # What the script itself needs stays on the path.
            for word in ("sh", "ldd", "sed", "env", "dirname", "cat"):
                if not os.path.exists(os.path.join(self.dir, word)):
                    os.symlink(shutil.which(word), os.path.join(self.dir, word))
            done = self.run_wrapper(name, "-version", PATH=self.dir)
            self.assertEqual(done.returncode, NO_TOOL)
            self.assertIn(f"there is no {name}; install it", done.stderr)

    def test_a_tool_that_it_does_not_know(self):
        for word in ("nosuch", "out.mp4", "/bin/true"):
            with self.subTest(word=word):
                done = self.run_wrapper(word)
                self.assertEqual((done.returncode, done.stdout), (WRONG_USE, ""))
                self.assertIn(f'"{word}" is no option, and no tool that it knows: ffmpeg, ffprobe, '
                              "ffplay or a path", done.stderr)

    def test_no_argument_and_help(self):
        done = self.run_wrapper()
        self.assertEqual((done.returncode, done.stdout), (WRONG_USE, ""))
        self.assertTrue(done.stderr.startswith("usage: cuframes-ffmpeg"))
        done = self.run_wrapper("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"Works with FFmpeg (5\.1|7\.1) \(libavformat")
        # FFmpeg's own help, with what was added.
        self.assertIn("open_timeout", self.run_wrapper("-h", "demuxer=cuframes").stdout)

    def test_a_folder_without_objects(self):
        done = self.run_wrapper("-version", CUFRAMES_FFMPEG_SHIMS=self.dir)
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn(f"there is nothing for any FFmpeg in {self.dir}", done.stderr)
        self.assertIn("cuframes cat KEY | ffmpeg -i -", done.stderr)

    def test_a_release_that_it_has_nothing_for(self):
        self.program("ffmpeg-shim-61.so" if "59" in self.shim() else "ffmpeg-shim-59.so", "")
        done = self.run_wrapper("-version", CUFRAMES_FFMPEG_SHIMS=self.dir)
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("uses libavformat", done.stderr)

    def test_another_minor_release_is_refused(self):
        """A libavformat that says it is another: the object itself looks, too."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if not compiler:
            self.skipTest("no compiler")
        source = self.program("other.c", "unsigned avformat_version(void) { return 59 << 16 | 99 << 8; }\n")
        other = os.path.join(self.dir, "other.so")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", other, source], check=True, timeout=60)
        # It comes before the real one, and is in the place of a user's own preloads.
        done = self.run_wrapper("-version", LD_PRELOAD=other)
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("libavformat 59.99", done.stderr)

    def test_what_the_tool_starts_is_left_alone(self):
        # "env" shows the environment that a program which FFmpeg starts would have.
        done = subprocess.run(["sh", "-c", 'LD_PRELOAD=$1 exec env', "sh", self.shim()],
                              capture_output=True, text=True, timeout=30)
        self.assertNotIn("LD_PRELOAD", done.stdout)
        self.assertEqual(done.returncode, 0, done.stderr)

    def shim(self):
        folder = os.environ["CUFRAMES_FFMPEG_SHIMS"]
        return next(os.path.join(folder, name) for name in os.listdir(folder)
                    if name.startswith("ffmpeg-shim-") and name.endswith(".so"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
