#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""FFmpeg with cuframes on a machine with a GPU; a part of the bundle that ./dev gpu-bundle makes.

    run-gpu-ffmpeg-tests [--seconds N] [--only WORD] [--stand-in] [--out FOLDER]

N (default 180) is how long the readers and writers run that are looked at for leaks, with all other
tests beside them. --only runs tests that have WORD in their names. --stand-in leaves out what the
stand-in for the driver cannot do: FFmpeg's kernels, its own hardware acceleration, and copies from
memory that is written to at once again. FOLDER (default $OUT, else .) gets gpu-ffmpeg.json and gpu-ffmpeg.md. Exit code:
0 all passed, 1 something failed.
"""
import argparse
import fractions
import json
import os
import re
import signal
import sys
import time

from machine import Gpu, Session, allow_many_files, end, parse_frames, run
from suite import Skip, check, clip, clips, describe_machine, run_one, write_report

RELEASES = ("5.1", "7.1")
STAND_IN = "--stand-in" in sys.argv
SCALE = "" if STAND_IN else "scale_cuda=320:180,"
DOWNLOAD = "hwdownload,format=nv12"
# More than FFmpeg's queues take.
HOLDS, SLOTS = 36, 40
QUIET = ("-hide_banner", "-nostdin", "-nostats", "-y")
GPU_DECODE = ("-init_hw_device", "cuda=g:0,primary_ctx=1", "-hwaccel", "cuda", "-hwaccel_device", "g",
              "-hwaccel_output_format", "cuda")
MD5 = ("-fps_mode", "passthrough", "-f", "framemd5", "-")


def parse_md5(text):
    """(seconds, md5) of each picture."""
    base, pictures = None, []
    for line in text.splitlines():
        found = re.match(r"#tb 0: (\d+)/(\d+)", line)
        if found:
            base = fractions.Fraction(int(found[1]), int(found[2]))
        elif line and not line.startswith("#"):
            words = [word.strip() for word in line.split(",")]
            pictures.append((float(int(words[2]) * base), words[5]))
    return pictures


def md5s(pictures):
    return [md5 for _, md5 in pictures]


def same_times(a, b):
    """Each as long after the first as there, to a tick of 90 kHz."""
    return len(a) == len(b) and all(
        abs((one[0] - a[0][0]) - (other[0] - b[0][0])) < 2e-5 for one, other in zip(a, b))


class Both:
    """A session in which one release of FFmpeg is used."""

    def __init__(self, release):
        self.release, self.session = release, Session()

    def __enter__(self):
        self.session.__enter__()
        return self

    def __exit__(self, *why):
        self.session.__exit__(*why)

    def start(self, *args, level="verbose"):
        return self.session.start(f"ffmpeg-{self.release}", *QUIET, "-loglevel", level, *args)

    def finish(self, process, code=0, timeout=60):
        out, said = self.session.finish(process, timeout)
        if code is not None:
            check(process.returncode == code, "ended with", process.returncode, said)
        return out, said

    def ingest(self, name, *options, key="cam"):
        return self.session.ingest(clip(name), "--decode", "nvdec", "--gpu", "0", "--policy", "wait",
                                   "--ack-timeout-ms", "20000", "--wait-subscribers", "1", "--slots",
                                   SLOTS, *options, key=key)

    def pattern(self, *options, key="cam", memory="cuda"):
        return self.session.start("cuframes", "test-source", key, "--memory", memory, "--size",
                                  "640x360", *options)

    def read(self, *filters, url="cuframes://cam", before=(), output=MD5):
        """Reads a channel that has yet to come."""
        return self.start("-open_timeout", "30", "-holds", HOLDS, *before, "-i", url, *filters, *output)

    def pictures(self, reader, source=None):
        out, said = self.finish(reader)
        if source is not None:
            _, why = self.session.finish(source)
            check(source.returncode == 0, "the publisher:", why)
        return parse_md5(out), closing(said), said

    def direct(self, name, *filters):
        """What the same FFmpeg makes of a file that it decodes on the GPU itself."""
        out, _ = self.finish(self.start(*GPU_DECODE, *decoder(name), "-i", clip(name), "-map", "0:v",
                                        *filters, *MD5, level="error"))
        return parse_md5(out)

    def info(self, key="cam"):
        code, out, _ = run("cuframes", "info", key, "--json", "--runtime-dir",
                           self.session.env["CUFRAMES_RUNTIME_DIR"])
        return json.loads(out) if code == 0 else None

    def wait_for(self, condition, what, limit=20):
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            info = self.info()
            if info and condition(info):
                return info
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come")


def decoder(name):
    """What FFmpeg itself decodes a clip with."""
    return ("-c:v", name[:4] + "_cuvid") if STAND_IN else ()


def closing(said):
    """given, copied, missed: the input's own count."""
    found = re.search(r"(\d+) frames, (\d+) of them copied; (\d+) missed", said)
    check(found, "no closing line:", said)
    return tuple(map(int, found.groups()))


