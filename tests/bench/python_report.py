# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part of docs/benchmarks.md that is about Python; python_reading.py has measured it."""

TARGETS = ("python_wake", "python_iteration", "python_view", "python_colours")
WAYS = {
    "cuframes": "cuframes",
    "shared_memory": "shared_memory and semaphores, read in place",
    "shared_memory_copied": "shared_memory and semaphores, copied out",
    "queue": "multiprocessing.Queue",
    "pipe": "multiprocessing.Pipe (pickled)",
}


def targets(r):
    """As report.targets(); none where Python was not measured."""
    python = r.get("python")
    if not python:
        return []
    wake, step = python["wake"]["ratio"], python["iteration"]["whole"]["p50"]
    view = max(one[how]["p50"] for one in python["views"] for how in ("plane", "planes"))
    rows = [
        ("python_wake", "publish to Python awake, to C", "1.30 times", f"{wake:.2f} times",
         wake <= 1.3),
        ("python_iteration", "Python: next frame, attributes, release", "3 µs", f"{step:.2f} µs",
         step <= 3),
        ("python_view", "Python: NumPy views of a frame, 320x240 to 3840x2160", "2 µs",
         f"{view:.2f} µs", view <= 2),
    ]
    if python["colours"]:
        ratio = max(python["colours"][f"{matrix}_ratio"] for matrix in ("bt601", "bt709"))
        rows.append(("python_colours", "Python: bgr(), to OpenCV's conversion alone", "1.20 times",
                     f"{ratio:.2f} times", ratio <= 1.2))
    return rows


def table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |",
             "|" + "|".join("---" if i == 0 else "--:" for i in range(len(headings))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def wake_text(wake):
    return (f"From publish to awake: {wake['python_us']:.1f} µs in Python, {wake['c_us']:.1f} µs in "
            f"C (`cuframes sub`), {wake['ratio']:.2f} times. Both are the median of "
            f"{wake['rounds']} rounds' medians, {wake['frames']} frames each, in turn, with the same "
            "publisher.")


def step_table(python):
    rows = [("next frame, six attributes, release", python["iteration"]["whole"]),
            ("next frame, release", python["iteration"]["bare"])]
    for one in python["views"]:
        size = f"{one['width']}x{one['height']}"
        rows += [(f"`numpy(0)`, {size}", one["plane"]), (f"`numpy()`, {size}", one["planes"]),
                 (f"`np.asarray(frame)`, {size}", one["asarray"])]
    return table(["", "median, µs", "p99, µs", "samples"],
                 [(what, f"{cost['p50']:.2f}", f"{cost['p99']:.2f}", cost["samples"])
                  for what, cost in rows])


def colours_text(colours):
    if not colours:
        return "Not measured, OpenCV is missing here: `bgr()`."
    return (f"1080p NV12 to BGR into an array that is there: OpenCV {colours['opencv_version']} "
            f"alone, from private memory, {colours['opencv']:.0f} µs; `bgr()` of a frame in BT.601, "
            f"which goes through OpenCV, {colours['bt601']:.0f} µs ({colours['bt601_ratio']:.2f} "
            f"times); of one in BT.709, which OpenCV does not know, {colours['bt709']:.0f} µs "
            f"({colours['bt709_ratio']:.2f} times), by the package's own code. Medians of "
            f"{colours['rounds']} rounds.")


def ways_table(ways):
    rows = []
    for name, way in ways.items():
        flat, paced = way["flat_out"], way["paced"]
        rows.append((WAYS[name], f"{flat['fps']:.0f}", f"{flat['writer_cpu_us']:.0f}",
                     f"{flat['reader_cpu_us']:.0f}", f"{paced['latency_us']:.0f}",
                     f"{paced['latency_p99_us']:.0f}"))
    return table(["", "frames/s", "writer, CPU µs", "reader, CPU µs", "latency median, µs",
                  "p99, µs"], rows)


def python_section(r):
    python = r.get("python")
    if not python:
        return "Not measured, not built here: the Python package, or NumPy is missing."
    return "\n\n".join((wake_text(python["wake"]), step_table(python),
                        colours_text(python["colours"]), ways_table(python["ways"])))
