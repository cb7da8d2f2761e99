# SPDX-License-Identifier: LGPL-2.1-or-later
"""demo_processes.py INPUT ANCESTOR: what the processes below ANCESTOR have open, as JSON.

Looks into /proc: which of them have FFmpeg's decoders loaded and run, and which hold the input
open (a file, or a TCP connection that is not between two of them).
"""
import json
import os
import sys


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as listed:
            own = [int(word) for word in listed.read().split()]
    except OSError:
        own = []
    return own + [below for child in own for below in children(child)]


def command(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as line:
        return line.read().decode(errors="replace").split("\0")


def maps_decoders(pid):
    with open(f"/proc/{pid}/maps") as maps:
        return "/libavcodec.so" in maps.read()


def open_files(pid):
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            yield os.readlink(f"{folder}/{name}")
        except OSError:
            continue


def established(pid):
    """Inodes of the process's established TCP connections."""
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{table}") as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        found |= {row[9] for row in rows if row[3] == "01"}
    return found


def inputs_open(pid, path):
    """How many connections, or descriptors of the file, a process has to the input."""
    opened = list(open_files(pid))
    if os.path.exists(path):
        return opened.count(os.path.realpath(path))
    inodes = established(pid)
    return sum(name.startswith("socket:[") and name[8:-1] in inodes for name in opened)


def main(path, ancestor):
    found = {"decoders": 0, "inputs": 0, "is_file": os.path.exists(path)}
    for pid in children(ancestor):
        try:
            if not command(pid)[0].rsplit("/", 1)[-1].startswith("cuframes"):
                continue
            found["decoders"] += maps_decoders(pid)
            found["inputs"] += inputs_open(pid, path)
        except OSError:
            continue  # it has ended meanwhile
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