# --- reading ------------------------------------------------------------------------------------

def frames(release, name, pix_fmt="nv12"):
    """Frames that NVDEC decoded into the channel, downloaded: the software decoder's, in place."""
    with Both(release) as both:
        reader = both.read("-vf", f"hwdownload,format={pix_fmt}", url="cuframes://cam?timeline=channel")
        source = both.ingest(name)
        info = both.wait_for(lambda i: i["subscribers"] and i["subscribers"][0]["received"], "a reader")
        got, count, said = both.pictures(reader, source)
        direct = both.direct(name, "-vf", f"hwdownload,format={pix_fmt}")
    known = clips()[name]["md5"]
    check(info["memory"] == "cuda" and info["subscribers"][0]["access"] == "in place", info)
    check(md5s(got) == known, "pictures differ from the software decoder's", said)
    check(md5s(got) == md5s(direct), "pictures differ from FFmpeg's own decoding", said)
    check(same_times(got, direct), "times differ", got[:5], direct[:5])
    check(count == (len(known), 0, 0), count, said)
    return {"frames": len(got), "copied": count[1], "access": info["subscribers"][0]["access"]}


def scaled(release, name, filters, options=()):
    """scale_cuda over frames in place, nothing downloaded before: as over FFmpeg's own decoding."""
    with Both(release) as both:
        reader = both.read("-vf", filters)
        source = both.ingest(name, *options)
        got, count, said = both.pictures(reader, source)
        direct = both.direct(name, "-vf", filters)
    check(md5s(got) == md5s(direct), len(got), len(direct), "pictures differ", said)
    check(same_times(got, direct), "times differ", got[:5], direct[:5])
    check(count[1:] == (0, 0), count)
    return {"frames": len(got), "copied": count[1]}


def pattern_scaled(release):
    """The same with the test pattern; its frames were written by the processor's side."""
    with Both(release) as both:
        reader = both.read("-vf", SCALE + DOWNLOAD)
        source = both.pattern("--fps", "100", "--frames", "60", "--policy", "wait", "--ack-timeout-ms",
                              "20000", "--wait-subscribers", "1", "--slots", SLOTS)
        got, count, _ = both.pictures(reader, source)
    check(count == (60, 0, 0), count)
    check(len(set(md5s(got))) == 60, "pictures are alike")
    return {"frames": 60, "copied": 0}


def change_of_size(release):
    with Both(release) as both:
        reader = both.read("-vf", SCALE + DOWNLOAD)
        source = both.ingest("sizes.h264")
        got, count, said = both.pictures(reader, source)
    check(count == (75, 0, 0) and len(got) == 75, count, len(got), said)
    return {"frames": 75, "of": "25 of 640x360, 25 of 320x240, 25 of 640x360"}


