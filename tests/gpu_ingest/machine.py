# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the GPU ingest's tests share: the bundle's programs, processes that end, the GPU's figures."""
import collections
import contextlib
import glob
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.join(HERE, "bin")
CLIPS = os.path.join(HERE, "clips")

Frame = collections.namedtuple("Frame", "seq missed pts_ns generation flags size format md5")
# What framelog says of a frame.
WORDS = 12


def environment():
    """Programs find their library, and libraries of the driver wherever such machines have them."""
    folders = [os.path.join(HERE, "lib")]
    for pattern in ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/x86_64-linux-gnu"):
        folders += glob.glob(pattern)
    env = dict(os.environ)
    env["LD_LIBRARY_PATH"] = ":".join(folders + [env.get("LD_LIBRARY_PATH", "")]).rstrip(":")
    env["PATH"] = BIN + ":" + env["PATH"]
    return env


ENV = environment()
for program in glob.glob(os.path.join(BIN, "*")):  # a copy may have lost that
    with contextlib.suppress(OSError):
        os.chmod(program, 0o755)


class Session:
    """A runtime directory of its own, and processes that do not outlive it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="cfgpu", dir="/tmp")
        self.env = dict(ENV, CUFRAMES_RUNTIME_DIR=os.path.join(self.folder, "run"))
        os.mkdir(self.env["CUFRAMES_RUNTIME_DIR"], 0o700)
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        for process in self.processes:
            with contextlib.suppress(Exception):
                process.communicate(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, program, *args, env=None, out=subprocess.PIPE, err=subprocess.PIPE):
        process = subprocess.Popen(
            [os.path.join(BIN, program), *map(str, args)], env=dict(self.env, **(env or {})),
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True)
        self.processes.append(process)
        return process

    def finish(self, process, timeout=60):
        """Its standard output and error; a process that does not end is killed, and says so."""
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err = (err or "") + f"\nkilled after {timeout} s"
        return out or "", err or ""

    def ingest(self, *args, key="cam"):
        return self.start("cuframes", "ingest", *args, "--key", key)

    def read(self, *args, key="cam", raw=None):
        return self.start("framelog", key, *args, env={"FRAMELOG_RAW": raw} if raw else None)


def parse_frames(text):
    frames = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == WORDS:
            frames.append(Frame(int(words[0]), int(words[1]), int(words[2]), int(words[3]),
                                int(words[4]), words[5], words[6], words[10]))
    return frames


def parse_times(text):
    """When each picture was published, by its presentation time; nanoseconds."""
    lines = [line.split() for line in text.splitlines()]
    return {int(words[2]): int(words[9]) for words in lines if len(words) == WORDS}


def parse_summary(text):
    """published, copied, dropped, left_out, damaged; None if the ingest said none."""
    found = re.search(r"end: (\d+) frames published, (\d+) of them copied; (\d+) dropped, "
                      r"(\d+) left out, (\d+) damaged", text)
    if not found:
        return None
    return dict(zip(("published", "copied", "dropped", "left_out", "damaged"),
                    map(int, found.groups())))


def run(program, *args, timeout=60):
    """(exit code, output, errors) of a program of the bundle or of the machine."""
    inside = os.path.join(BIN, program)
    command = inside if os.path.exists(inside) else shutil.which(program, path=ENV["PATH"])
    if not command:
        return 127, "", f"{program} is not there"
    try:
        done = subprocess.run([command, *map(str, args)], env=ENV, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return 124, "", f"killed after {timeout} s"
    return done.returncode, done.stdout, done.stderr


class Gpu:
    """Samples of the GPU's decoder and memory while something runs."""

    def __init__(self):
        try:
            import pynvml
            pynvml.nvmlInit()
            self.nvml, self.handle = pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
        except Exception as error:  # not there, or another driver's
            self.nvml, self.why = None, str(error)
        self.decoder, self.memory, self.busy = [], [], False

    def _sample(self):
        while self.busy:
            with contextlib.suppress(Exception):
                self.decoder.append(self.nvml.nvmlDeviceGetDecoderUtilization(self.handle)[0])
            with contextlib.suppress(Exception):
                self.memory.append(self.nvml.nvmlDeviceGetMemoryInfo(self.handle).used / 2**20)
            time.sleep(0.5)

    def memory_now(self):
        if not self.nvml:
            return None
        with contextlib.suppress(Exception):
            return self.nvml.nvmlDeviceGetMemoryInfo(self.handle).used / 2**20
        return None

    def __enter__(self):
        self.decoder, self.memory, self.busy = [], [], self.nvml is not None
        self.thread = threading.Thread(target=self._sample)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.busy = False
        self.thread.join()

    def figures(self):
        return {
            "decoder_percent": round(sum(self.decoder) / len(self.decoder), 1) if self.decoder else None,
            "memory_mib": round(max(self.memory)) if self.memory else None,
        }


def cpu_seconds(pids):
    """Processor time that these processes have used so far."""
    ticks, hz = 0, os.sysconf("SC_CLK_TCK")
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / hz


def end(processes):
    for process in processes:
        if process.poll() is None:
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGINT)


def allow_many_files():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
