# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A real RTSP server on loopback as a camera: tests/harness/rtsp_server.py with a handle.
"""
import os
import socket
import subprocess

from ingest_test import SKIPPED, TIMEOUT_S

RTSP_SERVER = os.environ["RTSP_SERVER"]
PYTHON = "/usr/bin/python3"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Camera:
    """`test` ends it; a port of its own is kept through restarts."""

    def __init__(self, test, *options, port=None):
        self.test = test
        self.options = options
        self.port = port or free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/cam"
        self.process = None
        test.addCleanup(self.kill)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [PYTHON, RTSP_SERVER, "--control", "--port", str(self.port), "--size", "320x240",
             "--fps", "25", *self.options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("READY "):
            err = self.process.communicate(timeout=TIMEOUT_S)[1]
            if self.process.returncode == SKIPPED:
                self.test.skipTest(err.strip())
            self.test.fail(f"the camera did not start: {line}{err}")

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def connections(self):
        """(now, since its start)"""
        word, now, total = self.command("clients").split()
        self.test.assertEqual(word, "CLIENTS")
        return int(now), int(total)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
