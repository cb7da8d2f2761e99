# SPDX-License-Identifier: LGPL-2.1-or-later
"""examples/handover: a pipeline whose only tie to the publisher is one inherited descriptor."""
import os
import shutil
import signal
import socket
import subprocess

from gst_test import GST_LAUNCH, GstTest, main, picture_size

SERVICE, CLIENT = os.environ["HANDOVER_SERVICE"], os.environ["HANDOVER_CLIENT"]
SIZE = picture_size("NV12", 64, 48)
WISH = ("size=64x48", "fps=100")


class Handover(GstTest):
    def setUp(self):
        super().setUp()
        # Nobody is to find a runtime directory.
        self.env["CUFRAMES_RUNTIME_DIR"] = f"{self.dir}/nowhere"
        self.socket = self.path("video")

    def pipeline(self, name="raw"):
        return (GST_LAUNCH, "-q", "cuframessrc", "fd=%d", "num-buffers=20", "!", "filesink",
                f"location={self.path(name)}")

    def client(self, *program, wish=WISH):
        return self.start(self.socket, *wish, "--", *program, program=CLIENT,
                          env=self.pipeline_env())

    def listening(self, *command):
        service = self.start(*command[1:], program=command[0])
        self.wait_for(lambda: service.poll() is not None or os.path.exists(self.socket), "a socket")
        return service

    def check_pictures(self, name="raw"):
        """Rows that grow by one downwards, and one more from picture to picture at least."""
        with open(self.path(name), "rb") as file:
            data = file.read()
        self.assertEqual(len(data), 20 * SIZE)
        tops = []
        for at in range(0, len(data), SIZE):
            rows = [data[at + 64 * y:at + 64 * (y + 1)] for y in range(48)]
            tops.append(rows[0][0])
            for y, row in enumerate(rows):
                self.assertEqual(row, bytes([(tops[-1] + y) % 256]) * 64)
        self.assertTrue(all((b - a) % 256 > 0 for a, b in zip(tops, tops[1:])))

    def test_two_clients(self):
        service = self.listening(SERVICE, self.socket)
        clients = [self.client(*self.pipeline(f"raw{i}")) for i in range(2)]
        for i, client in enumerate(clients):
            _, err = self.finish(client)
            self.assertIn(b"ok size=64x48 fps=100 format=nv12", err)
            self.check_pictures(f"raw{i}")
        self.end(service)

    def test_socket_activation(self):
        activate = shutil.which("systemd-socket-activate")
        if not activate:
            self.skipTest("systemd-socket-activate is not there")
        service = self.listening(activate, "-l", self.socket, "-E",
                                 f"LD_LIBRARY_PATH={os.environ.get('LD_LIBRARY_PATH', '')}", SERVICE)
        self.finish(self.client(*self.pipeline()))
        self.check_pictures()
        self.end(service)

    def test_started_by_a_parent(self):
        ours, theirs = socket.socketpair()
        service = self.start("--connection", str(theirs.fileno()), program=SERVICE,
                             pass_fds=[theirs.fileno()])
        theirs.close()
        ours.settimeout(20)
        ours.send(b"size=64x48 fps=100\n")
        answer, fds, _, _ = socket.recv_fds(ours, 256, 1)
        self.assertEqual(answer, b"ok size=64x48 fps=100 format=nv12\n")
        os.set_inheritable(fds[0], True)
        words = [word.replace("%d", str(fds[0])) for word in self.pipeline()[1:]]
        pipeline = self.launch(" ".join(words), pass_fds=fds)
        os.close(fds[0])
        self.finish(pipeline)
        self.check_pictures()
        ours.close()
        self.finish(service)

    def test_a_container_without_the_directory(self):
        bwrap = shutil.which("bwrap")
        inside = [bwrap, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev",
                  "--proc", "/proc", "--tmpfs", "/run", "--tmpfs", "/dev/shm", "--bind", self.work,
                  self.work]
        if not bwrap or subprocess.run([*inside, "true"], capture_output=True).returncode:
            self.skipTest("no container can be made here")
        service = self.listening(SERVICE, self.socket)
        self.finish(self.client(*inside, *self.pipeline()))
        self.check_pictures()
        self.end(service)

    def test_a_wish_that_cannot_be_granted(self):
        service = self.listening(SERVICE, self.socket)
        for wish in ("size=0x48", "format=polka", "colour=blue"):
            with self.subTest(wish=wish):
                _, err = self.finish(self.client("true", wish=(wish,)), code=1)
                self.assertIn(b"handover-client: no ", err)
        self.finish(self.client(*self.pipeline()))
        self.end(service)

    def test_the_service_goes(self):
        service = self.listening(SERVICE, self.socket)
        client = self.client(GST_LAUNCH, "cuframessrc", "fd=%d", "!", "filesink",
                             f"location={self.path('raw')}")
        self.wait_for(lambda: os.path.exists(self.path("raw"))
                      and os.path.getsize(self.path("raw")) > SIZE, "frames")
        service.send_signal(signal.SIGKILL)
        service.wait()
        self.assertIn(b"Got EOS", self.finish(client)[0])


if __name__ == "__main__":
    main()
