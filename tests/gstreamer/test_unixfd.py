# SPDX-License-Identifier: LGPL-2.1-or-later
"""GStreamer's stock unixfdsrc and unixfdsink (1.24 and later) with `cuframes`, without our plug-in."""
import os
import signal
import time
import zlib

from gst_test import TIMEOUT_S, GstTest, has_element, main, picture_size

SIZE = picture_size("NV12", 64, 48)
BALL = "videotestsrc pattern=ball animation-mode=frames num-buffers=60"


class Stock(GstTest):
    def setUp(self):
        super().setUp()
        self.need_elements("unixfdsrc", "unixfdsink")
        # The stock elements are to do without ours.
        self.env.pop("GST_PLUGIN_PATH")
        self.socket = f"{self.dir}/gst"
        self.leftovers.add("gst")

    def offer(self, *args, key="cam"):
        process = self.start("unixfd", key, self.socket, *args)
        self.wait_for(lambda: process.poll() is not None or os.path.exists(self.socket), "a socket")
        return process

    def read(self, name, more="", options=()):
        return self.launch(f"unixfdsrc socket-path={self.socket} {more} ! filesink "
                           f"buffer-mode=unbuffered location={self.path(name)}", *options)

    def sums_of_source(self, *args, frames=60):
        """A source at an easy pace that begins when both its readers are there."""
        source = self.source("cam", "--fps", "100", "--frames", str(frames), "--policy", "wait",
                             "--ack-timeout-ms", "20000", "--wait-subscribers", "2", *args)
        return source, self.reader("cam")