def overlaid(release):
    """Two inputs of one filter, one a channel, one decoded by FFmpeg: both on one device.

    The small picture lies inside the large one: where it reaches over the lower edge, overlay_cuda
    writes on into the plane behind, with frames that FFmpeg itself has uploaded, too.
    """
    graph = "[1:v]scale_cuda=320:180[small];[0:v][small]overlay_cuda=x=32:y=16," + DOWNLOAD
    with Both(release) as both:
        reader = both.start("-open_timeout", "30", "-holds", HOLDS, "-i", "cuframes://cam", *GPU_DECODE,
                            "-i", clip("h264-low-delay.mkv"), "-filter_complex", graph, *MD5)
        source = both.ingest("h264.mp4")
        got, count, said = both.pictures(reader, source)
        direct = both.start(*GPU_DECODE, "-i", clip("h264.mp4"), *GPU_DECODE[2:], "-i",
                            clip("h264-low-delay.mkv"), "-filter_complex", graph, *MD5, level="error")
        expected = parse_md5(both.finish(direct)[0])
    check(md5s(got) == md5s(expected), len(got), len(expected), "pictures differ", said)
    return {"frames": len(got), "copied": count[1]}


def few_holds(release):
    """Frames beyond the holds are copied on the GPU, and are right all the same."""
    with Both(release) as both:
        reader = both.start("-open_timeout", "30", "-holds", "6", "-i", "cuframes://cam", "-vf",
                            "reverse," + DOWNLOAD, *MD5)
        got, count, said = both.pictures(reader, both.ingest("h264.mp4"))
    check(md5s(got)[::-1] == clips()["h264.mp4"]["md5"], "pictures differ", said)
    check(count[1] >= 40, count)
    return {"frames": len(got), "copied": count[1]}


def by_the_processor(release):
    with Both(release) as both:
        reader = both.read(url="cuframes://cam?memory=host")
        got, count, said = both.pictures(reader, both.ingest("h264.mp4"))
    check(md5s(got) == clips()["h264.mp4"]["md5"], "pictures differ", said)
    return {"frames": count[0]}


def host_frames_by_the_gpu(release):
    with Both(release) as both:
        reader = both.read("-vf", DOWNLOAD, url="cuframes://cam?memory=cuda")
        source = both.ingest("h264.mp4", "--memory", "host", "--format", "nv12")
        got, count, said = both.pictures(reader, source)
    check(md5s(got) == clips()["h264.mp4"]["md5"], "pictures differ", said)
    check(count[1:] == (0, 0), count)
    return {"frames": count[0], "copied": count[1]}


# --- publishing ---------------------------------------------------------------------------------

def published(release, *decoder, before=GPU_DECODE, filters=(), compare=None):
    """CUDA frames of FFmpeg's own into a channel; a subscriber without FFmpeg checks them."""
    with Both(release) as both:
        reader = both.session.read(key="out")
        writer = both.start(*before, *decoder, "-i", clip("h264.mp4"), "-map", "0:v", *filters,
                            "-fps_mode", "passthrough", "-policy", "wait", "-ack_timeout", "20000",
                            "-wait_subscribers", "1", "-slots", "16", "-f", "cuframes", "out")
        _, said = both.finish(writer)
        got = [frame.md5 for frame in parse_frames(both.session.finish(reader, 30)[0])]
        expected = (md5s(both.direct("h264.mp4", "-vf", compare)) if compare
                    else clips()["h264.mp4"]["md5"])
    check(got == expected, len(got), "pictures differ", said)
    check(f"{len(got)} frames published, 0 dropped" in said, said)
    return {"frames": len(got)}


def chained(release):
    """Channel, scale_cuda, channel: what an encoder of the GPU would be given, never off the GPU."""
    with Both(release) as both:
        last = both.session.read(key="small")
        middle = both.start("-open_timeout", "30", "-holds", HOLDS, "-i", "cuframes://cam", "-vf",
                            SCALE + "null", "-fps_mode", "passthrough", "-policy", "wait",
                            "-ack_timeout", "20000", "-wait_subscribers", "1", "-f", "cuframes", "small")
        source = both.ingest("h264.mp4")
        memory = {}
        both.wait_for(lambda i: memory.update(both.info("small") or {}) or "memory" in memory,
                      "the second channel")
        _, said = both.finish(middle)
        both.session.finish(source)
        got = [frame.md5 for frame in parse_frames(both.session.finish(last, 30)[0])]
        expected = md5s(both.direct("h264.mp4", "-vf", SCALE + DOWNLOAD))
    check(memory["memory"] == "cuda", memory)
    check(got == expected, len(got), "pictures differ", said)
    check(closing(said) == (50, 0, 0), said)
    return {"frames": len(got), "copied on the way in": 0}


