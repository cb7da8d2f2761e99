# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Files are not written through symbolic links of another user, and are through one's own and root's.
"""
import os
import subprocess
import sys

import ingest_test
from ingest_test import CUFRAMES, SKIPPED
from packet_test import PacketTest

# Two users without any right, whatever they are called.
NOBODY, OTHER = 65534, 65533
REFUSED = "is a symbolic link of another user"


class Links(PacketTest):
    def setUp(self):
        super().setUp()
        os.chmod(self.work, 0o755)
        if self.as_user(NOBODY, "--version").returncode:
            self.skipTest("another user cannot run the command where it was built")
        clip = self.clip("a.mp4", ["libx264", "-g", "25", "-pix_fmt", "yuv420p"])
        os.chmod(self.dir, 0o755)
        self.addCleanup(os.chmod, self.dir, 0o700)
        self.camera = self.ingest(clip, "--realtime", "--loop", "--socket-mode", "666")
        self.run_tool("sub", "cam", "--frames", "1", "--wait", "20")

    def tearDown(self):
        self.end(self.camera)

    def as_user(self, user, *args):
        try:
            return subprocess.run([CUFRAMES, *args], user=user, group=user, extra_groups=[],
                                  env=self.env, cwd="/", stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=ingest_test.TIMEOUT_S, check=False)
        except PermissionError as error:
            return subprocess.CompletedProcess(args, 126, b"", str(error).encode())

    def writers(self, path):
        return (("record", "cam", path, "--format", "mkv", "--overwrite", "--duration", "0.2"),
                ("sub", "cam", "--frames", "1", "--checksum", path),
                ("snapshot", "cam", path, "--type", "png"))

    def link(self, target, owner):
        """A link in a directory where everybody writes, as in /tmp."""
        place = self.path(f"common{owner}")
        if not os.path.exists(place):
            os.mkdir(place)
            os.chmod(place, 0o1777)
        path = os.path.join(place, "link")
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(target, path)
        os.lchown(path, owner, owner)
        return path

    def target(self, user):
        path = self.path("precious")
        with open(path, "wb") as file:
            file.write(b"precious")
        os.chown(path, user, user)
        return path

    def contents(self, path):
        with open(path, "rb") as file:
            return file.read()

    def test_links_of_another_user(self):
        for user in (0, NOBODY):
            target = self.target(user)
            for args in self.writers(self.link(target, OTHER)):
                with self.subTest(user=user, command=args[0]):
                    done = self.as_user(user, *args)
                    self.assertEqual(self.contents(target), b"precious")
                    if args[0] == "snapshot":
                        # It puts a file in place of what is there: that is the link, if it may.
                        continue
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertIn(REFUSED, done.stderr.decode())

    def test_links_of_another_user_to_what_is_not_there(self):
        for user in (0, NOBODY):
            target = self.path(f"new{user}")
            for args in self.writers(self.link(target, OTHER)):
                with self.subTest(user=user, command=args[0]):
                    self.as_user(user, *args)
                    self.assertFalse(os.path.lexists(target))

    def test_links_of_another_user_to_a_device(self):
        # A snapshot is written into what is no file.
        for user in (0, NOBODY):
            with self.subTest(user=user):
                done = self.as_user(user, "snapshot", "cam", self.link("/dev/null", OTHER), "--type",
                                    "png")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(REFUSED, done.stderr.decode())

    def test_links_of_another_user_on_the_way(self):
        for user in (0, NOBODY):
            place = self.path(f"place{user}")
            os.mkdir(place, 0o777)
            os.chmod(place, 0o1777)
            way = os.path.join(self.link(place, OTHER), "new")
            for args in (*self.writers(way),
                         ("cat", "cam", "--packets", "--to", "unix:" + way, "--seconds", "1"),
                         ("unixfd", "cam", way),
                         ("ingest", "unixfd:" + way, "--key", "other")):
                with self.subTest(user=user, command=args[0]):
                    done = self.as_user(user, *args)
                    self.assertNotEqual(done.returncode, 0, done.stderr)
                    self.assertIn(REFUSED, done.stderr.decode())
                    self.assertEqual(os.listdir(place), [])

    def test_own_links_on_the_way(self):
        for user, owner in ((0, 0), (NOBODY, NOBODY), (NOBODY, 0)):
            place = self.path(f"own{user}{owner}")
            os.mkdir(place, 0o777)
            os.chmod(place, 0o1777)
            way = self.link(place + "//../" + os.path.basename(place) + "/", owner)
            for args in self.writers(way + "/new"):
                with self.subTest(user=user, owner=owner, command=args[0]):
                    done = self.as_user(user, *args)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    os.unlink(place + "/new")

    def test_own_links_and_those_of_root(self):
        for user, owner in ((0, 0), (NOBODY, NOBODY), (NOBODY, 0)):
            for args in self.writers("")[:2]:
                target = self.target(user)
                link = self.link(target, owner)
                with self.subTest(user=user, owner=owner, command=args[0]):
                    done = self.as_user(user, *(link if word == "" else word for word in args))
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertNotEqual(self.contents(target), b"precious")
                    self.assertTrue(os.path.islink(link))
                    self.assertEqual(os.stat(target).st_uid, user)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("only root can be several users", file=sys.stderr)
        sys.exit(SKIPPED)
    ingest_test.main()
