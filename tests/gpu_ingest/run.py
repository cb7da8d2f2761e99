#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ingest's tests on a machine with a GPU; a part of the bundle that ./dev gpu-bundle makes.

    run-gpu-ingest-tests [--no-cameras] [--out FOLDER]

FOLDER (default $OUT, else .) gets gpu-ingest.json and gpu-ingest.md. Exit code: 0 all passed, 1
something failed, 77 this machine has no GPU that decodes.
"""
import argparse
import os
import re
import sys
import time
import traceback

import cameras
from machine import Session, allow_many_files, end, parse_frames, parse_summary, parse_times, run
from suite import Skip, check, clip, clips, describe_machine, run_one, write_report

DECODERS = {"h264": "h264_cuvid", "hevc": "hevc_cuvid", "vp9": "vp9_cuvid", "av1": "av1_cuvid",
            "mjpeg": "mjpeg_cuvid", "sizes": "h264_cuvid"}
# An output beside libswscale's, which saves on chroma where it makes RGB unless told not to.
FLAGS = "bicubic+full_chroma_int+full_chroma_inp+accurate_rnd"
LEAST_DB = 55


def ingest_all(session, path, *options, keys=("cam",), raw=None, reader=()):
    """Every frame of each channel, the summary, and what the ingest said."""
    readers = [session.read(*reader, key=key, raw=raw) for key in keys]
    process = session.ingest(path, *options, "--policy", "wait", "--ack-timeout-ms", "20000",
                             "--wait-subscribers", "1")
    _, said = session.finish(process, 90)
    frames = [parse_frames(session.finish(one, 30)[0]) for one in readers]
    return frames, parse_summary(said), said


# --- what FFmpeg alone can do here ------------------------------------------------------------

def ffmpeg_md5(name, pix_fmt):
    kind = re.match(r"[a-z0-9]+", name).group()
    code, out, err = run("ffmpeg", "-hide_banner", "-loglevel", "error", "-c:v", DECODERS[kind],
                         "-i", clip(name), "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt",
                         pix_fmt, "-f", "framemd5", "-")
    if code:
        return None, err.strip()[-400:]
    return [line.split(",")[-1].strip() for line in out.splitlines() if not line.startswith("#")], ""


def chip(name, known):
    """Skips what the chip cannot decode through FFmpeg's own way either."""
    found, why = ffmpeg_md5(name, known["format"])
    if found is None:
        raise Skip(f"FFmpeg's own decoding on this GPU fails: {why}")
    return found


# --- tests ------------------------------------------------------------------------------------

def decode(name, known):
    plain = chip(name, known)
    with Session() as session:
        (frames,), summary, said = ingest_all(session, clip(name), "--decode", "nvdec")
    check(summary, "the ingest gave no summary:", said)
    check("in GPU memory" in said, "the channel is not in GPU memory:", said)
    check(summary["copied"] == 0, "copied:", summary, said)
    check(summary["dropped"] == 0 and summary["damaged"] == 0, summary, said)
    check(len(frames) == len(known["md5"]), len(frames), "frames, not", len(known["md5"]), said)
    found = [frame.md5 for frame in frames]
    same = sum(a == b for a, b in zip(found, known["md5"]))
    same_plain = sum(a == b for a, b in zip(found, plain))
    detail = {"frames": len(frames), "as_software": same, "as_ffmpeg_cuvid": same_plain}
    if known["exact"]:
        check(found == known["md5"], "pictures differ from the software decoder's:", detail)
    else:
        check(found == plain, "pictures differ from FFmpeg's on this chip:", detail)
    return detail


def sizes():
    """A camera that changes its size: a new generation each time, every picture right."""
    known = clips()["sizes.h264"]
    with Session() as session:
        (frames,), summary, said = ingest_all(session, clip("sizes.h264"), "--decode", "nvdec")
    found = [frame.md5 for frame in frames]
    right = sum(md5 in set(known["md5"]) for md5 in found)
    detail = {"frames": len(found), "of": len(known["md5"]), "right": right,
              "sizes": sorted({frame.size for frame in frames}), "summary": summary}
    check({frame.size for frame in frames} == {"640x360", "320x240"}, detail, said)
    check(right == len(found), "wrong pictures:", detail, said)
    check(found == known["md5"], "pictures were lost:", detail, said)
    return detail


def memory(*options, words, copied):
    """The other ways round: decoded here, shared there."""
    known = clips()["h264.mp4"]
    with Session() as session:
        (frames,), summary, said = ingest_all(session, clip("h264.mp4"), "--format", "nv12", *options)
    check(words in said, f'no "{words}":', said)
    check([frame.md5 for frame in frames] == known["md5"], "pictures differ", said)
    check(summary["copied"] == copied, summary)
    return summary


def automatic():
    with Session() as session:
        (frames,), _, said = ingest_all(session, clip("h264.mp4"))
    check("decoded by GPU" in said, said)
    check(len(frames) == 50, len(frames), said)
    return {"frames": len(frames)}


