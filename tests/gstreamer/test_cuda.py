# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Frames in GPU memory in pipelines with GStreamer's CUDA elements: the same pictures in every way to
them, and what is said of each way. Over the stand-in for the driver in $GST_CUDA, or without that on
the GPU of this machine, where those are tested too that need one.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import unittest
import zlib

from gst_test import GstTest, REGISTRY, SKIPPED, TIMEOUT_S, main, picture_size

FORMATS = {"nv12": "NV12", "yuv420p": "I420", "rgb": "RGB", "p010": "P010_10LE", "bgra": "BGRA"}
CUDA = "video/x-raw(memory:CUDAMemory)"
STAGED = "copied from GPU memory to host memory"
STANDIN = os.environ.get("GST_CUDA")
GPU = {"GST_REGISTRY": REGISTRY + "-cuda", **({"LD_LIBRARY_PATH": STANDIN} if STANDIN else {})}


class CudaTest(GstTest):
    def setUp(self):
        super().setUp()
        self.env.update(GPU)

    def waiting_source(self, frames, *args, readers=2):
        return self.source("cam", "--frames", str(frames), "--fps", "0", "--policy", "wait",
                           "--ack-timeout-ms", "20000", "--wait-subscribers", str(readers), *args)

    def to_file(self, elements):
        return f"{elements} ! filesink location={self.path('raw')}"

    def read(self, pipeline, *args, name="nv12", frames=20, memory="cuda", size=(64, 48)):
        """What a pipeline said that wrote the same pictures as another reader saw."""
        source = self.waiting_source(frames, "--format", name, "--memory", memory,
                                     "--size", "%dx%d" % size, *args)
        sums = self.reader("cam")
        text = self.run_pipeline(self.to_file(f"cuframessrc key=cam mode=order {pipeline}"), "-v")
        self.finish(sums)
        self.finish(source)
        expected = self.checksums(self.path("sums"))
        self.assertEqual(sorted(expected), list(range(frames)))
        self.assertEqual(self.split(self.path("raw"), picture_size(FORMATS[name], *size)),
                         [expected[i] for i in range(frames)])
        return text


