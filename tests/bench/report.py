# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes docs/benchmarks.md, its tables and its plots from what run.py has measured.

    report.py RESULTS.json DOCS_DIR

The prose is in benchmarks.md.in; "@NAME@" there is replaced by the function of that name below.
"""
import json
import os
import re
import shutil
import subprocess
import sys

import python_report

TITLES = {
    "floor": "nothing between (private memory)",
    "cuframes": "cuframes",
    "gstreamer": "GStreamer shmsink, drawn in its memory",
    "gstreamer_copied": "GStreamer shmsink, copied by it",
    "python": "Python shared_memory, semaphores",
    "socket": "Unix socket",
}
SHORT = {"floor": "nothing", "cuframes": "cuframes", "gstreamer": "shmsink", "python": "Python",
         "gstreamer_copied": "shmsink, copied", "socket": "socket"}


def table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |",
             "|" + "|".join("---" if i == 0 else "--:" for i in range(len(headings))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def us(nanoseconds):
    return f"{nanoseconds / 1000:.2f}"


def ns(nanoseconds):
    return f"{nanoseconds:.0f}"


# ---- the figures that have a target ----

TARGETS = ("wake", "sizes", "publish", "further", "hold", "calls", "attach", "decoding", "packets",
           "small_packets", *python_report.TARGETS)


def size_ratio(wake):
    medians = [channel["p50_ns"] for channel in wake["channels"]]
    return max(medians) / min(medians)


def full_hd(wake):
    return next(channel for channel in wake["channels"] if channel["width"] == 1920)


def worst_further(publish):
    return max(channel["paced_further_ns"] for channel in publish["channels"][1:])


def worst_decoding(decoding):
    return max(threads["ingest_readers"]["ratio"] for threads in decoding["threads"])


def worst_packets(packets, size):
    """Of packets of that size: the largest ratio to memcpy, and the longest median."""
    pairs = [one[side] for one in packets if one["bytes"] == size for side in ("publish", "read")]
    return (max(pair["ratio_to_memcpy"] for pair in pairs),
            max(pair["packet"]["p50_ns"] for pair in pairs))


def targets(r):
    """Name of the note, what, target as text, measured as text, met."""
    library = r["library"]
    wake, publish, hold = library["wake"], library["publish"], library["hold"]
    ratio, sizes = full_hd(wake)["ratio_to_bare"], size_ratio(wake)
    first, further = publish["channels"][0]["paced"]["p50_ns"], worst_further(publish)
    held, attach = hold["in_order"]["p50_ns"], library["attach"]["attach"]["p50_ns"]
    decoding = worst_decoding(r["decoding"])
    packets, _ = worst_packets(library["packets"], 1 << 20)
    _, small_packets = worst_packets(library["packets"], 1 << 10)
    quiet = hold["system_calls"] == publish["system_calls"] == "none"
    return [
        ("wake", "publish to awake, 1080p, to a bare futex wake", "1.30 times", f"{ratio:.2f} times",
         ratio <= 1.3),
        ("sizes", "the slowest to the fastest size, 320x240 to 3840x2160", "1.10 times",
         f"{sizes:.2f} times", sizes <= 1.1),
        ("publish", "acquire and publish, one polling subscriber", "300 ns", f"{ns(first)} ns",
         first <= 300),
        ("further", "each further polling subscriber, up to 256", "20 ns", f"{further:.1f} ns",
         further <= 20),
        ("hold", "hold and release", "150 ns", f"{ns(held)} ns", held <= 150),
        ("calls", "system calls of these", "none", "none" if quiet else "some", quiet),
        ("attach", "attach", "1 ms", f"{attach / 1e6:.2f} ms", attach <= 1e6),
        ("decoding", "CPU time of ingest with three readers, to FFmpeg", "1.03 times",
         f"{decoding:.3f} times", decoding <= 1.03),
        ("packets", "publish or read a packet of 1 MiB, to memcpy", "1.30 times",
         f"{packets:.2f} times", packets <= 1.3),
        ("small_packets", "publish or read a packet of 1 KiB", "1 µs", f"{us(small_packets)} µs",
         small_packets <= 1000),
        *python_report.targets(r),
    ]


def targets_table(r):
    return table(["", "target, at most", "median", ""],
                 [(what, target, measured, "met" if met else "**missed**")
                  for _, what, target, measured, met in targets(r)])


def notes(r, template):
    """The paragraphs of the template that belong to targets which were missed."""
    missed = [name for name, _, _, _, met in targets(r) if not met]
    if not missed:
        return "Every target was met in this run."
    return "\n\n".join(template[name] for name in missed)


# ---- tables ----

def machine_table(r):
    m = r["machine"]
    rows = list(m["processor"].items())
    rows += [("Memory", f"{m['memory_mib']} MiB"), ("System", m["system"]), ("Kernel", m["kernel"]),
             ("Compiler", m["compiler"]), ("FFmpeg", m["ffmpeg"]), ("GStreamer", m["gstreamer"]),
             ("Python", m["python"]), ("cuframes", r["library"]["machine"]["version"]),
             ("Date", r["date"]),
             ("Load average before and after", f"{r['load_before']:.1f}, {r['load_after']:.1f}"),
             ("Time that the hypervisor took away", f"{r['stolen_percent']:.1f} %"),
             ("Reading the clock", f"{r['library']['machine']['clock_ns']:.0f} ns"),
             ("Duration", f"{r['seconds']} s" + (", --quick" if r["quick"] else ""))]
    return table(["", ""], rows)


def wake_table(r):
    wake = r["library"]["wake"]
    rows = [("bare futex", us(wake["bare"]["p50_ns"]), us(wake["bare"]["p99_ns"]),
             wake["bare"]["samples"], "", "")]
    for c in wake["channels"]:
        rows.append((f"{c['width']}x{c['height']}", us(c["p50_ns"]), us(c["p99_ns"]), c["samples"],
                     f"{c['ratio_to_bare']:.2f}",
                     f"{c['round_ratio_p10']:.2f} to {c['round_ratio_p90']:.2f}"))
    return table(["", "median, µs", "p99, µs", "samples", "to the bare futex",
                  "in the rounds, p10 to p90"], rows)


def publish_table(r):
    rows = []
    for c in r["library"]["publish"]["channels"]:
        further = [c["paced_further_ns"], c["flat_out_further_ns"]]
        rows.append((c["subscribers"], ns(c["paced"]["p50_ns"]), ns(c["paced"]["p99_ns"]),
                     c["paced"]["samples"],
                     *("" if value is None else f"{value:.1f}" for value in further[:1]),
                     ns(c["flat_out"]["p50_ns"]),
                     *("" if value is None else f"{value:.1f}" for value in further[1:])))
    return table(["polling subscribers", "median, ns", "p99, ns", "samples", "each further, ns",
                  "flat out, ns", "each further, ns"], rows)


def hold_table(r):
    hold = r["library"]["hold"]
    names = (("in_order", "frames that wait in the ring"),
             ("newest", "a frame that another core has just announced"),
             ("empty", "next that finds no frame"))
    return table(["", "median, ns", "p99, ns", "samples"],
                 [(title, ns(hold[name]["p50_ns"]), ns(hold[name]["p99_ns"]), hold[name]["samples"])
                  for name, title in names])


def calls_text(r):
    hold, publish = r["library"]["hold"], r["library"]["publish"]
    words = {"none": "made none", "some": "made some", "unknown": "could not be watched here"}
    return (f"{hold['system_calls_frames']} holds and releases {words[hold['system_calls']]}; "
            f"{publish['system_calls_frames']} frames acquired and published, with a subscriber that "
            f"polls, {words[publish['system_calls']]}.")


def attach_table(r):
    attach = r["library"]["attach"]
    return table(["", "median, µs", "p99, µs", "samples"],
                 [(title, us(attach[name]["p50_ns"]), us(attach[name]["p99_ns"]),
                   attach[name]["samples"])
                  for name, title in (("attach", "attached"), ("first_frame", "first frame held"))])


def decoding_text(r):
    video = r["decoding"]["video"]
    return (f"{video['frames']} frames of {video['size']}, H.264 High, {video['mbit_s']} Mbit/s, "
            "made by FFmpeg's testsrc2 with noise")


def decoding_table(r):
    rows = []
    for threads in r["decoding"]["threads"]:
        for name, title in (("ffmpeg", "FFmpeg to null"), ("ingest", "ingest, no reader"),
                            ("ingest_readers", "ingest, three readers")):
            one = threads[name]
            rows.append((title, threads["threads"], threads["rounds"], f"{one['cpu_s']:.3f}",
                         f"{one['ratio']:.3f}", f"{one['ratio_min']:.3f} to {one['ratio_max']:.3f}",
                         f"{one['readers_cpu_s']:.3f}", f"{one['ratio_with_readers']:.3f}"))
    return table(["", "threads", "rounds", "CPU s, decoding process", "to FFmpeg",
                  "least to most", "CPU s, all readers", "all together to FFmpeg"], rows)


def ffmpeg_read_table(r):
    works = {"null": "nothing", "scale": "scaled to 640x360"}
    ways = {"cuframes": "cuframes://", "rawvideo": "rawvideo, pipe", "nut": "NUT, pipe"}
    if not r["ffmpeg_read"]:
        return "Not measured, not built here: cuframes-ffmpeg."
    rows = [(works[work], ways[way], f"{one['fps']:.0f}", f"{one['cpu_us']:.0f}", one["frames"],
             one["rounds"])
            for work, all_ways in r["ffmpeg_read"].items() for way, one in all_ways.items()]
    return table(["done with the pictures", "read through", "frames/s", "readers, CPU µs for a frame",
                  "frames", "rounds"], rows)


def sharing_table(r):
    sharing = r["sharing"]
    floor = sharing["flat_out"]["floor"]
    rows = []
    for name, flat in sharing["flat_out"].items():
        paced = sharing["paced"].get(name, {})
        more = sum(flat[side] - floor[side] for side in ("writer_cpu_us", "reader_cpu_us"))
        rows.append((TITLES[name], f"{flat['fps']:.0f}" if "fps" in flat else "",
                     f"{flat['writer_cpu_us']:.0f}", f"{flat['reader_cpu_us']:.0f}",
                     f"{more:+.0f}" if name != "floor" else "",
                     f"{paced['latency_p50_us']:.0f}" if paced else "",
                     f"{paced['latency_p99_us']:.0f}" if paced else ""))
    return table(["", "frames/s", "writer, CPU µs", "reader, CPU µs", "more than nothing, µs",
                  "latency median, µs", "p99, µs"], rows)


def lines_text(r):
    return ", ".join(ns(line) for line in r["lines_ns"]) + " ns"


def line_text(r):
    line = r["library"]["publish"]["cache_line"]
    return (f"A cache line took {ns(line['p50_ns'])} ns from one of these processes to the other in "
            f"this run (half the round trip of a word; p90 {ns(line['p90_ns'])} ns).")


def barrier_table(r):
    rows = []
    for one in r["library"]["group"]["barriers"]:
        kinds = [one[kind] for kind in ("barrier", "usleep", "pthread")]
        rows.append((one["ranks"], *(us(kind["p50_ns"]) for kind in kinds),
                     us(kinds[0]["p99_ns"]), kinds[0]["samples"]))
    return table(["ranks", "cuframes, median, µs", "usleep(1), µs", "pthread, µs",
                  "cuframes, p99, µs", "samples"], rows)


def all_gather_table(r):
    return table(["ranks", "bytes of each", "median, µs", "memcpy, µs", "p99, µs", "samples"],
                 [(one["ranks"], one["bytes"], us(one["all_gather"]["p50_ns"]),
                   us(one["memcpy"]["p50_ns"]), us(one["all_gather"]["p99_ns"]),
                   one["all_gather"]["samples"])
                  for one in r["library"]["group"]["all_gathers"]])


def packets_table(r):
    rows = []
    for one in r["library"]["packets"]:
        row = [f"{one['bytes'] // 1024} KiB", one["readers"]]
        for side in ("publish", "read"):
            pair = one[side]
            row += [us(pair["packet"]["p50_ns"]), us(pair["memcpy"]["p50_ns"]),
                    f"{pair['ratio_to_memcpy']:.2f}"]
        rows.append((*row, one["read"]["packet"]["samples"], ns(one["cache_line"]["p50_ns"])))
    return table(["packet", "readers", "publish, µs", "memcpy, µs", "ratio", "read, µs",
                  "memcpy, µs", "ratio", "packets read", "a line, ns"], rows)


def group_fds_text(r):
    return "\n".join(
        f"{one['each']} descriptors from each of {one['ranks']} ranks to all: median "
        f"{us(one['all_gather']['p50_ns'])} µs, p99 {us(one['all_gather']['p99_ns'])} µs, "
        f"{one['all_gather']['samples']} samples." for one in r["library"]["group"]["descriptors"])


def recording_text(r):
    recording = r.get("recording")
    if not recording:
        return "Not measured: the camera needs gst-rtsp-server and its Python bindings."
    return (f"{recording['recorders']} recordings of {recording['video']}, H.264 in RTSP over TCP, "
            f"for {recording['seconds']} s once all have begun.")


def recording_table(r):
    recording = r.get("recording")
    if not recording:
        return ""
    rows = []
    for name, title in (("direct", "ten connections, ten ffmpeg -c copy"),
                        ("cuframes", "one connection: ingest --decode off, ten cuframes record")):
        one = recording[name]
        rows.append((title, one["connections"], f"{one['link_bytes_s'] * 8 / 1e6:.1f}",
                     f"{one['cpu_percent']:.1f}"))
    return table(["", "connections", "camera's link, Mbit/s", "CPU, % of one core"], rows)


def sharing_missing(r):
    missing = [TITLES[name] for name in r["sharing"]["missing"]]
    return "" if not missing else "Not measured, not built here: " + ", ".join(missing) + "."


def write_tsv(directory, name, rows):
    with open(os.path.join(directory, name + ".tsv"), "w", encoding="utf-8") as file:
        file.writelines("\t".join(map(str, row)) + "\n" for row in rows)


def write_plots(r, directory):
    wake, publish = r["library"]["wake"], r["library"]["publish"]
    write_tsv(directory, "wake", [
        ("bare futex", wake["bare"]["p50_ns"], wake["bare"]["p99_ns"]),
        *((f"{c['width']}x{c['height']}", c["p50_ns"], c["p99_ns"]) for c in wake["channels"])])
    write_tsv(directory, "publish", [
        (c["subscribers"], c["paced"]["p50_ns"], c["flat_out"]["p50_ns"])
        for c in publish["channels"]])
    write_tsv(directory, "sharing", [
        (SHORT[name], round(flat["writer_cpu_us"], 1), round(flat["reader_cpu_us"], 1))
        for name, flat in r["sharing"]["flat_out"].items()])
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plot.gp")
    subprocess.run(["gnuplot", "-e", f"dir='{directory}'", script], check=True, timeout=60)


def read_template():
    """The page, and the notes that follow it: each begins with a line "@@name"."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "benchmarks.md.in")
    with open(path, encoding="utf-8") as file:
        page, *notes_ = re.split(r"(?m)^@@(?=\w)", file.read())
    return page, {name: text.strip() for name, text in (note.split("\n", 1) for note in notes_)}


def main():
    results, docs = sys.argv[1:]
    directory = os.path.join(docs, "benchmarks")
    os.makedirs(directory, exist_ok=True)
    with open(results, encoding="utf-8") as file:
        r = json.load(file)
    page, note_texts = read_template()
    parts = {"NOTES": lambda r: notes(r, note_texts)}
    parts.update({function.__name__.upper(): function for function in (
        targets_table, machine_table, wake_table, publish_table, hold_table, calls_text,
        attach_table, decoding_text, decoding_table, ffmpeg_read_table, recording_text,
        recording_table, sharing_table, sharing_missing, line_text, lines_text, barrier_table,
        all_gather_table, group_fds_text, packets_table, python_report.python_section)})
    page = re.sub(r"@([A-Z_]+)@", lambda match: parts[match.group(1)](r), page)
    write_plots(r, directory)
    with open(os.path.join(docs, "benchmarks.md"), "w", encoding="utf-8") as file:
        file.write(page.rstrip() + "\n")
    kept = os.path.join(directory, "results.json")
    if os.path.abspath(results) != os.path.abspath(kept):
        shutil.copyfile(results, kept)


if __name__ == "__main__":
    main()