def slow_readers():
    """Readers that hold every slot between them: the decoder goes on, and when they let go so do the
    frames."""
    with Session() as session:
        process = session.ingest(clip("h264.mp4"), "--decode", "nvdec", "--slots", "2", "--realtime",
                                 "--loop")
        slow = []
        for _ in range(4):  # each holds another frame
            slow.append(session.start("cuframes", "sub", "cam", "--wait", "10", "--hold-ms", "60000"))
            time.sleep(0.6)
        time.sleep(2)
        for one in slow:
            one.kill()
        quick = session.read(30)
        frames = parse_frames(session.finish(quick, 20)[0])
        end([process])
        _, said = session.finish(process, 20)
    summary = parse_summary(said)
    check(summary, said)
    detail = dict(summary, read_afterwards=len(frames))
    check(summary["dropped"] > 0, "nothing was held up:", detail, said)
    check(summary["damaged"] == 0, detail, said)
    check(len(frames) == 30, detail, said)
    return detail


def wait_policy():
    """A reader in strict order that takes its time loses nothing under the wait policy."""
    with Session() as session:
        reader = session.read(50, 60)
        process = session.ingest(clip("h264.mp4"), "--decode", "nvdec", "--slots", "3", "--policy",
                                 "wait", "--ack-timeout-ms", "20000", "--wait-subscribers", "1")
        _, said = session.finish(process, 60)
        frames = parse_frames(session.finish(reader, 30)[0])
    known = clips()["h264.mp4"]["md5"]
    check([frame.md5 for frame in frames] == known, len(frames), "frames", said)
    return {"frames": len(frames)}


def damaged():
    """A stream with damage in every picture: nothing hangs, and readers stay attached."""
    with Session() as session:
        reader = session.read()
        process = session.ingest(clip("damaged.mkv"), "--decode", "nvdec", "--wait-subscribers", "1")
        _, said = session.finish(process, 60)
        frames = parse_frames(session.finish(reader, 30)[0])
        code = process.returncode
    summary = parse_summary(said)
    check(code in (0, 1), "ended with", code, said)
    check("killed after" not in said, said)
    return {"exit": code, "frames_read": len(frames), "summary": summary, "said": said[-600:]}


def damage_then_clean():
    """After a damaged part, the pictures of a clean part are right again on the same channel."""
    with Session() as session:
        joined = session.path("joined.h264")
        for name, part in (("damaged.mkv", "a.h264"), ("h264.mp4", "b.h264")):
            code, _, err = run("ffmpeg", "-loglevel", "error", "-i", clip(name), "-c", "copy", "-bsf:v",
                               "h264_mp4toannexb", "-f", "h264", session.path(part))
            if code:
                raise Skip("cannot make the stream: " + err[-300:])
        with open(joined, "wb") as out:
            for part in ("a.h264", "b.h264"):
                with open(session.path(part), "rb") as file:
                    out.write(file.read())
        (frames,), summary, said = ingest_all(session, joined, "--decode", "nvdec")
    known = clips()["h264.mp4"]["md5"]
    found = [frame.md5 for frame in frames][-len(known):]
    right = sum(md5 in set(known) for md5 in found)
    detail = {"frames": len(frames), "right_at_the_end": right, "of": len(known), "summary": summary}
    check(right >= len(known) - 8, detail, said)
    return detail


def likeness(a, b):
    import numpy
    first = numpy.frombuffer(a, numpy.uint8).astype(numpy.float64)
    second = numpy.frombuffer(b, numpy.uint8).astype(numpy.float64)
    error = float(((first - second) ** 2).mean())
    return 99.0 if error == 0 else round(10 * float(numpy.log10(255 * 255 / error)), 1)


def compare_output(spec, pix_fmt, size, *options):
    """An output scaled on the GPU is nearly what libswscale makes."""
    name = spec.split("=")[0]
    with Session() as session:
        raw = session.path("raw")
        readers = [session.read(key="cam"), session.read(key="cam-" + name, raw=raw)]
        process = session.ingest(clip("h264.mp4"), "--decode", "nvdec", "--output", spec, *options,
                                 "--policy", "wait", "--ack-timeout-ms", "20000",
                                 "--wait-subscribers", "1")
        _, said = session.finish(process, 90)
        main, output = [parse_frames(session.finish(one, 30)[0]) for one in readers]
        with open(raw, "rb") as file:
            made = file.read()
        expected = session.path("expected")
        code, _, err = run("ffmpeg", "-loglevel", "error", "-i", clip("h264.mp4"), "-vf",
                           f"scale={size.replace('x', ':')}:flags={FLAGS},format={pix_fmt}",
                           "-fps_mode", "passthrough", "-f", "rawvideo", expected)
        check(code == 0, err)
        with open(expected, "rb") as file:
            wanted = file.read()
    check([frame.md5 for frame in main] == clips()["h264.mp4"]["md5"], "the input's own pictures", said)
    check({frame.size for frame in output} == {size}, output[:1], said)
    check(len(made) == len(wanted), len(made), "bytes, not", len(wanted), said)
    found = likeness(made, wanted)
    check(found >= LEAST_DB, found, "dB", said)
    return {"frames": len(output), "dB": found}


def many_outputs():
    with Session() as session:
        keys = ("cam", "cam-a", "cam-b", "cam-c")
        frames, summary, said = ingest_all(
            session, clip("h264.mp4"), "--decode", "nvdec", "--output", "a=320x180@5", "--output",
            "b=160x90,memory=host,format=rgb", "--output", "c=640x360,format=yuv420p", keys=keys)
    counts = [len(one) for one in frames]
    check(counts == [50, 10, 50, 50], counts, said)
    check(summary["copied"] == 0, summary)
    return dict(zip(keys, counts))


def latency():
    """How much later than the processor's the GPU's pictures come, from the same live stream."""
    ports = (39150, 39151)
    with Session() as session:
        camera = cameras.make_file(session, 25)
        readers = [session.read(100, key=key) for key in ("cpu", "gpu")]
        sources = [session.ingest(f"udp://127.0.0.1:{port}", "--decode", decode, key=key)
                   for port, decode, key in zip(ports, ("cpu", "nvdec"), ("cpu", "gpu"))]
        time.sleep(3)
        outputs = [word for port in ports for word in
                   ("-c", "copy", "-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316")]
        session.start("ffmpeg", "-loglevel", "error", "-re", "-i", camera, *outputs)
        times = [parse_times(session.finish(one, 40)[0]) for one in readers]
        end(sources)
        said = "".join(session.finish(one, 20)[1] for one in sources)
    both = sorted(set(times[0]) & set(times[1]))[10:]
    check(len(both) >= 40, "few pictures in common:", len(both), said)
    later = sorted((times[1][pts] - times[0][pts]) / 1e6 for pts in both)
    return {"pictures": len(both), "median_ms": round(later[len(later) // 2], 2),
            "least_ms": round(later[0], 2), "most_ms": round(later[-1], 2), "frame_ms": 40}


def ffmpeg_scale_cuda():
    """What FFmpeg's own filter does here, as Debian builds it: the ingest does not use it."""
    code, _, err = run("ffmpeg", "-hide_banner", "-loglevel", "error", "-hwaccel", "cuda",
                       "-hwaccel_output_format", "cuda", "-c:v", "h264_cuvid", "-i", clip("h264.mp4"),
                       "-vf", "scale_cuda=320:180", "-f", "null", "-")
    return {"works": code == 0, "said": err.strip()[-300:]}


def tests():
    for name, known in clips().items():
        if name != "sizes.h264":
            yield "decode " + name, lambda name=name, known=known: decode(name, known)
    yield "change of size", sizes
    yield "decoded here, shared in host memory", lambda: memory(
        "--decode", "nvdec", "--memory", "host", words="in host memory", copied=50)
    yield "decoded by the processor, shared in GPU memory", lambda: memory(
        "--decode", "cpu", "--memory", "cuda", words="in GPU memory", copied=50)
    yield "automatic choice", automatic
    yield "slow readers", slow_readers
    yield "wait policy", wait_policy
    yield "damaged stream", damaged
    yield "damage, then clean", damage_then_clean
    yield "output smaller, GPU", lambda: compare_output("small=320x180", "nv12", "320x180")
    yield "output larger, GPU", lambda: compare_output("large=1000x600", "nv12", "1000x600")
    yield "output RGB, GPU", lambda: compare_output("rgb=320x180,format=rgb", "rgb24", "320x180")
    yield "output planar, host", lambda: compare_output(
        "host=322x182,format=yuv420p,memory=host", "yuv420p", "322x182")
    yield "many outputs of one decode", many_outputs
    yield "latency against the processor (for information)", latency
    yield "FFmpeg's scale_cuda (for information)", ffmpeg_scale_cuda


def write(folder, report):
    write_report(folder, "gpu-ingest", "Ingest on a GPU", report, cameras.table(report.get("cameras")))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-cameras", action="store_true", help="leave the comparison out")
    parser.add_argument("--out", default=os.environ.get("OUT", "."))
    parser.add_argument("--seconds", type=float, default=440, help="begin nothing after so long")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    allow_many_files()
    report = {"machine": describe_machine(), "tests": []}
    print(report["machine"]["nvidia-smi"], flush=True)
    for name, function in tests():
        report["tests"].append(run_one(name, function))
        write(options.out, report)
    if not options.no_cameras:
        try:
            report["cameras"] = cameras.compare(deadline)
        except Exception:
            report["cameras"] = {"error": traceback.format_exc()[-2000:]}
            print(report["cameras"]["error"])
        write(options.out, report)
    failed = [test["name"] for test in report["tests"] if test["result"] == "FAILED"]
    print(f"{len(report['tests'])} tests, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