class Source(CudaTest):
    def test_formats(self):
        for name in FORMATS:
            with self.subTest(format=name):
                text = self.read(f"! {CUDA} ! cudadownload ! video/x-raw", name=name)
                self.assertNotIn("copied", text)

    def test_rows_that_nobody_else_has(self):
        text = self.read("! cudadownload ! video/x-raw", size=(168, 58))
        self.assertIn("CUDAMemory", text)

    def test_the_cpu_looks_at_gpu_memory(self):
        text = self.read("memory=cuda", size=(512, 48))
        self.assertIn("src: caps = video/x-raw(memory:CUDAMemory)", text)

    def test_elements_that_name_host_memory_alone(self):
        text = self.read("! videoconvert ! video/x-raw,format=NV12")
        self.assertIn(STAGED, text)
        self.assertNotIn("CUDAMemory", text.replace("name memory:CUDAMemory", ""))

    def test_elements_that_take_anything_get_host_memory(self):
        self.assertIn(STAGED, self.read("! identity"))

    def test_host_memory_is_asked_for(self):
        self.assertIn("memory=host asks for that", self.read("memory=host"))

    def test_a_channel_in_host_memory_stays_there(self):
        text = self.read("! cudadownload ! video/x-raw", memory="host")
        self.assertNotIn("CUDAMemory", text)
        self.assertNotIn(STAGED, text)

    def test_the_gpu_reads_host_memory_in_place(self):
        text = self.read("memory=cuda ! cudadownload ! video/x-raw", memory="host")
        self.assertIn("src: caps = video/x-raw(memory:CUDAMemory)", text)
        self.assertNotIn("copied", text)

    def test_a_pipeline_that_keeps_everything(self):
        text = self.read("! queue max-size-buffers=100 min-threshold-buffers=40 ! cudadownload "
                         "! video/x-raw", "--slots", "6", frames=60)
        self.assertIn("keeps as many buffers", text)

    def test_new_size_in_mid_stream(self):
        source = self.waiting_source(30, "--memory", "cuda", "--size", "64x48", "--alternate-size",
                                     "32x32", "--alternate-every", "10", readers=1)
        self.run_pipeline(self.to_file("cuframessrc key=cam mode=order ! cudadownload ! "
                                       "video/x-raw"))
        self.finish(source)
        with open(self.path("raw"), "rb") as file:
            self.assertEqual(len(file.read()), 20 * picture_size("NV12", 64, 48) +
                             10 * picture_size("NV12", 32, 32))

    def test_grey_pictures_come_by_way_of_the_host(self):
        source = self.waiting_source(10, "--memory", "cuda", "--format", "grayscale", readers=1)
        text = self.run_pipeline(f"cuframessrc key=cam mode=order ! {CUDA};video/x-raw ! fakesink")
        self.finish(source)
        self.assertIn(STAGED, text)

    def test_over_a_descriptor(self):
        """A connection is all that the pipeline has of the channel."""
        source = self.waiting_source(20, "--memory", "cuda", "--size", "64x48")
        sums = self.reader("cam")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.connect(f"{self.dir}/cam.sock")
            pipeline = self.launch(self.to_file(f"cuframessrc fd={link.fileno()} mode=order ! {CUDA} "
                                                "! cudadownload ! video/x-raw"), "-v",
                                   pass_fds=[link.fileno()])
        text = self.finish(pipeline)[0].decode()
        self.finish(sums)
        self.finish(source)
        expected = self.checksums(self.path("sums"))
        self.assertEqual(self.split(self.path("raw"), picture_size("NV12", 64, 48)),
                         [expected[i] for i in range(20)])
        self.assertIn("src: caps = video/x-raw(memory:CUDAMemory)", text)
        self.assertNotIn("copied", text)

    def test_thousands_of_frames_leave_nothing(self):
        source = self.source("cam", "--memory", "cuda", "--size", "64x48", "--fps", "2000")
        self.run_pipeline(f"cuframessrc key=cam num-buffers=3000 ! {CUDA} ! queue ! cudadownload "
                          "! video/x-raw ! fakesink")
        self.wait_for(lambda: not self.readers("cam"), "the reader to be gone")
        info = self.start("info", "cam", "--json")
        self.assertEqual(json.loads(self.finish(info)[0])["slots_held"], 0)
        self.end(source)

    def test_the_publisher_is_killed(self):
        source = self.source("cam", "--memory", "cuda", "--size", "64x48")
        pipeline = self.launch(f"cuframessrc key=cam ! {CUDA} ! queue ! cudadownload ! video/x-raw "
                               "! fakesink")
        self.wait_for_reading("cam")
        source.kill()
        source.communicate(timeout=TIMEOUT_S)
        self.assertIn(b"Got EOS", self.finish(pipeline)[0])


@unittest.skipUnless(STANDIN, "machines as only the stand-in can be")
class Refusals(CudaTest):
    def test_no_driver(self):
        self.env.update(LD_LIBRARY_PATH="", GST_REGISTRY=REGISTRY, CUFRAMES_LIBCUDA="/nowhere.so")
        source = self.source("cam", "--size", "64x48")
        text = self.element_error("cuframessrc key=cam memory=cuda ! fakesink")
        self.end(source)
        self.assertIn("finds no NVIDIA driver", text)

    def test_a_gpu_that_is_not_there(self):
        source = self.source("cam", "--memory", "cuda", "--size", "64x48")
        text = self.element_error("cuframessrc key=cam memory=cuda cuda-device-id=7 ! fakesink")
        self.end(source)
        self.assertIn("No CUDA context could be made", text)

    def test_another_gpu_that_cannot_read_the_frames(self):
        self.env.update(STANDIN_DEVICES="2", STANDIN_PEERS="0")
        source = self.source("cam", "--memory", "cuda", "--size", "64x48")
        text = self.element_error("cuframessrc key=cam memory=cuda cuda-device-id=1 ! fakesink")
        self.end(source)
        self.assertIn("access", text)


