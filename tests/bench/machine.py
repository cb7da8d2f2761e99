# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine that a benchmark runs on, and what else it did meanwhile."""
import os
import subprocess
import sys


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30,
                              check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def read_file(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def describe_machine():
    wanted = ("Architecture", "Model name", "CPU(s)", "Thread(s) per core", "Hypervisor vendor",
              "L1d cache", "L2 cache", "L3 cache")
    fields = dict(line.split(":", 1) for line in output_of("lscpu").splitlines() if ":" in line)
    release = dict(line.split("=", 1) for line in read_file("/etc/os-release").splitlines()
                   if "=" in line)
    total_kb = int(read_file("/proc/meminfo").split("MemTotal:")[1].split()[0])
    return {
        "processor": {name: fields[name].strip() for name in wanted if name in fields},
        "memory_mib": total_kb // 1024,
        "kernel": " ".join(os.uname()[i] for i in (0, 2, 4)),
        "system": release.get("PRETTY_NAME", "").strip('"'),
        "compiler": output_of("cc", "--version").split("\n")[0],
        "ffmpeg": output_of("ffmpeg", "-version").split("\n")[0].split(" Copyright")[0],
        "gstreamer": next((line for line in output_of("gst-inspect-1.0", "--version").split("\n")
                           if line.startswith("GStreamer")), ""),
        "python": output_of(sys.executable, "--version"),
    }


def stolen_ticks():
    """What the hypervisor kept from this machine, and all ticks, so far."""
    ticks = [int(word) for word in read_file("/proc/stat").split("\n")[0].split()[1:]]
    return (ticks[7] if len(ticks) > 7 else 0), sum(ticks[:8])


def load():
    return os.getloadavg()[0]
