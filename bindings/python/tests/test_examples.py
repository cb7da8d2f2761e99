# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs of examples/python, as a user runs them."""
import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import cuframes

pytestmark = pytest.mark.usefixtures("frameworks")
EXAMPLES = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../../examples/python"))
LINE = re.compile(r"(\d+) 64x48 mean (\d+\.\d) age \d+\.\d+ ms(?: missed (\d+))?(?: (\{.*\}))?\n")


@pytest.fixture
def example():
    """Starts an example; those that still run at the end of the test are killed."""
    started = []

    def start(name, *args, before=()):
        program = subprocess.Popen(
            [*before, sys.executable, os.path.join(EXAMPLES, f"{name}.py"), *map(str, args)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # On a busy machine a reader may wait long enough to say so.
            env=dict(os.environ, PYTHONWARNINGS="ignore:waiting for a publisher"))
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()
        program.communicate()


def needs(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"no {module} here")


def interrupt(program):
    """Ctrl-C; the exit status. Nothing is said of it."""
    program.send_signal(signal.SIGINT)
    assert program.communicate(timeout=30)[1] == ""
    return program.returncode


def write(example, *args):
    writer = example("write", "--size", "64x48", "--fps", 100, *args)
    assert writer.stdout.readline() == "cam1: 64x48; Ctrl-C ends it\n"
    return writer


def read(example, *args, **wishes):
    """What a reader prints, as (sequence number, mean, missed frames, metadata)."""
    reader = example("read", "--timeout", 20, *args, **wishes)
    out, error = reader.communicate(timeout=30)
    assert (reader.returncode, error) == (0, "")
    lines = [LINE.fullmatch(line) for line in out.splitlines(keepends=True)]
    assert all(lines), out
    return [(int(line[1]), float(line[2]), int(line[3] or 0), line[4]) for line in lines]


def test_readers_come_and_go(example):
    writer = write(example)
    watching = [example("read") for _ in range(3)]
    for reader in watching:
        assert LINE.fullmatch(reader.stdout.readline())
    watching[0].kill()
    assert interrupt(watching[1]) == 0
    first, *others = read(example, "--count", 5, "--mode", "order")
    seq = first[0]
    for line in others:
        seq += 1 + line[2]
        assert line[0] == seq
    assert LINE.fullmatch(watching[2].stdout.readline())
    assert interrupt(writer) == 0 and cuframes.list() == []


def test_a_reader_waits_for_the_next_writer(example):
    reader = example("read")
    writer = write(example)
    assert LINE.fullmatch(reader.stdout.readline())
    writer.kill()
    writer.wait()
    write(example, "--count", 500)
    while int(LINE.fullmatch(reader.stdout.readline())[1]) > 100:
        pass
    assert interrupt(reader) == 0


def test_a_reader_in_namespaces_of_its_own(example, runtime_dir):
    """As the head of read.py says it: of the host it sees programs and the socket's folder."""
    isolated = ["bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs",
                "/run", "--unshare-all", "--ro-bind", runtime_dir, runtime_dir]
    if not shutil.which("bwrap") or subprocess.run([*isolated, "true"], stderr=-3).returncode:
        pytest.skip("no bwrap that works here")
    write(example)
    assert len(read(example, "--count", 3, before=isolated)) == 3


def test_a_video_file(example, tmp_path):
    needs("cv2")
    import cv2

    path = str(tmp_path / "film.avi")
    film = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for i in range(5):
        film.write(np.full((48, 64, 3), 40 * i, np.uint8))
    film.release()
    write(example, "--source", path)
    with cuframes.open("cam1", "order", timeout=20) as sub:
        # Twice the file and more, in the order of its pictures.
        for frame in sub:
            assert round(frame.bgr().mean() / 40) == frame.seq % 5
            if frame.seq > 12:
                break


def test_a_picture_there_and_back(example, tmp_path):
    needs("cv2", "PIL")
    import cv2

    picture = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "in.png"), picture)
    write(example, "--source", tmp_path / "in.png")
    read(example, "--save", tmp_path / "out.png")
    assert np.array_equal(cv2.imread(str(tmp_path / "out.png")), picture)


def test_the_detector_says_which_frame_its_boxes_are_of(example):
    needs("cv2")
    write(example)
    detector = example("detect", "--timeout", 20)
    found = []
    while not any(boxes for _, boxes in found):
        lines = read(example, "--key", "cam1-moving", "--count", 3)
        found = [ast.literal_eval(said) for *_, said in lines]
        found = [(said["seq"], said["boxes"]) for said in found]
    with cuframes.open("cam1", timeout=20) as camera, \
            cuframes.open("cam1-moving", timeout=20) as boxes:
        # Two pictures of the square are a step apart: the box is around both.
        frame = next(one for one in boxes if one.metadata["boxes"])
        x, y, width, height = frame.metadata["boxes"][0]
        assert 6 <= min(width, height) and 0 <= frame.metadata["seq"] <= next(camera).seq
        assert (frame.bgr()[y, x] == (0, 255, 0)).all()
    assert interrupt(detector) == 0


@pytest.mark.parametrize("name, args, sentence", [
    ("write", ["--source", "nowhere.mp4"], "write: there is no file nowhere.mp4"),
    ("write", ["--key", "no key"], "write: .*A-Z.*"),
    ("read", ["--timeout", 0.1], "read: no publisher of cam1 came in time.*"),
])
def test_what_goes_wrong_is_said_in_one_line(example, name, args, sentence):
    program = example(name, *args)
    assert re.fullmatch(sentence, program.communicate(timeout=30)[1].strip())
    assert program.returncode == 1


def torch_with_gpu():
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


@pytest.mark.parametrize("name", ["write_gpu", "read_gpu"])
def test_without_a_gpu_a_sentence_says_so(example, name):
    if torch_with_gpu():
        pytest.skip("there is a GPU")
    program = example(name)
    assert re.fullmatch(name + ": (this example needs PyTorch|PyTorch finds no GPU here); "
                        r"\w+\.py does the same in host memory\n",
                        program.communicate(timeout=60)[1])
    assert program.returncode == 1


@pytest.mark.time_limit(200)
def test_pictures_that_stay_on_the_gpu(example):
    if not torch_with_gpu():
        pytest.skip("no PyTorch with a GPU")
    writer = example("write_gpu", "--size", "64x48", "--fps", 20)
    assert writer.stdout.readline() == "gpu1: 64x48 on cuda:0; Ctrl-C ends it\n"
    reader = example("read_gpu", "--count", 5, "--timeout", 100)
    out, error = reader.communicate(timeout=150)
    assert reader.returncode == 0, error
    means = re.findall(r"\d+ \(48, 64, 4\) on cuda:0 mean (\d+\.\d) age", out)
    # Blue of 120, and a square of 6 x 6 in white.
    expected = (40 * (64 * 48 - 36) + 255 * 36) / (64 * 48)
    assert [float(mean) for mean in means] == [pytest.approx(expected, abs=0.1)] * 5
    assert interrupt(writer) == 0
