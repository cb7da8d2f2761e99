# SPDX-License-Identifier: LGPL-2.1-or-later
"""Channels seen from outside: ls, info, top, sub and sub_count against live and dead sources."""
import json
import os
import signal
import subprocess

import toolbox


class Channel(toolbox.ToolTest):
    def check_rate(self, measured, nominal):
        """The right magnitude: how well a busy machine keeps time is not what is tested."""
        self.assertGreater(measured, nominal / 10)
        self.assertLess(measured, nominal * 10)

    def test_info_has_the_agreed_members(self):
        source = self.source("cam1", "--fps", "100", "--policy", "wait", "--slots", "5")
        reader = self.start("sub", "cam1", "--mode", "order", "--name", "watcher", "--json")

        def attached():
            info = self.run_json("info", "cam1", "--json")
            return info if info["subscribers"] and info["subscribers"][0]["received"] else None

        info = self.wait_for(attached, "the reader")
        expected = {"key": "cam1", "format": "nv12", "width": 64, "height": 48, "memory": "host",
                    "slots": 5, "generation": info["generation"], "policy": "wait"}
        self.assertEqual({name: info[name] for name in expected}, expected)
        self.assertIsInstance(info["seq"], int)
        self.assertIsInstance(info["fps"], float)
        (subscriber,) = info["subscribers"]
        self.assertEqual(subscriber["name"], "watcher")
        self.assertEqual(subscriber["mode"], "order")
        for name in ("held", "received", "missed", "lag"):
            self.assertIsInstance(subscriber[name], int)
        text, _ = self.run_tool("info", "cam1")
        self.assertIn("64x48 nv12", text)
        self.assertIn("watcher", text)
        self.end(reader, number=signal.SIGINT)
        self.end(source)

    def test_measured_rate(self):
        source = self.source("cam1", "--fps", "50")
        self.wait_for(lambda: self.run_json("info", "cam1", "--json")["published"] > 25, "frames")
        self.check_rate(self.run_json("info", "cam1", "--json")["fps"], 50)
        self.end(source)

    def test_list(self):
        sources = [self.source("one"), self.source("two", "--format", "gray16")]
        channels = self.run_json("ls", "--json")
        self.assertEqual([c["key"] for c in channels], ["one", "two"])
        self.assertEqual([c["format"] for c in channels], ["nv12", "gray16"])
        self.assertEqual({c["state"] for c in channels}, {"live"})
        text, _ = self.run_tool("ls")
        self.assertRegex(text, r"(?m)^two +live +64x48 +gray16 ")
        for source in sources:
            self.end(source)
        self.assertEqual(self.run_json("ls", "--json"), [])

    def test_dead_channel_is_seen_and_taken_over(self):
        source = self.source("cam1")
        source.kill()
        source.wait()
        self.assertEqual(self.run_json("ls", "--json")[0]["state"], "dead")
        self.assertRegex(self.run_tool("ls")[0], r"(?m)^cam1 +dead ")
        self.run_tool("info", "cam1", code=1)
        again = self.source("cam1")
        self.wait_for(lambda: self.run_json("ls", "--json")[0]["state"] == "live", "the takeover")
        self.end(again)

    def test_watch(self):
        watch = self.start("ls", "--watch", "--json")
        source = self.source("cam1")
        self.assertEqual(json.loads(watch.stdout.readline()), {"event": "added", "key": "cam1"})
        self.end(source)
        self.assertEqual(json.loads(watch.stdout.readline()), {"event": "removed", "key": "cam1"})
        self.end(watch)

    def test_top_once(self):
        source = self.source("cam1", "--fps", "100")
        reader = self.start("sub", "cam1", "--name", "reader")
        self.wait_for(lambda: self.run_json("info", "cam1", "--json")["subscribers"], "the reader")
        (channel,) = self.run_json("top", "--once", "--json", "--interval", "0.5")["channels"]
        self.assertEqual(channel["key"], "cam1")
        self.check_rate(channel["subscribers"][0]["fps"], 100)
        text, _ = self.run_tool("top", "--once", "--interval", "0.1")
        self.assertRegex(text, r"(?m)^cam1 +64x48 drop ")
        self.assertRegex(text, r"(?m)^  reader +newest ")
        self.assertNotIn("\033", text)
        self.end(reader)
        self.end(source)

    def test_two_publishers_of_one_key(self):
        source = self.source("cam1")
        _, err = self.run_tool("test-source", "cam1", code=1)
        self.assertIn("cam1", err)
        self.end(source)

    def test_summary_has_the_agreed_members(self):
        source = self.source("cam1", "--fps", "200", "--wait-subscribers", "1", "--slots", "64")
        result = self.run_json("sub", "cam1", "--frames", "50", "--mode", "order", "--json")
        self.assertEqual(result["received"], 50)
        self.assertEqual(result["missed"], 0)
        self.assertEqual(result["torn"], 0)
        self.assertEqual(result["reconnects"], 0)
        self.assertEqual(result["generations"], 0)
        self.check_rate(result["fps"], 200)
        latency = result["latency_us"]
        self.assertLessEqual(0, latency["p50"])
        self.assertLessEqual(latency["p50"], latency["p99"])
        self.assertLessEqual(latency["p99"], latency["max"])
        self.end(source)

    def test_all_frames_in_order_under_the_wait_policy(self):
        source = self.start("test-source", "cam1", "--size", "64x48", "--fps", "0", "--policy",
                            "wait", "--ack-timeout-ms", "10000", "--frames", "3000",
                            "--wait-subscribers", "2", "--json")
        readers = [self.start("sub", "cam1", "--mode", "order", "--verify", "--json")
                   for _ in range(2)]
        for reader in readers:
            result = json.loads(self.finish(reader)[0])
            self.assertEqual(result["received"], 3000)
            self.assertEqual(result["verified"], 3000)
            self.assertEqual((result["missed"], result["torn"]), (0, 0))
        summary = json.loads(self.finish(source)[0])
        self.assertEqual((summary["published"], summary["dropped"], summary["evicted"]),
                         (3000, 0, 0))

    def test_slow_reader_misses_and_says_so(self):
        source = self.source("cam1", "--fps", "500", "--slots", "4", "--wait-subscribers", "1")
        result = self.run_json("sub", "cam1", "--mode", "order", "--hold-ms", "20", "--frames", "20",
                               "--verify", "--json")
        self.assertGreater(result["missed"], 20)
        self.assertGreater(result["gaps"], 5)
        self.assertEqual(result["torn"], 0)
        self.end(source)

    def test_slow_reader_is_evicted_under_the_wait_policy(self):
        source = self.source("cam1", "--fps", "200", "--slots", "4", "--policy", "wait",
                             "--ack-timeout-ms", "100", "--wait-subscribers", "1")
        out, err = self.run_tool("sub", "cam1", "--mode", "order", "--hold-ms", "5000", "--frames",
                                 "9", "--verify", "--json", code=1)
        result = json.loads(out)
        self.assertIn("evicted", err)
        self.assertEqual(result["torn"], 0)
        self.assertFalse(result["disconnected"])
        self.end(source)

    def test_rate_caps(self):
        source = self.source("cam1", "--fps", "200")
        result = self.run_json("sub", "cam1", "--max-fps", "20", "--seconds", "1", "--json")
        self.assertLessEqual(result["received"], 25)
        self.assertGreaterEqual(result["received"], 3)
        result = self.run_json("sub", "cam1", "--every", "10", "--mode", "order", "--seconds", "1",
                               "--json")
        self.assertLessEqual(result["received"], 40)
        self.assertGreaterEqual(result["received"], 3)
        self.end(source)

    def test_change_of_size_is_followed(self):
        source = self.source("cam1", "--fps", "200", "--alternate-size", "128x72",
                             "--alternate-every", "20", "--wait-subscribers", "1", "--policy", "wait",
                             "--ack-timeout-ms", "5000")
        result = self.run_json("sub", "cam1", "--frames", "110", "--mode", "order", "--verify",
                               "--json")
        self.assertEqual((result["received"], result["missed"], result["torn"]), (110, 0, 0))
        self.assertEqual(result["generations"], 5)
        self.end(source)

    def test_early_end_of_the_channel_fails(self):
        self.source("cam1", "--fps", "200", "--frames", "20", "--wait-subscribers", "1",
                    "--slots", "24")
        out, err = self.run_tool("sub", "cam1", "--frames", "1000", "--mode", "order", "--json",
                                 code=1)
        result = json.loads(out)
        self.assertEqual(result["received"], 20)
        self.assertTrue(result["disconnected"])
        self.assertIn(result["error"], err)

    def test_reader_without_a_limit_ends_with_the_channel(self):
        self.source("cam1", "--fps", "200", "--frames", "20", "--wait-subscribers", "1",
                    "--slots", "24")
        result = self.run_json("sub", "cam1", "--mode", "order", "--json")
        self.assertEqual(result["received"], 20)

    def test_slow_reader_gets_the_last_frames_of_a_channel_that_ended(self):
        source = self.source("cam1", "--fps", "0", "--frames", "40", "--wait-subscribers", "1",
                             "--policy", "wait", "--ack-timeout-ms", "10000", "--slots", "20")
        result = self.run_json("sub", "cam1", "--mode", "order", "--json", "--verify", "--hold-ms",
                               "20")
        self.assertEqual((result["received"], result["missed"], result["torn"]), (40, 0, 0))
        # It was over long before its last frames were read.
        self.assertIsNotNone(source.poll())

    def test_reconnect(self):
        source = self.source("cam1", "--fps", "100")
        reader = self.start("sub", "cam1", "--reconnect", "--verify", "--json", "--seconds", "20")
        self.wait_for(lambda: self.run_json("info", "cam1", "--json")["subscribers"], "the reader")
        source.kill()
        source.wait()
        source = self.source("cam1", "--fps", "100")

        def reading_again():
            (channel,) = self.run_json("ls", "--json")
            return channel["state"] == "live" and [
                s for s in channel["subscribers"] if s["received"]]

        self.wait_for(reading_again, "the reader's return")
        result = json.loads(self.end(reader, number=signal.SIGINT)[0])
        self.assertEqual(result["reconnects"], 1)
        self.assertEqual(result["torn"], 0)
        self.end(source)

    def test_view(self):
        if "no SDL2" in self.start("view", "x").communicate()[1].decode():
            self.skipTest("built without SDL2")
        source = self.source("cam1", "--fps", "100", "--alternate-size", "33x17", "--alternate-every",
                             "5")
        self.env["SDL_VIDEODRIVER"] = "dummy"
        self.run_tool("view", "cam1", "--frames", "20")
        self.run_tool("view", "nobody", "--wait", "0", code=1)
        view = self.start("view", "cam1")
        self.wait_for(lambda: self.run_json("info", "cam1", "--json")["subscribers"], "the window")
        self.end(view)
        del self.env["SDL_VIDEODRIVER"]
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            self.env.pop(name, None)
        _, err = self.run_tool("view", "cam1", code=1)
        self.assertIn("$DISPLAY", err)
        self.end(source)

    def test_sub_count(self):
        link = os.path.join(self.dir, "sub_count")
        os.symlink(toolbox.CUFRAMES, link)
        self.leftovers.add("sub_count")
        source = self.source("cam1", "--fps", "100", "--wait-subscribers", "1", "--slots", "40")
        result = subprocess.run([link, "--key", "cam1", "--max-frames", "30"], env=self.env,
                                capture_output=True, text=True, timeout=toolbox.TIMEOUT_S,
                                check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"(?s)received: 30\n.*gaps: 0 .*average rate: \d+\.\d+ fps")
        self.end(source)

    def test_signal_gives_the_summary(self):
        source = self.source("cam1", "--fps", "100")
        for number in (signal.SIGINT, signal.SIGTERM):
            name = f"reader{number}"
            reader = self.start("sub", "cam1", "--json", "--hold-ms", "1", "--name", name)
            self.wait_for(lambda: [s for s in self.run_json("info", "cam1", "--json")["subscribers"]
                                   if s["name"] == name and s["received"] > 1], "the reader")
            result = json.loads(self.end(reader, number=number)[0])
            self.assertGreater(result["received"], 0)
            self.assertIsNone(result["error"])
        self.end(source)

    def test_signal_while_nothing_comes(self):
        for args in (["sub", "nobody", "--wait", "60"], ["cat", "nobody", "--wait", "60"]):
            process = self.start(*args)
            self.wait_until_it_catches(process)
            self.end(process)


if __name__ == "__main__":
    toolbox.main()