class Sink(CudaTest):
    def memory(self, key):
        return json.loads(self.finish(self.start("info", key, "--json"))[0])["memory"]

    def publish(self, elements, name="NV12", frames=30):
        """What a pipeline said whose pictures a reader got as they came from the test source."""
        caps = f"video/x-raw,format={name},width=168,height=58,framerate=60/1"
        sums = self.start("sub", "cam", "--mode", "order", "--checksum", self.path("sums"))
        pipeline = self.launch(f"videotestsrc is-live=true num-buffers={frames} ! {caps} ! "
                               f"tee name=t ! queue ! filesink location={self.path('raw')} "
                               f"t. ! queue ! {elements} ! cuframessink key=cam policy=wait "
                               "ack-timeout=10000 sync=true")
        self.wait_for_reading("cam", 1)
        memory = self.memory("cam")
        out, err = self.finish(pipeline)
        self.finish(sums)
        self.assertEqual(memory, "cuda")
        seen = self.checksums(self.path("sums"))
        raw = self.split(self.path("raw"), picture_size(name, 168, 58))
        self.assertGreaterEqual(len(seen), 1)
        for seq, checksum in seen.items():
            self.assertEqual(checksum, raw[seq], seq)
        return (out + err).decode()

    def test_elements_write_into_slots(self):
        for name in ("NV12", "I420", "BGRA"):
            with self.subTest(format=name):
                self.assertNotIn("copied", self.publish(f"cudaupload ! {CUDA}", name))

    def test_memory_of_others_is_copied_once(self):
        # One that keeps more than it is lent.
        text = self.publish(f"cudaupload ! {CUDA} ! queue min-threshold-buffers=12")
        self.assertIn("Frames are copied", text)

    def test_from_channel_to_channel(self):
        # It goes on until the last reader has some: the second channel is there with the first frame.
        source = self.source("cam", "--fps", "100", "--policy", "wait", "--ack-timeout-ms", "20000",
                             "--wait-subscribers", "2", "--memory", "cuda", "--size", "64x48")
        sums = self.reader("cam", name="first")
        pipeline = self.launch(f"cuframessrc key=cam mode=order ! {CUDA} ! cuframessink key=copy "
                               "policy=wait ack-timeout=10000 sync=false")
        self.wait_for_channel("copy")
        copy = self.reader("copy", name="second")
        self.wait_for_reading("copy", 20)
        self.end(source)
        out, err = self.finish(pipeline)
        for process in (sums, copy):
            self.finish(process)
        self.assertIn("Frames are copied", (out + err).decode())
        first, second = self.checksums(self.path("first")), self.checksums(self.path("second"))
        self.assertTrue(second)
        for seq, checksum in second.items():
            self.assertEqual(checksum, first[seq])

    def test_the_next_pipeline_has_host_memory(self):
        """Readers that reconnect follow, both ways."""
        reader = self.start("sub", "cam", "--reconnect")
        caps = "video/x-raw,format=NV12,width=64,height=48,framerate=60/1"
        for memory, upload in (("cuda", f"! cudaupload ! {CUDA}"), ("host", "")):
            pipeline = self.launch(f"videotestsrc is-live=true ! {caps} {upload} ! "
                                   "cuframessink key=cam")
            self.wait_for_reading("cam", 1)
            self.assertEqual(self.memory("cam"), memory)
            self.end(pipeline, number=signal.SIGINT)
        self.end(reader)


