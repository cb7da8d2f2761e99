# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Command lines that are wrong, and inputs of other kinds: pipes, generators, HTTP.
"""
import http.server
import os
import pathlib
import pwd
import re
import subprocess
import threading
import unittest

from ingest_test import (CUFRAMES, DISCONTINUITY, RECEIVED, TIMEOUT_S, IngestTest, main,
                         parse_frames, parse_summary)


def everybody_reaches(path):
    return all(parent.stat().st_mode & 1 for parent in pathlib.Path(path).resolve().parents)


class Usage(IngestTest):
    def wrong(self, *args):
        _, err = self.run_tool("ingest", *args, code=2)
        self.assertEqual(len(err.splitlines()), 1, err)
        return err

    def test_help(self):
        out, err = self.run_tool("ingest", "--help")
        self.assertIn("--key", out)
        self.assertEqual(err, "")

    def test_what_is_missing(self):
        self.assertIn("--key", self.wrong("a.mp4"))
        self.assertIn("no input", self.wrong("--key", "cam"))
        self.assertIn("needs a value", self.wrong("a.mp4", "--key"))

    def test_what_is_wrong(self):
        for option, value, words in (
            ("--key", "a/b", "--key"),
            ("--key", "", "--key"),
            ("--key", "x" * 64, "--key"),
            ("--size", "0x10", "WIDTHxHEIGHT"),
            ("--size", "100000x100000", "WIDTHxHEIGHT"),
            ("--size", "640", "WIDTHxHEIGHT"),
            ("--format", "yuv411", "yuv411"),
            ("--fps", "0", "--fps"),
            ("--fps", "fast", "--fps"),
            ("--policy", "never", "drop, wait"),
            ("--slots", "1", "--slots"),
            ("--slots", "65", "--slots"),
            ("--threads", "-1", "--threads"),
            ("--rtsp-transport", "sctp", "tcp, udp, auto"),
            ("--timeout", "0", "--timeout"),
            ("--memory", "disk", "auto, host, cuda"),
            ("--decode", "gpu", "auto, nvdec, cpu"),
            ("--socket-mode", "999", "octal"),
            ("--allow-user", "no-such-user", "no such user"),
            ("--allow-user", "-1", "no such user"),
            ("--input-option", "novalue", "NAME=VALUE"),
            ("--url-file", "/nonexistent/url", "/nonexistent/url"),
            ("--url-env", "NO_SUCH_VARIABLE_HERE", "not set"),
            ("--log", "loud", "error, warning, info, debug"),
            ("--sise", "1x1", "--help"),
        ):
            with self.subTest(option=option, value=value):
                self.assertIn(words, self.wrong("a.mp4", "--key", "cam", option, value))

    def test_what_contradicts_itself(self):
        page = pathlib.Path(__file__).resolve().parents[2] / "docs/man/cuframes-ingest.1.scd"
        manual = page.read_text(encoding="utf-8").split("## What does not go together")[1]
        manual = manual.split("\n#")[0]
        for args, words in (
            ("--decode off --decode on-demand", ("off", "on-demand")),
            ("--decode nvdec --decode cpu", ("nvdec", "cpu")),
            ("--decode off --decode cpu", ("off", "cpu")),
            ("--decode cpu --decode off", ("off", "cpu")),
            ("--decode off --no-packets", ("nothing to share",)),
            ("--decode off --slots 9", ("--slots", "--decode off")),
            ("--decode off --threads 2", ("--threads", "--decode off")),
            ("--decode off --memory cuda", ("--memory", "--decode off")),
            ("--decode off --gpu 0", ("--gpu", "--decode off")),
            ("--decode off --policy wait", ("--policy", "--decode off")),
            ("--decode off --size 8x8", ("--size", "--decode off")),
            ("--decode cpu --gpu 0", ("--gpu", "--memory cuda")),
            ("--no-packets --enable-packet-ring", ("--no-packets", "--enable-packet-ring")),
            ("--no-packets --packet-streams video", ("--no-packets", "--packet-streams")),
            ("--no-packets --packet-keep 5", ("--no-packets", "--packet-keep")),
            ("--on-demand-stop 5", ("--on-demand-stop", "--decode on-demand")),
            ("--reconnect --no-reconnect", ("--reconnect", "--no-reconnect")),
        ):
            with self.subTest(args=args):
                err = self.wrong("a.mp4", "--key", "cam", *args.split())
                for word in words:
                    self.assertIn(word, err)
                for option in re.findall("--[a-z-]+", args):
                    self.assertIn(f"*{option}*", manual)

    def test_what_goes_together(self):
        path = self.stream("a.mp4", "libx264", seconds=1)
        for args in ("--decode cpu --decode on-demand --on-demand-stop 1", "--decode cpu --decode cpu",
                     "--decode off --cuda-device 0"):
            with self.subTest(args=args):
                self.run_tool("ingest", path, "--key", "cam", *args.split())

    def test_what_has_no_effect_is_said(self):
        path = self.stream("a.mp4", "libx264", seconds=1)
        for args, words in (("--ack-timeout-ms 100", "without --policy wait"),
                            ("--rtsp-transport udp", "not RTSP")):
            _, err = self.run_tool("ingest", path, "--key", "cam", *args.split())
            self.assertIn(words, err)

    def test_a_file_that_is_not_there_is_named_first(self):
        """Whatever else is missing on this machine."""
        for args in (("--decode", "nvdec"), ("--memory", "cuda"), ("--decode", "off"), ()):
            for path in (self.path("nothere.mp4"), "file:" + self.path("nothere.mp4")):
                _, err = self.run_tool("ingest", path, "--key", "cam", *args, code=1)
                self.assertIn("nothere.mp4: there is no such file", err)
                self.assertEqual(len(err.splitlines()), 1, err)

    def test_sound_alone(self):
        path = self.path("a.mka")
        self.ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", path)
        _, err = self.run_tool("ingest", path, "--key", "cam", code=1)
        self.assertIn("--decode off", err)
        reader = self.start("packets", "cam", "--json", "--wait", "20")
        source = self.ingest(path, "--decode", "off", "--realtime", "--wait-subscribers", "1")
        out, _ = self.finish(reader)
        self.finish(source)
        self.assertGreater(len(out.splitlines()), 40)
        _, err = self.run_tool("ingest", path, "--key", "cam", "--decode", "off",
                               "--packet-streams", "video", code=1)
        self.assertIn("no video", err)

    def test_two_inputs(self):
        self.assertIn("more than one input", self.wrong("a.mp4", "b.mp4", "--key", "cam"))

    def test_input_formats_and_options_that_do_not_exist(self):
        path = self.stream("a.mp4", "libx264")
        for args, words in ((("--input-format", "none"), "no input format"),
                            (("--input-option", "nonsense=1"), "no option")):
            _, err = self.run_tool("ingest", path, "--key", "cam", *args, code=1)
            self.assertIn(words, err)

    def test_gpu_is_not_taken_in_silence(self):
        path = self.stream("a.mp4", "libx264")
        _, err = self.run_tool("ingest", path, "--key", "cam", "--cuda-device", "0",
                               "--enable-packet-ring", "--policy", "wait", "--ack-timeout-ms", "-1")
        for words in ("warning: --cuda-device", "set to 200"):
            self.assertIn(words, err)


    def test_what_needs_a_gpu_says_so_where_there_is_none(self):
        path = self.stream("a.mp4", "libx264")
        for args in (("--decode", "nvdec"), ("--memory", "cuda"), ("--gpu", "0"),
                     ("--output", "small=100x100,memory=cuda")):
            with self.subTest(args=args):
                _, err = self.run_tool("ingest", path, "--key", "cam", *args, code=1)
                self.assertIn(args[0], err)
                self.assertIn("libcuda", err)

    def test_automatic_choice_says_why_it_is_not_the_gpu(self):
        path = self.stream("a.mp4", "libx264")
        _, err = self.run_tool("ingest", path, "--key", "cam")
        self.assertIn("the processor decodes, not a GPU", err)
        _, err = self.run_tool("ingest", path, "--key", "cam", "--decode", "cpu")
        self.assertNotIn("GPU", err)


class Inputs(IngestTest):
    def test_a_pipe(self):
        path = self.stream("a.mkv", "libx264", "-pix_fmt", "yuv420p")
        reader = self.framelog()
        with open(path, "rb") as file:
            source = subprocess.run(
                [os.environ["CUFRAMES"], "ingest", "-", "--key", "cam", "--policy", "wait",
                 "--ack-timeout-ms", "20000", "--wait-subscribers", "1"],
                stdin=file, env=self.env, capture_output=True, timeout=30)
        self.assertEqual(source.returncode, 0, source.stderr)
        frames = parse_frames(self.finish(reader)[0].decode())
        self.assertEqual([f.md5 for f in frames], self.decoded_md5(path, "yuv420p"))

    def test_a_pipe_that_says_nothing(self):
        read, write = os.pipe()
        source = subprocess.Popen(
            [os.environ["CUFRAMES"], "ingest", "-", "--key", "cam"], stdin=read, env=self.env,
            stderr=subprocess.PIPE)
        os.close(read)
        self.processes.append(source)
        self.wait_until_it_catches(source)
        with self.assertRaises(subprocess.TimeoutExpired):
            source.wait(0.3)
        self.end(source)
        os.close(write)

    def test_a_generator(self):
        reader = self.framelog(30)
        source = self.ingest("testsrc2=size=64x48:rate=25", "--input-format", "lavfi", "--realtime",
                             "--wait-subscribers", "1")
        frames = parse_frames(self.finish(reader)[0].decode())
        err = self.end(source)[1].decode()
        self.assertEqual(len(frames), 30)
        self.assertIn("each picture is copied once", err)
        self.assertEqual(parse_summary(err).copied, parse_summary(err).published)

    @unittest.skipUnless(os.geteuid() == 0, "must be root")
    @unittest.skipUnless(everybody_reaches(CUFRAMES), "other users cannot run what was built here")
    def test_users_that_may_subscribe(self):
        nobody = pwd.getpwnam("nobody").pw_uid
        source = self.ingest("testsrc2=size=64x48:rate=25", "--input-format", "lavfi", "--realtime",
                             "--allow-user", "nobody", "--allow-user", "12345")
        self.finish(self.framelog(1))
        os.chmod(self.dir, 0o755)
        for uid, wanted in ((nobody, ""), (12345, ""), (23456, "not on the list of users")):
            result = subprocess.run([CUFRAMES, "info", "cam"], env=self.env, user=uid, group=uid,
                                    extra_groups=[], capture_output=True, text=True,
                                    timeout=TIMEOUT_S, check=False)
            self.assertIn(wanted, result.stderr)
            self.assertEqual(result.returncode == 0, not wanted, result.stderr)
        err = self.end(source)[1].decode()
        self.assertIn("warning: cam: refusing a connection", err)
        self.assertIn("user 23456 is not on the list", err)

    def test_a_camera_that_speaks_http(self):
        """An endless multipart stream is live: its end is a lost connection."""
        pictures = []
        for i in range(8):
            pictures.append(self.ffmpeg("-f", "lavfi", "-i", f"testsrc=size=64x48:duration=1:rate=1",
                                        "-vf", f"hue=h={i * 40}", "-frames:v", "1", "-c:v", "mjpeg",
                                        "-pix_fmt", "yuvj420p", "-f", "mjpeg", "-"))

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
                self.end_headers()
                for i in range(40):
                    picture = pictures[i % len(pictures)]
                    self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: "
                                     + str(len(picture)).encode() + b"\r\n\r\n" + picture + b"\r\n")

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        reader = self.framelog(60)
        source = self.ingest(f"http://127.0.0.1:{server.server_port}/video", "--policy", "wait",
                             "--ack-timeout-ms", "5000", "--wait-subscribers", "1")
        frames = parse_frames(self.finish(reader)[0].decode())
        err = self.end(source)[1].decode()
        self.assertEqual({f.source for f in frames}, {RECEIVED}, err)
        self.assertTrue(any(f.flags & DISCONTINUITY for f in frames), err)
        self.assertIn("trying again", err)


if __name__ == "__main__":
    main()
