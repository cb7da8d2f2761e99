# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes docs/benchmarks/gstreamer.md of what gstreamer.py has measured."""
import statistics

from report import table

PAGE = """# GStreamer: ways to pass frames

Made by `./dev gst-next bench`, which measures on the machine it runs on, with Debian 13's GStreamer, and writes this page.

Buffers of 1920x1080 NV12 pass from a process with `appsrc`, in the memory that the sink offers, to processes with `fakesink`, as
fast as they can. The pixels are left alone on both sides: what is measured is the passing. The ways take turns, {rounds} rounds of
{seconds:g} seconds each; a figure is the median of the rounds, in brackets the lowest and the highest. CPU time is for one frame: of
the writer, which for the last way is that of `cuframes unixfd` too, and of one reader.

## The machine

{machine}

## One reader

{one}

## Eight readers

Frames a second are those of each reader.

{eight}

## One of two readers is stopped

Frames a second of the other one, before and after SIGSTOP.

{stopped}

## What is compared

The first way counts every frame for every reader (policy wait, mode order), as unixfd and shm do by waiting; where a reader is
stopped, it has the policy drop, which is what a publisher has that must not wait. In the last way `cuframes unixfd` reads the same
channel in order and gives every client every frame, but to one that has its bound. shm carries neither caps nor time stamps nor
metas.
"""


def values(result, name, part, figure):
    return [rounds[name][part][figure] for rounds in result["rounds"]]


def rate(numbers):
    """Median and range, thousands apart."""
    return (f"{statistics.median(numbers):,.0f} ({min(numbers):,.0f} to {max(numbers):,.0f})")


def micros(numbers):
    return f"{statistics.median(numbers):.0f}"


def passing_table(result, part):
    return table(
        ["way", "frames a second", "the slowest reader", "CPU of the writer, µs", "of a reader, µs"],
        [[name, rate(values(result, name, part, "fps")),
          f"{statistics.median(values(result, name, part, 'slowest_fps')):,.0f}",
          micros(values(result, name, part, "writer_cpu_us")),
          micros(values(result, name, part, "reader_cpu_us"))] for name in result["rounds"][0]])


def stopped_table(result):
    return table(["way", "before", "after"],
                 [[name, rate(values(result, name, "stopped", "before_fps")),
                   rate(values(result, name, "stopped", "after_fps"))]
                  for name in result["rounds"][0]])


def machine_table(result):
    machine = result["machine"]
    rows = list(machine["processor"].items())
    rows += [("Memory", f"{machine['memory_mib']} MiB"), ("System", machine["system"]),
             ("Kernel", machine["kernel"]), ("GStreamer", machine["gstreamer"]),
             ("Compiler", machine["compiler"] + ", -O2"), ("Date", result["date"]),
             ("Load average before and after",
              f"{result['load_before']:.1f}, {result['load_after']:.1f}"),
             ("Time that the hypervisor took away", f"{result['stolen_percent']:.1f} %"),
             ("Duration", f"{result['seconds']} s")]
    return table(["", ""], rows)


def page(result):
    return PAGE.format(rounds=len(result["rounds"]), seconds=result["run_seconds"],
                       machine=machine_table(result), one=passing_table(result, "1"),
                       eight=passing_table(result, "8"), stopped=stopped_table(result))