class Out(Stock):
    def same_pictures(self, name, gst_name, clients=1):
        source, sums = self.sums_of_source("--format", name)
        offer = self.offer("--mode", "order", "--max-frames", "64", "--wait-clients", str(clients))
        readers = [self.read(f"raw{i}") for i in range(clients)]
        for process in (*readers, offer, sums, source):
            self.finish(process)
        expected = self.checksums(self.path("sums"))
        for i in range(clients):
            self.assertEqual(self.split(self.path(f"raw{i}"), picture_size(gst_name, 64, 48)),
                             [expected[k] for k in range(60)])

    def test_same_pictures(self):
        for name, gst_name in (("nv12", "NV12"), ("rgb", "RGB"), ("p010", "P010_10LE")):
            with self.subTest(format=name):
                self.same_pictures(name, gst_name)

    def test_eight_clients(self):
        self.same_pictures("nv12", "NV12", clients=8)

    def test_converted(self):
        """A pipeline of its own does with them what it does with pictures of a file."""
        source, sums = self.sums_of_source("--format", "yuv420p")
        offer = self.offer("--mode", "order", "--max-frames", "64", "--wait-clients", "1")
        reader = self.read("raw", "! videoconvert ! video/x-raw,format=RGB")
        for process in (reader, offer, sums, source):
            self.finish(process)
        self.assertEqual(len(self.split(self.path("raw"), picture_size("RGB", 64, 48))), 60)

    def shared_files(self, process, mapped=False):
        """Device and inode of the shared memory that a process has open, or has mapped for reading."""
        folder = f"/proc/{process.pid}/fd"
        if mapped:
            with open(f"/proc/{process.pid}/maps", encoding="utf-8") as file:
                lines = [line.split() for line in file if "/memfd:cuframes" in line]
            self.assertEqual({line[1] for line in lines} - {"r--s"}, set())
            return {(int(line[3].split(":")[0], 16), int(line[3].split(":")[1], 16), int(line[4]))
                    for line in lines}
        found = set()
        for name in os.listdir(folder):
            try:
                if "/memfd:cuframes" in os.readlink(f"{folder}/{name}"):
                    info = os.stat(f"{folder}/{name}")
                    found.add((os.major(info.st_dev), os.minor(info.st_dev), info.st_ino))
            except FileNotFoundError:
                pass
        return found

    def test_in_place(self):
        """What the reader has mapped is the very file that the publisher writes its frames into."""
        source = self.source("cam", "--fps", "50")
        offer = self.offer("--max-frames", "3")
        # A picture is mapped for as long as it is looked at: for ever, in a pipe that nobody empties.
        reader = self.launch(f"unixfdsrc socket-path={self.socket} ! fdsink fd=1")
        mapped = self.wait_for(lambda: self.shared_files(reader, mapped=True), "a map of the memory")
        self.assertLessEqual(mapped, self.shared_files(source))
        out, _ = self.end(offer)
        reader.communicate(timeout=TIMEOUT_S)
        self.end(source)
        self.assertIn(b" 0 copied", out)

    def test_new_size_in_mid_stream(self):
        source, sums = self.sums_of_source("--alternate-size", "32x32", "--alternate-every", "20")
        offer = self.offer("--mode", "order", "--max-frames", "64", "--wait-clients", "1")
        reader = self.launch(f"unixfdsrc socket-path={self.socket} ! multifilesink "
                             f"location={self.path('%d.raw')}")
        for process in (reader, offer, sums, source):
            self.finish(process)
        expected = self.checksums(self.path("sums"))
        small = picture_size("NV12", 32, 32)
        for i in range(60):
            size = small if 20 <= i < 40 else SIZE
            self.assertEqual(self.split(self.path(f"{i}.raw"), size), [expected[i]], f"frame {i}")

    def test_a_client_that_never_releases(self):
        """Its pipeline keeps all that it gets; the other gets every frame all the same."""
        source, sums = self.sums_of_source()
        offer = self.offer("--mode", "order", "--max-frames", "32", "--wait-clients", "2")
        keeper = self.launch(f"unixfdsrc socket-path={self.socket} ! queue max-size-buffers=200 "
                             "min-threshold-buffers=199 ! fakesink")
        reader = self.read("raw")
        for process in (reader, sums, source):
            self.finish(process)
        keeper.kill()
        keeper.communicate()
        out, err = self.finish(offer)
        self.assertIn(b"32 frames, all that it may have", err)
        self.assertIn(b" 28 missed by clients", out)
        expected = self.checksums(self.path("sums"))
        self.assertEqual(self.split(self.path("raw"), SIZE), [expected[i] for i in range(60)])

    def test_caps_and_times(self):
        source = self.source("cam", "--fps", "50")
        offer = self.offer()
        reader = self.launch(f"unixfdsrc socket-path={self.socket} num-buffers=20 ! videoconvert ! "
                             "identity silent=false ! fakesink sync=true", "-v")
        text = self.finish(reader)[0].decode()
        self.end(offer)
        self.end(source)
        self.assertIn("format=(string)NV12, width=(int)64, height=(int)48", text)
        self.assertIn("framerate=(fraction)50/1", text)
        times = [line.split("pts: ")[1].split(",")[0] for line in text.splitlines()
                 if "chain" in line]
        self.assertEqual(len(times), 20)
        self.assertEqual(times, sorted(set(times)))
        self.assertIn("duration: 0:00:00.020000000", text)

    def test_to_mp4(self):
        self.need_elements("x264enc", "mp4mux", "avdec_h264")
        source = self.source("cam", "--fps", "50", "--format", "yuv420p")
        offer = self.offer("--max-frames", "64")
        recorder = self.launch(f"unixfdsrc socket-path={self.socket} num-buffers=100 ! x264enc ! "
                               f"mp4mux ! filesink location={self.path('a.mp4')}")
        self.finish(recorder)
        self.end(offer)
        self.end(source)
        self.run_pipeline(f"filesrc location={self.path('a.mp4')} ! decodebin ! videoconvert ! "
                          "video/x-raw,format=NV12 ! filesink buffer-mode=unbuffered "
                          f"location={self.path('raw')}")
        self.assertEqual(len(self.split(self.path("raw"), SIZE)), 100)

    def test_a_stopped_client(self):
        """SIGSTOP for one: the others go on, and so does the publisher."""
        source = self.source("cam", "--fps", "100")
        offer = self.offer()
        stopped = self.read("stopped")
        reader = self.read("raw")
        self.wait_for(lambda: os.path.exists(self.path("stopped"))
                      and os.path.getsize(self.path("stopped")) > 5 * SIZE, "the first client")
        stopped.send_signal(signal.SIGSTOP)
        before = os.path.getsize(self.path("raw")) if os.path.exists(self.path("raw")) else 0
        self.wait_for(lambda: os.path.exists(self.path("raw"))
                      and os.path.getsize(self.path("raw")) - before > 50 * SIZE,
                      "50 frames for the other client")
        self.assertEqual(self.run_json("info", "cam", "--json")["dropped"], 0)
        stopped.send_signal(signal.SIGCONT)
        self.end(offer)
        # The stream is gone without an EOS: that is an error for unixfdsrc.
        for process in (stopped, reader):
            process.communicate(timeout=30)
        self.end(source)

    def test_killed_and_started_again(self):
        source = self.source("cam", "--fps", "100")
        offer = self.offer()
        for _ in range(5):
            reader = self.read("raw")
            time.sleep(0.2)
            reader.send_signal(signal.SIGKILL)
            reader.wait()
        reader = self.read("raw", "num-buffers=20")
        self.finish(reader)
        self.wait_for(lambda: self.run_json("info", "cam", "--json")["slots_held"] <= 1,
                      "the frames of the killed")
        self.end(offer)
        self.end(source)


