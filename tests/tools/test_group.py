# SPDX-License-Identifier: LGPL-2.1-or-later
"""cuframes group: ranks, their environment and output, and how all end together."""
import os
import re
import signal
import time

import toolbox

SHOW = (
    "echo $CUFRAMES_GROUP_NAME $CUFRAMES_GROUP_RANK $CUFRAMES_GROUP_SIZE"
    " $LOCAL_RANK $LOCAL_WORLD_SIZE"
)
LAUNCHERS = [
    ("LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"),
]
# Names its process, then lives until it is ended.
LIVE = "echo pid $$; exec sleep 100"


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Group(toolbox.ToolTest):
    def setUp(self):
        super().setUp()
        # This test may itself run under a launcher.
        for names in LAUNCHERS:
            for name in names:
                self.env.pop(name, None)

    def group(self, script, *options, code=0):
        return self.run_tool("group", "--name", "g", *options, "--", "sh", "-c", script, code=code)

    def start_live(self, size):
        """A group of `size` that lives, and the processes of its ranks."""
        process = self.start("group", "--name", "g", "--size", str(size), "--", "sh", "-c", LIVE)
        pids = [int(process.stdout.readline().split()[2]) for _ in range(size)]
        self.assertTrue(all(is_alive(pid) for pid in pids))
        return process, pids

    def wait_for_end(self, pids):
        self.wait_for(lambda: not any(is_alive(pid) for pid in pids), "the end of the ranks")

    def test_every_rank_knows_who_it_is(self):
        out, _ = self.group(SHOW, "--size", "4")
        self.assertEqual(
            sorted(out.splitlines()), [f"[{rank}] g {rank} 4 {rank} 4" for rank in range(4)]
        )

    def test_lines_stay_whole_and_go_where_they_belong(self):
        script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done; printf last"
        out, err = self.group(script, "--size", "3")
        for rank in range(3):
            of_rank = [line[4:] for line in out.splitlines() if line.startswith(f"[{rank}] ")]
            self.assertEqual(of_rank, [f"out {i}" for i in range(1, 10)] + ["last"])
            of_rank = [line[4:] for line in err.splitlines() if line.startswith(f"[{rank}] ")]
            self.assertEqual(of_rank, [f"err {i}" for i in range(1, 10)])
        self.assertEqual(len(out.splitlines()), 30)

    def test_without_prefix(self):
        out, _ = self.group("echo word", "--size", "2", "--no-prefix")
        self.assertEqual(out, "word\nword\n")

    def test_one_that_fails_ends_the_others(self):
        start = time.monotonic()
        script = 'test "$LOCAL_RANK" = 1 && exit 7; exec sleep 100'
        _, err = self.group(script, "--size", "3", code=1)
        self.assertIn("rank 1 failed with exit code 7", err)
        self.assertNotIn("rank 0", err)
        self.assertLess(time.monotonic() - start, 20)

    def test_one_that_is_killed_ends_the_others(self):
        process, pids = self.start_live(3)
        os.kill(pids[2], signal.SIGKILL)
        _, err = self.finish(process, 1)
        self.assertRegex(err.decode(), r"rank \d was killed by signal 9")
        self.wait_for_end(pids)

    def test_launchers_say_the_rank(self):
        for rank, size in LAUNCHERS:
            self.env.update({rank: "2", size: "3"})
            out, _ = self.group(SHOW)
            self.assertEqual(out, "[2] g 2 3 2 3\n", rank)
            # What is given counts more.
            out, _ = self.group(SHOW, "--size", "4", "--rank", "1")
            self.assertEqual(out, "[1] g 1 4 1 4\n", rank)
            del self.env[rank], self.env[size]

    def test_ranks_that_were_started_elsewhere(self):
        ranks = [
            self.start("group", "--name", "g", "--size", "2", "--rank", str(rank), "--", "sh",
                       "-c", SHOW)
            for rank in range(2)
        ]
        for rank, process in enumerate(ranks):
            self.assertEqual(self.finish(process)[0].decode(), f"[{rank}] g {rank} 2 {rank} 2\n")

    def test_program_that_is_not_there(self):
        _, err = self.run_tool("group", "--name", "g", "--size", "2", "--", "/no/program", code=1)
        self.assertIn("/no/program", err)
        self.assertIn("127", err)

    def test_command_lines_that_make_no_group(self):
        for args, word in (
            (["--size", "2", "--", "true"], "--name"),
            (["--name", "g", "--", "true"], "--size"),
            (["--name", "g", "--size", "0", "--", "true"], "--size"),
            (["--name", "g", "--size", "1025", "--", "true"], "--size"),
            (["--name", "a/b", "--size", "2", "--", "true"], "key"),
            (["--name", "n" * 58, "--size", "2", "--", "true"], "57"),
            (["--name", "g", "--size", "2", "--rank", "2", "--", "true"], "rank 2"),
            (["--name", "g", "--size", "2"], "program"),
        ):
            out, err = self.run_tool("group", *args, code=2)
            self.assertEqual(out, "")
            self.assertIn(word, err)

    def test_sigterm_ends_all(self):
        process, pids = self.start_live(3)
        err = self.end(process, 1)[1].decode()
        self.assertIn("stopping", err)
        self.wait_for_end(pids)

    def test_kill_of_the_command_ends_the_ranks(self):
        process, pids = self.start_live(3)
        process.kill()
        self.wait_for_end(pids)

    def test_a_rank_that_does_not_listen_is_killed(self):
        script = "trap '' TERM; echo pid $$; while :; do sleep 0.1; done"
        process = self.start("group", "--name", "g", "--size", "2", "--", "sh", "-c", script)
        pids = [int(process.stdout.readline().split()[2]) for _ in range(2)]
        self.end(process, 1)
        self.wait_for_end(pids)

    def test_help_says_what_the_ranks_find(self):
        out, _ = self.run_tool("group", "--help")
        self.assertTrue(re.search(r"_RANK", out))


if __name__ == "__main__":
    toolbox.main()
