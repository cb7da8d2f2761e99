# SPDX-License-Identifier: LGPL-2.1-or-later
"""
All who read from a publisher that means harm: the library, the command, FFmpeg, GStreamer, Python.

hostile_test.py [--all] [--table FILE] [PLOT...]

For each plot of hostile_publisher every reader that the plot concerns runs beside the others. None
may be ended by a signal, be found wrong by a sanitizer, or need one to end it that it does not heed;
what must be refused ends the reader by itself, with a reason on standard error. Readers that cost a
second of a processor each take part in every plot with --all, else in those below.

Prints the table: a plot a line, a reader a column. Exit status 77: there is nothing to run.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

RUN_S = 0.3  # of a reader that need not give up
REFUSE_S = 10  # and of one that must
GRACE_S = 30  # far longer than anything takes
AT_ONCE = 6
SKIPPED = 77

CUFRAMES = os.environ.get("CUFRAMES")
READER = os.environ["HOSTILE_READER"]
PUBLISHER = os.environ["HOSTILE_PUBLISHER"]

# For readers that start slowly: one of each kind of lie, and what they look at themselves.
FOR_SLOW_READERS = """
honest half-a-message hang-up-later
frames-truncated-later plane-offset-beyond generations-of-other-formats scribbles-on-the-ring
time-last rate-huge
packets-random stream-size-huge time-base-huge extradata-random scribbles-on-the-packet-ring
reports-without-end
""".split()

# A word for what a reader did.
REFUSED, WENT_ON, ENDED, BAD = "refused", "went on", "ended", "BAD"

# kinds: what it asks the publisher for; slow: costs a part of a second of a processor; ends: by
# itself, after RUN_S, if it is not refused.
Reader = collections.namedtuple("Reader", "name kinds slow words env ends")

PYTHON_FRAMES = """
import cuframes
with cuframes.subscribe("cam", connect_timeout_ms=2000) as reader:
    for _ in range(100):
        try:
            with reader.next_frame(timeout_ms=50) as frame:
                for plane in frame.numpy():
                    plane.tobytes()
        except cuframes.CuframesFrameTimeout:
            pass
"""
PYTHON_PACKETS = """
import cuframes
with cuframes.packets("cam", timeout=2) as reader:
    for _ in range(100):
        packet = reader.next_packet(timeout=0.05)
        packet and (bytes(packet), packet.time, repr(packet), reader.streams)
