#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests that failed have printed: the beginning and the end of each.

Takes a file that `meson test` leaves, meson-logs/testlog.json: one JSON object for each test.
Lines of single cases that passed are left out, as they say nothing about the one that failed.
"""
import json
import re
import sys

FIRST, LAST = 25, 25
GOOD = {"OK", "SKIP", "EXPECTEDFAIL"}
PASSED = re.compile(r"^pass \w|\.\.\. ok$| PASSED( |$)")


def excerpt(text):
    lines = [line for line in text.splitlines() if line.strip() and not PASSED.search(line)]
    left_out = len(lines) - FIRST - LAST
    if left_out > 0:
        lines[FIRST:-LAST] = [f"... {left_out} lines ..."]
    return lines


def main():
    with open(sys.argv[1], encoding="utf-8") as log:
        for test in map(json.loads, log):
            if test["result"] in GOOD:
                continue
            print(f"--- {test['name']}: {test['result']}")
            for text in (test.get("stdout", ""), test.get("stderr", "")):
                for line in excerpt(text):
                    print("    " + line)


main()