# --- holds, ends --------------------------------------------------------------------------------

def holds_come_back(release):
    """While FFmpeg reads it holds no more than it was granted, when it ends or dies nothing."""
    with Both(release) as both:
        source = both.pattern("--fps", "100", "--slots", "12")
        seen = []
        for how in (None, signal.SIGINT, signal.SIGKILL):
            limit = ("-t", "1") if how is None else ()
            reader = both.start(*limit, "-i", "cuframes://cam?open_timeout=20", "-vf",
                                SCALE + "null", "-f", "null", "-")
            both.wait_for(lambda i: i["subscribers"] and i["subscribers"][0]["received"] > 20, "frames")
            seen.append(both.info()["slots_held"])
            if how:
                reader.send_signal(how)
            both.session.finish(reader, 20)
            gone = both.wait_for(lambda i: not i["subscribers"], "the end of the reader")
            check(gone["slots_held"] == 0, "slots are held by nobody:", gone["slots_held"])
        check(max(seen) <= 4, "held:", seen)
        end([source])
        both.session.finish(source)
    return {"held while reading": seen, "afterwards": 0}


def publisher_dies(release):
    with Both(release) as both:
        source = both.pattern("--fps", "100")
        reader = both.start("-i", "cuframes://cam?open_timeout=20", "-vf", SCALE + "null", "-f",
                            "null", "-")
        both.wait_for(lambda i: i["subscribers"] and i["subscribers"][0]["received"] > 20, "frames")
        source.kill()
        began = time.monotonic()
        _, said = both.session.finish(reader, 20)
        took = time.monotonic() - began
    check("the publisher died" in said, said)
    return {"seconds until FFmpeg ended": round(took, 2), "exit": reader.returncode}


def nvenc(release):
    with Both(release) as both:
        reader = both.read(output=("-c:v", "h264_nvenc", "-f", "null", "-"))
        source = both.ingest("h264.mp4")
        _, said = both.finish(reader, None)
        end([source])
        both.session.finish(source)
    lines = [line for line in said.splitlines() if re.search("nvenc|encode", line, re.I)]
    if reader.returncode:
        raise Skip("; ".join(lines)[-300:])
    return {"works": True}


# --- leaks --------------------------------------------------------------------------------------

def usage(process):
    """Resident memory in MiB, and descriptors."""
    with open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace") as file:
        resident = int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024
    return round(resident, 1), len(os.listdir(f"/proc/{process.pid}/fd"))


class Endurance:
    """Readers and a writer of each release that run all the time, looked at now and then."""

    def __init__(self):
        self.session, self.gpu, self.processes, self.samples = Session(), Gpu(), {}, []

    def begin(self):
        both = Both(None)
        both.session = self.session
        self.session.__enter__()
        self.source = both.pattern("--fps", "200", "--slots", "24")
        for release in RELEASES:
            both.release = release
            self.processes[f"reader {release}"] = both.start(
                "-i", "cuframes://cam?open_timeout=20&holds=8", "-vf", SCALE + "null", "-f", "null",
                "-", level="error")
            self.processes[f"publisher {release}"] = both.start(
                "-i", "cuframes://cam?open_timeout=20&holds=8", "-vf", SCALE + "null", "-fps_mode",
                "passthrough", "-f", "cuframes", f"out{release[0]}", level="error")
        self.both, self.began = both, time.monotonic()

    def sample(self):
        sample = {"seconds": round(time.monotonic() - self.began),
                  "gpu_mib": self.gpu.memory_now() and round(self.gpu.memory_now())}
        for name, process in [*self.processes.items(), ("source", self.source)]:
            if process.poll() is not None:
                raise AssertionError(f"{name} ended: {self.session.finish(process)[1]}")
            sample[name] = usage(process)
        self.samples.append(sample)

    def result(self):
        info = self.both.info()
        first, last = self.samples[0], self.samples[-1]
        received = {one["name"]: one["received"] for one in info["subscribers"]}
        detail = {"samples": self.samples, "published": info["published"], "received": received,
                  "slots_held": info["slots_held"]}
        for name in [*self.processes, "source"]:
            check(last[name][1] <= first[name][1], "descriptors of", name, "grow:", detail)
            check(last[name][0] <= first[name][0] + 8, "memory of", name, "grows:", detail)
        if first["gpu_mib"]:
            check(last["gpu_mib"] <= first["gpu_mib"] + 8, "the GPU's memory grows:", detail)
        check(all(n > 0.9 * info["published"] - 2000 for n in received.values()), detail)
        end(self.processes.values())
        for process in self.processes.values():
            self.session.finish(process, 20)
        gone = self.both.info()
        check(not gone["subscribers"] and gone["slots_held"] == 0, "something is held:", gone)
        return detail

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.session.__exit__(*why)


