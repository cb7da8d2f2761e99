# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A camera's password is in no line that is printed, not in the process list, and in nothing that is told
of the channel or written from it.
"""
import os

from camera import Camera, free_port
from ingest_test import IngestTest, main, parse_frames

USER, PASSWORD = "operator", "Tr0ub4dor&3"
IN_URL = "Tr0ub4dor%263"


class Secrets(IngestTest):
    def url(self, camera, password=IN_URL):
        return camera.url.replace("rtsp://", f"rtsp://{USER}:{password}@")

    def camera(self):
        return Camera(self, "--user", USER, "--password", PASSWORD)

    def assert_clean(self, text):
        for secret in (PASSWORD, IN_URL, "Tr0ub"):
            self.assertNotIn(secret, text)

    def watch(self, *args, env=None):
        """Ingests some frames with everything logged; its command line, environment left aside."""
        self.env.update(env or {})
        path = self.path("ingest.log")
        with open(path, "wb") as log:
            source = self.ingest(*args, "--log", "debug", stderr=log)
        reader = self.framelog(10)
        self.assertEqual(len(parse_frames(self.finish(reader)[0].decode())), 10)
        with open(f"/proc/{source.pid}/cmdline", "rb") as file:
            command = file.read().decode()
        self.assertIn("ingest", command)
        self.assert_clean(command)
        self.end(source)
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        self.assertIn("reading rtsp://", text)
        self.assert_clean(text)

    def assert_process_clean(self, pid):
        """All that other users can read of a process."""
        for name in ("cmdline", "comm", "stat", "status"):
            with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
                self.assert_clean(file.read())
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
                self.assert_clean(file.read())

    def assert_files_clean(self, *names):
        for name in names:
            with open(self.path(name), "rb") as file:
                text = file.read().decode("latin-1")
            self.assertGreater(len(text), 100, name)
            self.assert_clean(text)

    def test_what_a_channel_tells_and_what_is_written_from_it(self):
        url = self.path("url")
        with open(url, "w", encoding="ascii") as file:
            file.write(self.url(self.camera()) + "\n")
        with open(self.path("log"), "wb") as log:
            source = self.ingest("--url-file", url, "--log", "debug", "--stats-interval", "0.2",
                                 "--output", "small=64x48", stderr=log)
        self.run_tool("sub", "cam", "--frames", "1", "--wait", "20")
        for args in (["ls"], ["ls", "--json"], ["info", "cam"], ["info", "cam", "--json"],
                     ["info", "cam-small", "--json"], ["top", "--count", "1"],
                     ["top", "--count", "1", "--json"], ["packets", "cam", "--count", "3"],
                     ["packets", "cam", "--count", "3", "--json"],
                     ["sub", "cam", "--frames", "3", "--json", "--verbose", "--verbose"]):
            out, err = self.run_tool(*args)
            self.assertTrue(out + err, args)
            self.assert_clean(out + err)
        for name in ("a.mkv", "a.mp4", "a.ts"):
            _, err = self.run_tool("record", "cam", self.path(name), "--duration", "0.5",
                                   "--pre-roll", "5", "--verbose", "--verbose")
            self.assert_clean(err)
        self.run_tool("snapshot", "cam", self.path("a.png"))
        self.assert_process_clean(source.pid)
        self.end(source)
        self.assert_files_clean("log", "a.mkv", "a.mp4", "a.ts", "a.png")

    def test_url_on_the_command_line(self):
        self.watch(self.url(self.camera()))

    def test_url_from_a_file(self):
        path = self.path("url")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.url(self.camera()) + "\n")
        self.watch("--url-file", path)

    def test_url_from_the_environment(self):
        self.watch("--url-env", "CAMERA", env={"CAMERA": self.url(self.camera())})

    def test_wrong_password(self):
        camera = self.camera()
        url = self.url(camera, "Tr0ub4dor-wrong")
        _, err = self.run_tool("ingest", url, "--key", "cam", "--log", "debug", code=1)
        self.assertIn("401", err)
        self.assert_clean(err)

    def test_no_password(self):
        _, err = self.run_tool("ingest", self.camera().url, "--key", "cam", code=1)
        self.assertIn("401", err)

    def test_shapes_of_secrets_in_errors(self):
        port = free_port()
        for url in (f"rtsp://{USER}:{IN_URL}@127.0.0.1:{port}/cam",
                    f"rtsp://{USER}:Tr0ub/4@dor@127.0.0.1:{port}/cam",
                    f"rtsp://127.0.0.1:{port}/cam?user=x&password=Tr0ub4dor&channel=1",
                    f"rtsp://127.0.0.1:{port}/user=x_password=Tr0ub4dor_channel=1",
                    f"http://{USER}:Tr0ub4dor@127.0.0.1:{port}/video.mjpg",
                    f"nonsense://{USER}:Tr0ub4dor@127.0.0.1:{port}/"):
            with self.subTest(url=url):
                _, err = self.run_tool("ingest", url, "--key", "cam", "--no-reconnect", "--timeout",
                                       "2", "--log", "debug", code=1)
                self.assert_clean(err)

    def test_a_wrong_command_line(self):
        url = f"rtsp://{USER}:{IN_URL}@127.0.0.1/cam"
        for args in ((url, url, "--key", "cam"), (f"--nonsense={url}",), (url,)):
            _, err = self.run_tool("ingest", *args, code=2)
            self.assert_clean(err)

    def test_options_of_the_input(self):
        path = self.path("a.mp4")
        self.ffmpeg("-f", "lavfi", "-i", "testsrc2=duration=60:rate=5:size=64x48", path)
        source = self.ingest(path, "--realtime", "--input-option", "use_absolute_path=1")
        self.finish(self.framelog(1))
        with open(f"/proc/{source.pid}/cmdline", "rb") as file:
            self.assertIn(b"use_absolute_path=x\0", file.read())
        self.end(source)


if __name__ == "__main__":
    main()
