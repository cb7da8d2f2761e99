# SPDX-License-Identifier: LGPL-2.1-or-later
"""The doctor on machines with GPUs, played by the stand-in driver."""
import os

import toolbox

STANDIN = os.environ["STANDIN"]
OLD_STANDIN = os.environ["OLD_STANDIN"]


class DoctorGpu(toolbox.ToolTest):
    def diagnose(self, code=0, driver=STANDIN, **environment):
        self.env["LD_LIBRARY_PATH"] = driver
        for name, value in environment.items():
            self.env[name] = str(value)
        result = self.run_json("doctor", "--json", code=code)
        return [c for c in result["checks"] if c["subject"] in ("gpu", "gpu peers", "mps", "nvdec")]

    def find(self, checks, status, text):
        found = [c for c in checks if c["status"] == status and text in c["message"]]
        self.assertTrue(found, f"no {status} with {text!r} in {checks}")
        return found[0]

    def absent(self, checks, text):
        self.assertEqual([c for c in checks if text in c["message"]], [])

    def test_no_driver(self):
        checks = self.diagnose(driver=self.dir)
        self.find(checks, "ok", "none; frames are shared in host memory")
        self.absent(checks, "GPU 0:")

    def test_one_gpu(self):
        checks = self.diagnose(STANDIN_VERSION=12040)
        self.find(checks, "ok", "GPU 0: stand-in 0, GPU-")
        self.find(checks, "ok", "CUDA 12.4")
        self.find(checks, "ok", "GPU 0 can share its memory")
        self.find(checks, "ok", "processes take turns")
        self.absent(checks, "read in place")

    def test_chosen_uuid(self):
        checks = self.diagnose(STANDIN_UUIDS="GPU-01234567-89ab-cdef-0123-456789abcdef")
        self.find(checks, "ok", "GPU-01234567-89ab-cdef-0123-456789abcdef")

    def test_two_gpus(self):
        checks = self.diagnose(STANDIN_DEVICES=2)
        self.find(checks, "ok", "frames of GPU 0 are read in place by GPU 1")
        self.find(checks, "ok", "frames of GPU 1 are read in place by GPU 0")

    def test_three_gpus_apart(self):
        checks = self.diagnose(STANDIN_DEVICES=3, STANDIN_PEERS=0)
        found = self.find(checks, "warn", "frames of GPU 1 cannot be read in place by GPU 0, 2")
        self.assertIn("staged", found["remedy"])

    def test_no_sharing(self):
        checks = self.diagnose(STANDIN_VMM=0)
        self.find(checks, "warn", "no virtual memory management")
        checks = self.diagnose(STANDIN_VMM=1, STANDIN_DESCRIPTORS=0)
        self.find(checks, "warn", "no export as a descriptor")

    def test_mig_and_mps(self):
        checks = self.diagnose(STANDIN_MIG=1, STANDIN_MPS=1)
        self.find(checks, "ok", "MIG")
        self.find(checks, "ok", "in use: processes work on the GPU at the same time")

    def test_driver_that_is_too_old(self):
        checks = self.diagnose(driver=OLD_STANDIN)
        self.find(checks, "warn", "too old")
        self.absent(checks, "GPU 0:")

    def test_lost_gpu(self):
        # Counted, then gone.
        checks = self.diagnose(code=1, STANDIN_LOST_AFTER=4)
        self.find(checks, "fail", "CUDA_ERROR_UNKNOWN")


if __name__ == "__main__":
    toolbox.main()
