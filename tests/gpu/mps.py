# SPDX-License-Identifier: LGPL-2.1-or-later
"""MPS for what is started in a `with`: a control daemon of our own, in directories of our own.
Nothing of the GPU is set."""
import os
import shutil
import subprocess
import tempfile


class Mps:
    """`env` is for the processes that are to share; `missing` says why there is no MPS here."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="cuframes-mps-")
        self.env = {"CUDA_MPS_PIPE_DIRECTORY": self.dir + "/pipe",
                    "CUDA_MPS_LOG_DIRECTORY": self.dir + "/log"}
        self.missing = None

    def control(self, *args, words=None):
        return subprocess.run(["nvidia-cuda-mps-control", *args], env={**os.environ, **self.env},
                              input=words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=20, text=True, check=False)

    def __enter__(self):
        if not shutil.which("nvidia-cuda-mps-control"):
            self.missing = "this machine has no nvidia-cuda-mps-control"
            return self
        for name in self.env.values():
            os.makedirs(name)
        try:
            started = self.control("-d")
            if started.returncode != 0:
                self.missing = "nvidia-cuda-mps-control: " + started.stdout.strip()[:200]
        except subprocess.TimeoutExpired:
            self.missing = "nvidia-cuda-mps-control did not start within 20 s"
        return self

    def __exit__(self, *_):
        if not self.missing:
            try:
                self.control(words="quit\n")
            except subprocess.TimeoutExpired:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)