"""
PYTHON_INFO = """
import cuframes
print(cuframes.info("cam", timeout=2))
"""
PYTHON_SNAPSHOT = """
import cuframes
print(cuframes.snapshot("cam", timeout=2))
"""


def library_readers(seconds):
    for what, kinds in (("newest", "f"), ("order", "f"), ("poll", "f"), ("packets", "p"),
                        ("kept", "p"), ("query", "q"), ("watch", "q")):
        yield Reader("lib " + what, kinds, False, [READER, "cam", what, str(int(seconds * 1000))],
                     {}, True)


def command_readers(work, seconds):
    if not CUFRAMES:
        return
    cat = f"cat cam --wait 2 --seconds {seconds}"
    record = f"--wait 2 --duration {seconds} --overwrite"
    for name, kinds, words in (
            ("sub", "f", f"sub cam --wait 2 --seconds {seconds}"),
            ("sub order", "f", f"sub cam --wait 2 --seconds {seconds} --mode order "
                               f"--checksum {work}/sums"),
            ("cat", "f", cat),
            ("cat y4m", "f", f"{cat} --format y4m"),
            ("snapshot", "f", f"snapshot cam {work}/picture.png --wait 2"),
            ("snapshot jpeg", "f", f"snapshot cam {work}/picture.jpeg --wait 2"),
            ("unixfd", "f", f"unixfd cam {work}/gst --wait 2"),
            ("packets", "p", f"packets cam --wait 2 --duration {seconds}"),
            ("cat packets", "p", f"{cat} --packets --format mpegts"),
            ("cat annexb", "p", f"{cat} --packets --format annexb"),
            ("record mkv", "p", f"record cam {work}/r.mkv {record}"),
            ("record mp4", "p", f"record cam {work}/r.mp4 {record}"),
            ("record ts", "p", f"record cam {work}/r.ts {record}"),
            ("info", "q", "info cam"), ("info json", "q", "info cam --json"),
            ("ls", "", "ls"), ("ls json", "", "ls --json"),
            ("top", "", "top --count 2 --interval 0.2"),
            ("top json", "", "top --once --json --interval 0.2")):
        slow = name.split()[0] in ("cat", "record")  # they load FFmpeg's libraries
        yield Reader(name, kinds or "q", slow, [CUFRAMES, *words.split()], {}, name != "unixfd")


def ffmpeg_readers(seconds):
    wrapper = os.environ.get("CUFRAMES_FFMPEG")
    if not wrapper or not shutil.which("ffmpeg"):
        return
    # Without -xerror an error in mid-stream is said, and the exit status is that of success.
    start = [wrapper, "ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-xerror"]
    yield Reader("ffmpeg", "f", True, [*start, "-i", "cuframes://cam", "-frames:v",
                                       str(int(30 * seconds)), "-f", "framemd5", "-"], {}, False)
    yield Reader("ffmpeg packets", "p", True,
                 [*start, "-i", "cuframes_packets://cam", "-t", str(seconds), "-f", "framemd5",
                  "-"], {}, False)
    yield Reader("ffmpeg copy", "p", True,
                 [*start, "-i", "cuframes_packets://cam", "-t", str(seconds), "-c", "copy", "-f",
                  "matroska", "-y", "/dev/null"], {}, False)


def gstreamer_readers():
    plugins = os.environ.get("GST_PLUGINS")
    launch = shutil.which("gst-launch-1.0")
    if not plugins or not launch:
        return
    env = {"GST_PLUGIN_PATH": plugins,
           "GST_REGISTRY": os.path.join(tempfile.gettempdir(), f"cuframes-hostile-{os.getuid()}")}
    for name, kinds, pipeline in (
            ("gst src", "f", "cuframessrc key=cam ! fakesink sync=false"),
            ("gst convert", "f", "cuframessrc key=cam ! videoconvert ! video/x-raw,format=I420 "
                                 "! fakesink sync=false"),
            ("gst packets", "p", "cuframespacketsrc key=cam ! fakesink sync=false"),
            ("gst parse", "p", "cuframespacketsrc key=cam ! parsebin ! fakesink sync=false")):
        yield Reader(name, kinds, True, [launch, *pipeline.split()], env, False)


def python_readers():
    folder = os.environ.get("PYTHON_PACKAGE")
    if not folder:
        return
    env = {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    for name, kinds, program in (("python", "f", PYTHON_FRAMES),
                                 ("python packets", "p", PYTHON_PACKETS),
                                 ("python info", "q", PYTHON_INFO),
                                 ("python snapshot", "f", PYTHON_SNAPSHOT)):
        yield Reader(name, kinds, True, [sys.executable, "-c", program], env, True)


def all_readers(work, seconds):
    return [*library_readers(seconds), *command_readers(work, seconds), *ffmpeg_readers(seconds),
            *gstreamer_readers(), *python_readers()]


def run_reader(must, reader, env):
    """Starts it, ends it if it goes on, and says what it did."""
    process = subprocess.Popen(reader.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env={**env, **reader.env})
    ended = False
    try:
        goes_on = not (reader.ends or must)
        out, err = process.communicate(timeout=RUN_S + 1 if goes_on else GRACE_S)
    except subprocess.TimeoutExpired:
        ended = True
        process.send_signal(signal.SIGTERM)
        try:
            out, err = process.communicate(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return BAD, "does not end"
    return judge(reader, process.returncode, out, err, ended)


def judge(reader, code, out, err, ended):
    words = (err.decode(errors="replace") or out.decode(errors="replace")).strip()
    last = words.splitlines()[-1] if words else ""
    if "Sanitizer" in words or "runtime error" in words:
        return BAD, words
    if ended and reader.ends:
        return BAD, f"does not end by itself: {last}"
    if code < 0 and not (ended and code == -signal.SIGTERM):
        return BAD, f"ended by signal {-code}: {last}"
    if code == 3 and reader.words[0] == READER:
        return BAD, last
    if b"\x1b[2J" in out or b"\x1b[2J" in err:
        return BAD, "what the publisher says goes to the terminal as it is"
    if ended:
        return ENDED, last
    if code == 0:
        return WENT_ON, last
    return (REFUSED, last) if last else (BAD, f"ends with {code} and says nothing")


class Plot:
    def __init__(self, line):
        self.name, self.kinds, must = line.split()
        self.refused = must.startswith("refused")
        self.later = must.endswith("later")

    def concerns(self, reader):
        return any(kind in self.kinds for kind in reader.kinds)


def all_plots():
    listed = subprocess.run([PUBLISHER, "--list"], check=True, capture_output=True, text=True)
    return [Plot("honest fpq any"), *map(Plot, listed.stdout.splitlines())]


def must_refuse(plot, reader):
    # A list of channels goes on with the others. A watch is not told anything that it could refuse.
    if not plot.refused or reader.name.split()[0] in ("ls", "top") or reader.name == "lib watch":
        return False
    # These are content with the first frame.
    if plot.later and "snapshot" in reader.name:
        return False
    # And this one begins where it can.
    return not (plot.name.startswith("packet-") and reader.name == "lib kept")


def verdict(plot, reader, did, words):
    """The word for the table, and whether all is well."""
    if did == BAD:
        return words.splitlines()[0][:60], False
    if plot.name == "honest" and did == REFUSED:
        return f"refused an honest publisher: {words}", False
    if must_refuse(plot, reader) and did != REFUSED:
        return f"{did}, not refused: {words}", False
    found = re.search(r"(?:cuframes [a-z]+|hostile_reader): (.*)", words)
    return f"{did}: {(found[1] if found else words)[:90]}" if did == REFUSED else did, True


def run_plot(plot, everything):
    """Gives {reader: (word, well)}."""
    folder = tempfile.mkdtemp(prefix="cfh", dir="/tmp")
    env = dict(os.environ, CUFRAMES_RUNTIME_DIR=folder + "/run")
    os.mkdir(folder + "/run", 0o700)
    publisher = subprocess.Popen([PUBLISHER, folder + "/run", "cam", plot.name],
                                 stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        if publisher.stdout.readline() != b"listening\n":
            return {"publisher": ("does not listen", False)}
        readers = [r for must, seconds in ((False, RUN_S), (True, REFUSE_S))
                   for r in all_readers(folder, seconds)
                   if plot.concerns(r) and must_refuse(plot, r) == must
                   and (not r.slow or everything or plot.name in FOR_SLOW_READERS)]
        with concurrent.futures.ThreadPoolExecutor(len(readers)) as pool:
            done = list(pool.map(lambda r: run_reader(must_refuse(plot, r), r, env), readers))
        return {r.name: verdict(plot, r, *what) for r, what in zip(readers, done)}
    finally:
        publisher.kill()
        publisher.communicate()
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--table")
    parser.add_argument("plots", nargs="*")
    options = parser.parse_args()
    plots = [p for p in all_plots() if not options.plots or p.name in options.plots]
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda plot: run_plot(plot, options.all), plots))
    bad, cells = 0, collections.Counter()
    table = open(options.table, "w", encoding="utf-8") if options.table else None
    for plot, result in zip(plots, results):
        for reader, (word, well) in result.items():
            cells[word.split(":")[0] if well else BAD] += 1
            bad += not well
            if table:
                print(f"{plot.name}\t{reader}\t{word}", file=table)
            if not well or options.plots:
                print(f"{plot.name}: {reader}: {word}")
    print(f"{len(plots)} plots, {sum(cells.values())} readings: {cells[REFUSED]} refused, "
          f"{cells[WENT_ON]} went on, {cells[ENDED]} ended on request, {bad} bad; "
          f"{time.monotonic() - began:.0f} s")
    for name, there in (("the command", CUFRAMES), ("FFmpeg", os.environ.get("CUFRAMES_FFMPEG")),
                        ("GStreamer", os.environ.get("GST_PLUGINS")),
                        ("Python", os.environ.get("PYTHON_PACKAGE"))):
        if not there:
            print(f"without {name}, which is not in this build")
    sys.exit(bad != 0)


main()
