# SPDX-License-Identifier: LGPL-2.1-or-later
"""That every manual page names the options that --help shows, and no others."""
import os
import re
import subprocess
import tempfile

import toolbox

MANUAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "man")


def options_of_help(program, *command):
    result = subprocess.run([program, *command, "--help"], capture_output=True, text=True,
                            timeout=toolbox.TIMEOUT_S, check=True)
    return set(re.findall(r"(?m)^ +(?:-\w, )?(--[a-z0-9-]+)", result.stdout))


def options_of_page(name):
    with open(os.path.join(MANUAL, name), encoding="utf-8") as page:
        return set(re.findall(r"(?m)^(?:\*-\w\*, )?\*(--[a-z0-9-]+)\*", page.read()))


class Manual(toolbox.ToolTest):
    def test_pages_of_the_subcommands(self):
        pages = [name for name in os.listdir(MANUAL) if re.fullmatch(r"cuframes-.*\.1\.scd", name)]
        self.assertGreater(len(pages), 8)
        pages.remove("cuframes-rtsp-source.1.scd")  # a program of its own
        pages.remove("cuframes-ffmpeg.1.scd")  # a script that passes its arguments on
        for page in pages:
            command = page[len("cuframes-") : -len(".1.scd")]
            self.assertEqual(options_of_help(toolbox.CUFRAMES, command), options_of_page(page), page)

    def test_every_command_is_in_the_overview(self):
        with open(os.path.join(MANUAL, "cuframes.1.scd"), encoding="utf-8") as page:
            text = page.read()
        for command in re.findall(r"(?m)^  ([a-z-]+) +\w", self.run_tool("--help")[0]):
            self.assertIn(f"\n*{command}*\n", text)

    def test_other_names_of_the_program(self):
        with tempfile.TemporaryDirectory() as directory:
            for name in ("sub_count", "cuframes-rtsp-source"):
                link = os.path.join(directory, name)
                os.symlink(toolbox.CUFRAMES, link)
                self.assertEqual(options_of_help(link), options_of_page(name + ".1.scd"), name)


if __name__ == "__main__":
    toolbox.main()
