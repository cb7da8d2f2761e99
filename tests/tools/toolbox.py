# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of the command share: a private runtime directory for each test, processes that are
ended with it, and the check that nothing is left behind in it.

Needs $CUFRAMES, the program under test; only Python's standard library is used.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

CUFRAMES = os.environ["CUFRAMES"]
LYING_SOURCE = os.environ.get("LYING_SOURCE")

# Far longer than anything takes; a command that reaches it hangs.
TIMEOUT_S = 30


class ToolTest(unittest.TestCase):
    def setUp(self):
        self.processes = []
        self.leftovers = set()  # names that a test declares to leave
        # Short: the directory's path is part of a socket's name.
        self.dir = tempfile.mkdtemp(prefix="cft", dir="/tmp")
        os.chmod(self.dir, 0o700)
        self.env = dict(os.environ, CUFRAMES_RUNTIME_DIR=self.dir)
        self.addCleanup(self.clean_up)

    def clean_up(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        left = set(os.listdir(self.dir)) - self.leftovers
        shutil.rmtree(self.dir)
        killed = [p for p in self.processes if p.returncode == -signal.SIGKILL]
        if not killed:
            self.assertEqual(left, set(), "left in the runtime directory")

    def start(self, *args, program=CUFRAMES, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("env", self.env)
        process = subprocess.Popen([program, *args], **options)
        self.processes.append(process)
        return process

    def finish(self, process, code=0):
        """Waits for the end and gives (stdout, stderr); a wrong exit code fails with both."""
        out, err = process.communicate(timeout=TIMEOUT_S)
        if process.returncode != code:
            self.fail(
                f"{process.args} ended with {process.returncode}, not {code}\n"
                f"stdout: {out[-2000:] if out else out}\nstderr: {err[-2000:] if err else err}"
            )
        return out, err

    def run_tool(self, *args, code=0, **options):
        out, err = self.finish(self.start(*args, **options), code)
        return (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace")

    def run_json(self, *args, code=0):
        return json.loads(self.run_tool(*args, code=code)[0])

    def source(self, key, *args):
        """A test source that is there when this returns."""
        process = self.start("test-source", key, "--size", "64x48", *args)
        name = f"{self.dir}/{key}.sock"
        self.wait_for(lambda: process.poll() is not None or os.path.exists(name), f"channel {key}")
        if process.poll() is not None:
            self.finish(process, 0)
        return process

    def end(self, process, code=0, number=signal.SIGTERM):
        process.send_signal(number)
        return self.finish(process, code)

    def wait_until_it_catches(self, process, number=signal.SIGTERM):
        """A program that is still being loaded is ended by a signal as any other."""

        def catches():
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                for line in status:
                    if line.startswith("SigCgt:"):
                        return int(line.split()[1], 16) >> (number - 1) & 1

        self.wait_for(catches, f"a handler of signal {number}")

    def wait_for(self, condition, what):
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.01)
        self.fail(f"{what} did not come")


def main():
    unittest.main(verbosity=2)
