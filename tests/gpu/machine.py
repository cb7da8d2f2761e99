# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the machine is on which something is measured or tested. Everything is only looked at."""
import os
import platform
import subprocess
import time


def said(*argv):
    """What a command says, or nothing."""
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30,
                              check=True, text=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def gpus():
    listed = said("nvidia-smi", "--query-gpu=name,driver_version,memory.total,mig.mode.current",
                  "--format=csv,noheader")
    return [dict(zip(("name", "driver", "memory", "mig"), map(str.strip, line.split(","))))
            for line in listed.splitlines() if "," in line]


def standin():
    """Whether the driver is the one of tests/standin."""
    return any("standin" in os.environ.get(name, "")
               for name in ("CUFRAMES_LIBCUDA", "LD_LIBRARY_PATH"))


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def describe():
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "gpus": [] if standin() else gpus(),
        "standin": standin(),
        "cores": os.cpu_count(),
        "processor": processor(),
        "kernel": platform.release(),
        "compiler": said("gcc", "-dumpfullversion"),
    }


def sentence(about):
    if about["standin"]:
        what = "the stand-in driver, no GPU"
    elif about["gpus"]:
        first = about["gpus"][0]
        what = f"{len(about['gpus'])} x {first['name']}, driver {first['driver']}"
    else:
        what = "no GPU that nvidia-smi knows"
    return (f"{about['date']}: {what}; {about['cores']} cores of {about['processor']}, "
            f"Linux {about['kernel']}, gcc {about['compiler'] or 'unknown'}")
