# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pipelines that are paused: what they hold does not change, nobody waits for them, and they go on."""
import os
import subprocess

from gst_test import GstTest, main

STATES = os.environ["GST_STATES"]
SINK = "fakesink name=out signal-handoffs=true"


class States:
    """A pipeline of gst_states, and what it answers."""

    def __init__(self, test, description):
        self.test = test
        self.process = subprocess.Popen([STATES, description], env=test.pipeline_env(), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        test.addCleanup(self.end)

    def end(self):
        """Ends the pipeline as it should; by force when a test has failed."""
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.test.assertEqual(self.process.returncode, 0)

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def go(self, request, state):
        self.test.assertEqual(self.ask(request), state)

    def last(self):
        return self.buffers(self.ask("last"))[0]

    def seen(self):
        return self.buffers(self.ask("seen"))

    def wait_for_frames(self, count):
        """So many that were shown since they were last asked for, at least."""
        frames = []

        def enough():
            frames.extend(self.seen())
            return len(frames) >= count

        self.test.wait_for(enough, f"{count} frames")
        return frames

    @staticmethod
    def buffers(text):
        """(sequence number, CRC-32) of each."""
        return [(int(seq), int(crc, 16)) for seq, crc in (word.split(":") for word in text.split())]


class Paused(GstTest):
    def published(self):
        return self.run_json("info", "cam", "--json")["published"]

    def paused_among_others(self, elements):
        # It waits for who reads in order, so that a slow machine costs nobody a frame; a pipeline that
        # takes the newest is not waited for.
        source = self.source("cam", "--fps", "100", "--frames", "250", "--wait-subscribers", "2",
                             "--policy", "wait", "--ack-timeout-ms", "20000")
        others = self.reader("cam")
        pipeline = States(self, f"cuframessrc key=cam ! {elements} {SINK}")
        pipeline.go("play", "playing")
        frames = pipeline.wait_for_frames(10)
        pipeline.go("pause", "paused")
        before = self.published()
        # One frame more may be on its way.
        self.wait_for(lambda: self.published() >= before + 10, "10 frames for the others")
        held = pipeline.last()
        # The ring of eight goes round ten times.
        self.wait_for(lambda: self.published() >= before + 90, "80 frames for the others")
        self.assertEqual(pipeline.last(), held)
        self.assertGreaterEqual(self.run_json("info", "cam", "--json")["slots_held"], 1)
        frames += pipeline.seen()
        resumed_at = self.published()
        pipeline.go("play", "playing")
        after = pipeline.wait_for_frames(10)
        pipeline.end()
        self.finish(others)
        self.finish(source)
        expected = self.checksums(self.path("sums"))
        self.assertEqual(sorted(expected), list(range(250)), "somebody else missed a frame")
        for seq, value in (*frames, *after, held):
            self.assertEqual(value, expected[seq], f"frame {seq}")
        # What it had comes first, and the one that was on its way; then the newest.
        numbers = [seq for seq, _ in after]
        self.assertEqual(numbers, sorted(numbers))
        self.assertGreaterEqual(numbers[-1], resumed_at)
        self.assertLessEqual(len([seq for seq in numbers if before < seq < resumed_at - 1]), 1)

    def test_it_holds_and_others_go_on(self):
        self.paused_among_others("")

    def test_behind_queues(self):
        self.paused_among_others("queue max-size-buffers=3 ! tee ! queue ! identity !")

    def test_paused_again_and_again(self):
        source = self.source("cam", "--fps", "200")
        pipeline = States(self, f"cuframessrc key=cam ! {SINK}")
        for _ in range(20):
            pipeline.go("play", "playing")
            pipeline.wait_for_frames(2)
            pipeline.go("pause", "paused")
        self.assertLessEqual(self.run_json("info", "cam", "--json")["slots_held"], 4)
        pipeline.end()
        self.wait_for(lambda: not self.readers("cam"), "the end of the reader")
        self.assertEqual(self.run_json("info", "cam", "--json")["slots_held"], 0)
        self.end(source)

    def test_before_the_first_frame(self):
        pipeline = States(self, f"cuframessrc key=cam timeout=-1 ! {SINK}")
        pipeline.go("pause", "paused")
        source = self.source("cam", "--fps", "100")
        pipeline.go("play", "playing")
        pipeline.wait_for_frames(5)
        pipeline.end()
        self.end(source)

    def evicted(self, properties):
        """A publisher that waits for its readers does not wait for one that is paused for ever."""
        source = self.source("cam", "--fps", "100", "--policy", "wait", "--ack-timeout-ms", "200")
        pipeline = States(self, f"cuframessrc key=cam mode=order {properties} ! {SINK}")
        pipeline.go("play", "playing")
        pipeline.wait_for_frames(5)
        pipeline.go("pause", "paused")
        self.wait_for(lambda: not self.readers("cam"), "the eviction")
        before = self.published()
        self.wait_for(lambda: self.published() > before + 20, "frames for the others")
        return source, pipeline

    def test_evicted_by_a_publisher_that_waits(self):
        source, pipeline = self.evicted("")
        # The error may come before or after the pipeline has the new state.
        self.assertIn(pipeline.ask("play"), ("playing", "failed"))
        text = self.wait_for(lambda: pipeline.ask("errors"), "an error")
        self.assertRegex(text, "^error: .*evicted")
        pipeline.end()
        self.end(source)

    def test_evicted_and_back_again(self):
        source, pipeline = self.evicted("reconnect=true")
        pipeline.seen()
        pipeline.go("play", "playing")
        pipeline.wait_for_frames(20)
        self.assertRegex(pipeline.ask("errors"), "^warning: .*evicted")
        pipeline.end()
        self.end(source)


if __name__ == "__main__":
    main()
