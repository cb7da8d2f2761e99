# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Each command when one of its own allocations fails: it ends, by itself, with an error or as if
nothing had been, and never without a word. A sample of the allocations of each.
"""
import os
import random
import subprocess

from toolbox import CUFRAMES, TIMEOUT_S, ToolTest, main

FAIL_ALLOCATION = os.environ["FAIL_ALLOCATION_LIBRARY"]
SAMPLE = 10
AT_ONCE = 4


class Memory(ToolTest):
    def preloaded(self, number):
        return dict(self.env, LD_PRELOAD=FAIL_ALLOCATION, FAIL_ALLOCATION=str(number),
                    ALLOCATIONS=f"{self.dir}/allocations")

    def begin(self, args, number):
        return number, subprocess.Popen([CUFRAMES, *args], env=self.preloaded(number),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)

    def judge(self, args, number, process):
        try:
            out, err = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fail(f"{args}: allocation {number} fails: it hangs: {err[-1000:]}")
        self.assertIn(process.returncode, (0, 1, 2), f"{args}: allocation {number} fails: {err[-1000:]}")
        if process.returncode:
            self.assertTrue(err.strip() or out.strip(), f"{args}: allocation {number} fails, without a word")
        return process.returncode != 0

    def fail_some(self, *args, at_once=AT_ONCE):
        """Gives how often it ended with an error."""
        self.judge(args, 0, self.begin(args, 0)[1])
        with open(f"{self.dir}/allocations", encoding="ascii") as file:
            count = int(file.read())
        self.assertGreater(count, 0)
        chosen = sorted(random.Random(count).sample(range(1, count + 1), min(SAMPLE, count)))
        errors = 0
        while chosen:
            some, chosen = chosen[:at_once], chosen[at_once:]
            for number, process in [self.begin(args, number) for number in some]:
                errors += self.judge(args, number, process)
        os.unlink(f"{self.dir}/allocations")
        return errors

    def test_readers(self):
        source = self.source("cam", "--fps", "100")
        for args in (["ls"], ["ls", "--json"], ["info", "cam"], ["info", "cam", "--json"],
                     ["sub", "cam", "--frames", "3"], ["snapshot", "cam", "-", "--type", "png"],
                     ["cat", "cam", "--frames", "2"], ["packets", "cam", "--wait", "0"], ["doctor"]):
            with self.subTest(args[0]):
                self.fail_some(*args)
        # Whatever they did, the channel is there.
        self.run_tool("sub", "cam", "--frames", "3")
        self.end(source)

    def test_publishers(self):
        errors = 0
        for args in (["test-source", "cam", "--size", "64x48", "--frames", "2"],
                     ["ingest", "testsrc2=size=64x48:rate=25:duration=0.2", "--input-format", "lavfi", "--key", "cam",
                      "--no-reconnect"]):
            with self.subTest(args[0]):
                # They have the same key.
                errors += self.fail_some(*args, at_once=1)
        self.assertGreater(errors, 0)


if __name__ == "__main__":
    main()
