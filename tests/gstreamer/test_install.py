# SPDX-License-Identifier: LGPL-2.1-or-later
"""What 'meson install' puts into a system's folders is a plug-in that GStreamer finds there."""
import glob
import os
import subprocess

from gst_test import GstTest, main

ELEMENTS = ("cuframessrc", "cuframessink", "cuframespacketsrc", "cuframespacketsink")


class Installed(GstTest):
    def install(self):
        """The plug-in's folder."""
        place = self.path("system")
        subprocess.run([*os.environ["MESON"].split(), "install", "-C", os.environ["BUILD"], "--no-rebuild",
                        "--quiet", "--destdir", place], check=True, stdout=subprocess.DEVNULL)
        found = glob.glob(f"{place}/**/gstreamer-1.0/libgstcuframes.so", recursive=True)
        self.assertEqual(len(found), 1, found)
        return os.path.dirname(found[0])

    def test_found_in_the_system_folder(self):
        plugins = self.install()
        # As the system's loader would find it, and nothing of the build.
        del self.env["GST_PLUGIN_PATH"]
        self.env.update(GST_PLUGIN_SYSTEM_PATH=plugins, GST_REGISTRY=self.path("registry"),
                        LD_LIBRARY_PATH=os.path.dirname(plugins))
        for name in ELEMENTS:
            with self.subTest(element=name):
                process = self.start(name, program="gst-inspect-1.0", env=self.pipeline_env())
                out = self.finish(process)[0].decode()
                self.assertIn(f"{plugins}/libgstcuframes.so", out)
                self.assertIn("Author", out)


if __name__ == "__main__":
    main()