def tests():
    for release in RELEASES:
        def one(name, function, *args, release=release, **more):
            return f"{name}, FFmpeg {release}", lambda: function(release, *args, **more)

        for name, pix_fmt in (("h264.mp4", "nv12"), ("h264-interlaced.mkv", "nv12"), ("hevc.mp4", "nv12"),
                              ("hevc-10.mp4", "p010le")):
            yield one("read " + name, frames, name, pix_fmt)
        if not STAND_IN:
            yield one("scale_cuda to planar", scaled, "h264.mp4",
                      "scale_cuda=322:182:format=yuv420p,hwdownload,format=yuv420p")
            yield one("scale_cuda of ten bits", scaled, "hevc-10.mp4",
                      "scale_cuda=320:180,hwdownload,format=p010le")
            yield one("overlay_cuda with a file", overlaid)
            yield one("publish -hwaccel cuda", published)
            yield one("publish hwupload_cuda", published, before=(),
                      filters=("-vf", "format=nv12,hwupload_cuda"))
            yield one("h264_nvenc (for information)", nvenc)
        yield one("scale_cuda", scaled, "h264.mp4", SCALE + DOWNLOAD)
        yield one("scale_cuda of the test pattern", pattern_scaled)
        yield one("scale_cuda over a change of size", change_of_size)
        yield one("more frames than holds", few_holds)
        yield one("read by the processor", by_the_processor)
        yield one("host frames read by the GPU", host_frames_by_the_gpu)
        yield one("publish h264_cuvid", published, "-c:v", "h264_cuvid")
        yield one("publish scale_cuda", published, *decoder("h264.mp4"),
                  filters=("-vf", SCALE + "null"), compare=SCALE + DOWNLOAD)
        yield one("channel, scale_cuda, channel", chained)
        yield one("holds come back", holds_come_back)
        yield one("the publisher dies", publisher_dies)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--only", help="run tests whose names have this in them, and no endurance")
    parser.add_argument("--stand-in", action="store_true", help="leave out what that cannot do")
    parser.add_argument("--out", default=os.environ.get("OUT", "."))
    options = parser.parse_args()
    allow_many_files()
    report = {"machine": describe_machine(), "tests": []}
    print(report["machine"]["nvidia-smi"], flush=True)

    def run_all():
        for name, function in tests():
            if not options.only or options.only in name:
                report["tests"].append(run_one(name, function))
                write_report(options.out, "gpu-ffmpeg", "FFmpeg on a GPU", report)

    if options.only:
        run_all()
    else:
        with Endurance() as endurance:
            endurance.begin()
            time.sleep(10)
            endurance.sample()
            run_all()
            while time.monotonic() < endurance.began + options.seconds:
                time.sleep(5)
            endurance.sample()
            report["tests"].append(run_one("endurance", endurance.result))
            write_report(options.out, "gpu-ffmpeg", "FFmpeg on a GPU", report)
    failed = [test["name"] for test in report["tests"] if test["result"] == "FAILED"]
    print(f"{len(report['tests'])} tests, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
