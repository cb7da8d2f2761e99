# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/python.md: its programs run, and it names everything that is public."""
import dataclasses
import enum
import importlib.util
import pathlib
import re
import signal
import threading

import numpy as np
import pytest

import cuframes

pytestmark = pytest.mark.usefixtures("frameworks")
ROOT = pathlib.Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "python.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
REFERENCE = TEXT[TEXT.index("\n## Reference"):]


def has_gpu():
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


class Feed:
    """Publishes cam1 and cam2, with the encoded stream, until it is told to end."""

    def __init__(self, encoded, device):
        self.pubs = [cuframes.Publisher(key, 64, 48, "nv12", fps=100, device=device)
                     for key in ("cam1", "cam2")]
        for pub in self.pubs:
            pub.enable_packets([cuframes.Stream(codec_name="mjpeg", width=64, height=48)])
        self.encoded, self.over, self.read = encoded, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        value = 0
        while not self.over.wait(0.01):
            value += 1
            for pub in self.pubs:
                if self.encoded:
                    pub.send_packet(self.encoded, pts=value / 100,
                                    flags=cuframes.PacketFlags.KEY)
                pub.send(np.full((72, 64), value % 200, np.uint8))
                if any(reader["received"] > 3 for reader in pub.subscribers()):
                    self.read.set()

    def end(self):
        self.over.set()
        self.thread.join()
        for pub in self.pubs:
            pub.close()


class Enough(BaseException):
    """Ends a program that loops for ever."""


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_programs_run(number, capsys):
    program = PROGRAMS[number]
    for module in re.findall(r"^import (\w+)|\.(to_av)\(", program, re.M):
        module = module[0] or "av"
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"no {module} here")
    on_gpu = "torch" in program
    if on_gpu and not has_gpu():
        pytest.skip("no GPU here")
    encoded = None
    if importlib.util.find_spec("cv2"):
        import cv2

        encoded = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    elif "packets" in program:
        pytest.skip("no OpenCV here to make JPEGs")
    feed = Feed(encoded, "cuda:0" if on_gpu else "cpu")
    code = compile(program, f"program {number} of docs/python.md", "exec")

    said = []

    def look(*_):
        """Ends a program that has read frames and printed lines."""
        said.append(capsys.readouterr().out)
        prints = "print(" in program
        if "".join(said).count("\n") > 3 if prints else feed.read.is_set():
            raise Enough

    before = signal.signal(signal.SIGALRM, look)
    for_ever = "for frame in" in program or "for packet in" in program
    if for_ever:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        exec(code, {"__name__": "__main__"})
        ended = True
    except Enough:
        ended = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        feed.end()
    assert ended != for_ever


def public_names():
    for name in ["open", "list", *cuframes.__all__]:
        yield name, name
        thing = getattr(cuframes, name)
        if not isinstance(thing, type) or issubclass(thing, BaseException):
            continue
        members = {member for one in thing.__mro__ if one.__module__.startswith("cuframes")
                   for member in vars(one) if not member.startswith("_")}
        if dataclasses.is_dataclass(thing):
            members |= {field.name for field in dataclasses.fields(thing)}
        if issubclass(thing, enum.Enum):
            members |= set(thing.__members__)
        for member in members:
            yield f"{name}.{member}", member


def test_the_reference_names_everything():
    missing = [where for where, name in public_names()
               if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", REFERENCE)
               and not (name.startswith("Cuframes") and f"`{name}`" in TEXT)]
    assert missing == []


def test_what_it_names_is_there():
    known = {name for _, name in public_names()}
    for heading, owner in (("Frame", cuframes.Frame), ("Subscriber", cuframes.Subscriber),
                           ("Publisher", cuframes.Publisher), ("Buffer", cuframes.Buffer),
                           ("Plane", cuframes.Plane)):
        part = REFERENCE[REFERENCE.index(f"\n### {heading}\n"):]
        part = part[:part.index("\n### ", 1)]
        for names in re.findall(r"^\| (`.*?) \|", part, re.M):
            for name in re.findall(r"`(\w+)", names):
                assert name == "buf" or hasattr(owner, name) or name in known, f"{heading}.{name}"


def test_its_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / link).exists(), link
    headings = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
                for heading in re.findall(r"^##+ (.*)$", TEXT, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings
