# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ten recordings of one camera: through `cuframes ingest`, and each with a connection of its own.

The camera is tests/harness/rtsp_server.py on loopback, RTSP over TCP. Its link is a relay in this
process, which counts the bytes that the camera sends. CPU time is that of all recorders together
(and of the ingester) once every file has begun, as the kernel counts it for each thread, without
the camera's and the relay's.
"""
import asyncio
import os
import signal
import subprocess
import threading
import time

RECORDERS = 10
PYTHON = "/usr/bin/python3"
LIMIT_S = 60
SKIPPED = 77


class Relay:
    """A TCP relay in front of the camera, in a thread of its own, that counts."""

    def __init__(self, port):
        self.camera_port = port
        self.received = 0  # bytes from the camera
        self.connections = 0
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.ready.wait(LIMIT_S)

    def run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    async def serve(self, reader, writer):
        self.connections += 1
        upstream, to_camera = await asyncio.open_connection("127.0.0.1", self.camera_port)
        await asyncio.gather(self.copy(reader, to_camera, False), self.copy(upstream, writer, True),
                             return_exceptions=True)

    async def copy(self, reader, writer, from_camera):
        try:
            while data := await reader.read(1 << 16):
                self.received += len(data) if from_camera else 0
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


def start_camera(server, quick):
    size, bitrate = ("320x240", "500") if quick else ("1280x720", "4000")
    camera = subprocess.Popen(
        [PYTHON, server, "--control", "--size", size, "--fps", "25", "--bitrate", bitrate, "--gop",
         "25", "--pattern", "snow"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)
    line = camera.stdout.readline()
    if not line.startswith("READY "):
        camera.wait()
        return None, None, None
    return camera, int(line.split(":")[-1].split("/")[0]), f"{size}, 25 frames a second"


def cpu_seconds(processes):
    """CPU time of all their threads so far."""
    total = 0
    for process in processes:
        tasks = f"/proc/{process.pid}/task"
        for task in os.listdir(tasks):
            with open(os.path.join(tasks, task, "schedstat"), encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start(*command):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def wait_for_files(paths):
    deadline = time.monotonic() + LIMIT_S
    while not all(os.path.exists(path) and os.path.getsize(path) > 0 for path in paths):
        if time.monotonic() > deadline:
            raise RuntimeError("a recording did not begin")
        time.sleep(0.05)


def record_seconds(processes, paths, relay, seconds):
    """Lets all run for so long once every file has begun; what it took."""
    try:
        wait_for_files(paths)
        bytes_before, cpu_before = relay.received, cpu_seconds(processes)
        time.sleep(seconds)
        link, cpu = relay.received - bytes_before, cpu_seconds(processes) - cpu_before
    finally:
        for process in reversed(processes):
            end(process)
    return {"link_bytes_s": link / seconds, "cpu_percent": 100 * cpu / seconds,
            "connections": relay.connections,
            "recorded_bytes": [os.path.getsize(path) for path in paths]}


def direct(url, directory, relay, seconds):
    paths = [os.path.join(directory, f"direct-{i}.mkv") for i in range(RECORDERS)]
    processes = [start("ffmpeg", "-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp", "-i", url,
                       "-map", "0", "-c", "copy", "-flush_packets", "1", "-y", path)
                 for path in paths]
    return record_seconds(processes, paths, relay, seconds)


def through(cuframes, url, directory, relay, seconds):
    runtime = ["--runtime-dir", directory]
    paths = [os.path.join(directory, f"through-{i}.mkv") for i in range(RECORDERS)]
    processes = [start(cuframes, "ingest", url, "--key", "bench", "--decode", "off", *runtime)]
    processes += [start(cuframes, "record", "bench", path, "--wait", "30", *runtime)
                  for path in paths]
    return record_seconds(processes, paths, relay, seconds)


def measure(cuframes, server, directory, quick, say):
    """None where the camera cannot be had."""
    camera, port, video = start_camera(server, quick)
    if not camera:
        return None
    seconds = 2 if quick else 15
    result = {"recorders": RECORDERS, "seconds": seconds, "video": video}
    try:
        for name, run in (("direct", direct), ("cuframes", lambda *args: through(cuframes, *args))):
            say(f"bench: ten recordings, {name}")
            relay = Relay(port)
            try:
                result[name] = run(f"rtsp://127.0.0.1:{relay.port}/cam", directory, relay, seconds)
            finally:
                relay.stop()
    finally:
        camera.kill()
        camera.wait()
        camera.stdin.close()
        camera.stdout.close()
    return result
