# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests share: a private runtime directory, a time limit, and looks at what is left."""
import faulthandler
import gc
import importlib.util
import os
import subprocess
import sys
import textwrap

import numpy
import pytest

import cuframes

LIMIT = 60


def pytest_configure(config):
    config.addinivalue_line("markers", "time_limit(seconds): for a test that takes longer")
    # Here pytest does not capture what is written, in a test it does.
    config.stderr = os.fdopen(os.dup(2), "w")


def pytest_unconfigure(config):
    config.stderr.close()


@pytest.fixture(autouse=True)
def time_limit(request):
    """A test that hangs ends the run with the stacks of all threads."""
    mark = request.node.get_closest_marker("time_limit")
    faulthandler.dump_traceback_later(mark.args[0] if mark else LIMIT, exit=True,
                                      file=request.config.stderr)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("CUFRAMES_RUNTIME_DIR", str(tmp_path))
    return str(tmp_path)


@pytest.fixture(scope="session")
def frameworks(tmp_path_factory):
    """Starts what opens descriptors of its own when it is first used: they are there before a test
    is looked at."""
    if importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            torch.zeros(1, device="cuda")
            where = str(tmp_path_factory.mktemp("start"))
            with cuframes.Publisher("start", 8, 8, "gray", device="cuda:0",
                                    runtime_dir=where) as pub, \
                    cuframes.open("start", timeout=20, runtime_dir=where) as sub:
                pub.send(numpy.zeros((8, 8), numpy.uint8))
                torch.from_dlpack(next(sub)).sum().item()
    if importlib.util.find_spec("jax"):
        importlib.import_module("jax.numpy").zeros(1)


def open_descriptors():
    return {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{fd}") or os.path.islink(f"/proc/self/fd/{fd}")}


def shared_mappings():
    with open("/proc/self/maps") as maps:
        return [line for line in maps if "memfd:" in line]


@pytest.fixture(autouse=True)
def nothing_left():
    """Fails a test that leaves a descriptor or a mapping of shared memory."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), len(shared_mappings())
    yield
    gc.collect()
    after = len(os.listdir("/proc/self/fd")), len(shared_mappings())
    assert after <= before, f"left behind: {open_descriptors()}"


class Script:
    """Another Python process over the same runtime directory."""

    def __init__(self, text, *args):
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(text), *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        return self.process.stdout.readline().strip()

    def say(self, text=""):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self):
        """Lets it run to its end; its exit status."""
        self.process.stdin.close()
        status = self.process.wait(30)
        self.process.stdout.close()
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def script():
    started = []

    def start(text, *args):
        started.append(Script(text, *args))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()