@unittest.skipIf(STANDIN, "only a GPU runs kernels and decodes")
class OnGpu(CudaTest):
    def converter(self, elements, source, name):
        """A pipeline that writes what the GPU made of every frame of the channel."""
        return self.launch(f"cuframessrc key=cam mode=order {source} ! {CUDA} ! {elements} ! "
                           f"cudadownload ! video/x-raw ! filesink location={self.path(name)}")

    def test_kernels_read_frames_in_place(self):
        """Textures over frames of the channel give what those over GStreamer's own memory give."""
        for elements in (f"cudascale ! {CUDA},width=640,height=360",
                         f"cudaconvert ! {CUDA},format=RGBA"):
            with self.subTest(elements=elements):
                self.need_elements(elements.split()[0])
                source = self.waiting_source(30, "--memory", "cuda", "--size", "1280x720")
                here = self.converter(elements, "", "here")
                there = self.converter(elements, "memory=host ! cudaupload", "there")
                for process in (here, there, source):
                    self.finish(process)
                with open(self.path("here"), "rb") as one, open(self.path("there"), "rb") as other:
                    pictures = one.read()
                    self.assertGreater(len(pictures), 30 * 640 * 360)
                    self.assertEqual(zlib.crc32(pictures), zlib.crc32(other.read()))

    def test_kernels_write_into_slots(self):
        self.need_elements("cudaconvert")
        text = self.publish_converted()
        self.assertNotIn("copied", text)

    def publish_converted(self):
        reader = self.start("sub", "cam", "--checksum", self.path("sums"))
        text = self.run_pipeline("videotestsrc num-buffers=60 is-live=true ! video/x-raw,format=NV12,"
                                 f"width=1280,height=720 ! cudaupload ! cudaconvert ! {CUDA},format=BGRA ! "
                                 "cuframessink key=cam")
        self.finish(reader)
        self.assertTrue(self.checksums(self.path("sums")))
        return text

    def test_the_decoder_writes_into_slots(self):
        self.need_elements("nvh264dec")
        with open(os.environ["GST_CLIP"] + ".crc", encoding="ascii") as file:
            expected = [int(line.split(",")[-1], 16) for line in file if not line.startswith("#")]
        reader = self.start("sub", "cam", "--mode", "order", "--checksum", self.path("sums"))
        text = self.run_pipeline(f"filesrc location={os.environ['GST_CLIP']}.h264 ! h264parse ! "
                                 f"nvh264dec ! {CUDA} ! cuframessink key=cam policy=wait "
                                 "ack-timeout=10000")
        self.finish(reader)
        seen = self.checksums(self.path("sums"))
        print(text[-400:], len(seen), "pictures seen of", len(expected))
        self.assertGreaterEqual(len(seen), 50)
        for seq, checksum in seen.items():
            self.assertEqual(checksum, expected[seq], seq)

    def memory_used(self):
        return int(subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
                                  check=True, capture_output=True).stdout.split()[0])

    def test_memory_does_not_grow(self):
        source = self.source("cam", "--memory", "cuda", "--size", "1920x1080", "--fps", "0")
        pipeline = self.launch(f"cuframessrc key=cam num-buffers=40000 ! {CUDA} ! queue ! cudadownload "
                               "! video/x-raw ! fakesink sync=false")
        self.wait_for_reading("cam", 1000)
        before = self.memory_used()
        self.wait_for_reading("cam", 8000)
        after = self.memory_used()
        received = self.readers("cam")[0]["received"]
        self.end(pipeline, number=signal.SIGINT)
        self.end(source)
        print("GPU memory", before, "MiB, and", after, "MiB", received, "frames later")
        self.assertLessEqual(after, before + 8)


def have_cuda_elements():
    env = dict(os.environ, **GPU)
    return subprocess.run(["gst-inspect-1.0", "--exists", "cudaupload"], env=env,
                          stdout=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    if not have_cuda_elements():
        print("GStreamer's CUDA elements (its \"bad\" plug-ins) are not there", file=sys.stderr)
        sys.exit(SKIPPED)
    main()
