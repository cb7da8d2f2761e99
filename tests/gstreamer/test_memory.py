# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Pipelines of all four elements under valgrind. Any invalid access, use of what was never set or double
free fails, wherever it is; of what is lost for good, that for which one of our objects asked.
"""
import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

from gst_test import GST_LAUNCH, SKIPPED, GstTest, main

VALGRIND = shutil.which("valgrind")
OURS = ("libgstcuframes", "libcuframes")
LIMIT_S = 120
CAPS = "video/x-raw,format=I420,width=64,height=48,framerate=30/1"
LOST = ("Leak_DefinitelyLost", "Leak_IndirectlyLost")


def objects(error):
    return [os.path.basename(frame.findtext("obj") or "") for frame in error.iter("frame")]


def is_ours(error):
    return any(name.startswith(OURS) for name in objects(error))


class Memory(GstTest):
    def errors_of(self, description, code=0):
        """What valgrind says of a pipeline that runs to its end."""
        log = self.path("valgrind.xml")
        env = dict(self.env, G_SLICE="always-malloc")
        process = subprocess.run(
            [VALGRIND, "--leak-check=full", "--show-leak-kinds=all", "--num-callers=40",
             "--keep-debuginfo=yes", "--xml=yes", f"--xml-file={log}", GST_LAUNCH,
             *description.split()], env=env, capture_output=True, text=True, timeout=LIMIT_S,
            check=False)
        self.assertEqual(process.returncode, code, process.stdout + process.stderr)
        root = ElementTree.parse(log).getroot()
        self.assertEqual(root.findall("status")[-1].findtext("state"), "FINISHED")
        return root.findall("error")

    def check(self, description, code=0):
        errors = self.errors_of(description, code)
        # Types stay registered: if none of that is found, our objects have other names by now.
        self.assertTrue(any(is_ours(error) for error in errors), "nothing of ours was seen")
        bad = [error for error in errors if self.is_bad(error)]
        self.assertEqual(len(bad), 0, "\n".join(
            ElementTree.tostring(error, encoding="unicode") for error in bad))

    @staticmethod
    def is_bad(error):
        kind = error.findtext("kind")
        return is_ours(error) if kind in LOST else not kind.startswith("Leak_")

    def test_frames_and_packets(self):
        """Slots for upstream and copies, two sizes, one reader that keeps more than it may hold."""
        self.need_elements("x264enc", "h264parse")
        small = CAPS.replace("64,height=48", "32,height=32")
        self.check(
            f"concat name=sizes ! tee name=t "
            f"videotestsrc is-live=true num-buffers=30 ! {CAPS} ! sizes. "
            f"videotestsrc is-live=true num-buffers=60 ! {small} ! sizes. "
            "t. ! queue ! cuframessink key=cam async=false "
            "t. ! queue ! x264enc tune=zerolatency key-int-max=5 ! h264parse ! "
            "cuframespacketsink key=packets async=false "
            "cuframessrc key=cam mode=order num-buffers=40 ! tee name=u u. ! queue ! fakesink "
            "u. ! queue max-size-buffers=20 min-threshold-buffers=15 ! videoconvert ! "
            "video/x-raw,format=RGB ! fakesink "
            "cuframespacketsrc key=packets num-buffers=10 ! fakesink")

    def test_what_fails(self):
        self.check("cuframessrc key=nobody timeout=0 ! fakesink", code=1)


if __name__ == "__main__":
    if not VALGRIND:
        print("valgrind is not there")
        raise SystemExit(SKIPPED)
    main()