class In(Stock):
    def test_same_pictures(self):
        caps = "video/x-raw,format=NV12,width=64,height=48,framerate=60/1"
        self.run_pipeline(f"{BALL} ! {caps} ! filesink location={self.path('expected')}")
        expected = self.split(self.path("expected"), SIZE)
        ingest = self.start("ingest", f"unixfd:{self.socket}", "--key", "cam", "--policy", "wait",
                            "--ack-timeout-ms", "20000", "--wait-subscribers", "1")
        sums = self.reader("cam", "--wait", "20")
        self.run_pipeline(f"{BALL} ! {caps} ! unixfdsink socket-path={self.socket} "
                          "wait-for-connection=true")
        self.finish(ingest)
        self.finish(sums)
        got = self.checksums(self.path("sums"))
        self.assertEqual([got[i] for i in range(60)], expected)

    def test_caps_change_in_mid_stream(self):
        first = "video/x-raw,format=NV12,width=64,height=48,framerate=60/1"
        second = "video/x-raw,format=RGB,width=32,height=32,framerate=60/1"
        both = (f"concat name=c {BALL} ! {first} ! c. {BALL} ! {second} ! c. c. ! ")
        self.run_pipeline(f"{both} filesink location={self.path('expected')}")
        with open(self.path("expected"), "rb") as file:
            data = file.read()
        small = picture_size("RGB", 32, 32)
        self.assertEqual(len(data), 60 * (SIZE + small))
        expected = [zlib.crc32(data[i * SIZE:][:SIZE]) for i in range(60)]
        expected += [zlib.crc32(data[60 * SIZE + i * small:][:small]) for i in range(60)]
        ingest = self.start("ingest", f"unixfd:{self.socket}", "--key", "cam", "--policy", "wait",
                            "--ack-timeout-ms", "20000", "--wait-subscribers", "1")
        sums = self.reader("cam", "--wait", "20")
        self.run_pipeline(f"{both} unixfdsink socket-path={self.socket} wait-for-connection=true")
        self.finish(ingest)
        self.finish(sums)
        self.assertEqual(list(self.checksums(self.path("sums")).values()), expected)

    def test_a_sink_killed_and_started_again(self):
        ingest = self.start("ingest", f"unixfd:{self.socket}", "--key", "cam")
        sums = self.reader("cam", "--wait", "20")
        sink = (f"{BALL.replace('60', '-1')} is-live=true ! video/x-raw,format=NV12,width=64,height=48,"
                f"framerate=100/1 ! unixfdsink socket-path={self.socket}")
        published = 0
        for _ in range(3):
            process = self.launch(sink)
            self.wait_for_channel("cam")
            self.wait_for(lambda: self.run_json("info", "cam", "--json")["published"] > published + 20,
                          "frames")
            process.kill()
            process.wait()
            os.unlink(self.socket)
            published = self.run_json("info", "cam", "--json")["published"]
        self.end(ingest)
        self.finish(sums)
        # Each frame is one of those that a pipeline without us gives.
        self.run_pipeline(f"{BALL.replace('60', '2000')} ! video/x-raw,format=NV12,width=64,height=48,"
                          f"framerate=100/1 ! filesink location={self.path('expected')}")
        got = list(self.checksums(self.path("sums")).values())
        self.assertGreater(len(got), 60)
        self.assertEqual(set(got) - set(self.split(self.path("expected"), SIZE)), set())

    def test_in_and_out(self):
        """unixfdsink, a channel, unixfdsrc: three processes of which one is ours."""
        ingest = self.start("ingest", f"unixfd:{self.socket}", "--key", "cam", "--no-reconnect")
        ingest.communicate(timeout=30)
        sink = self.launch("videotestsrc is-live=true ! video/x-raw,format=NV12,width=64,height=48,"
                           f"framerate=50/1 ! unixfdsink socket-path={self.socket}")
        self.wait_for(lambda: os.path.exists(self.socket), "the sink")
        ingest = self.start("ingest", f"unixfd:{self.socket}", "--key", "cam")
        self.wait_for_channel("cam")
        out = f"{self.dir}/out"
        offer = self.start("unixfd", "cam", out)
        self.wait_for(lambda: os.path.exists(out), "the offer")
        self.run_pipeline(f"unixfdsrc socket-path={out} num-buffers=30 ! videoconvert ! fakesink")
        self.end(offer)
        self.end(sink, number=signal.SIGINT)
        self.finish(ingest)


if __name__ == "__main__":
    if not has_element("unixfdsrc"):
        print("this GStreamer has no unixfdsrc: it came with 1.24")
        raise SystemExit(77)
    main()
