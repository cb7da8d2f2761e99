# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The two sides of GStreamer's unixfd protocol, as docs/unixfd.md describes it, made of nothing but
Python's sockets: to be right, and to be wrong on purpose.
"""
import array
import collections
import os
import socket
import struct
import time
import zlib

NEW_BUFFER, RELEASE_BUFFER, CAPS, EOS = range(4)
NO_TIME = (1 << 64) - 1
DISCONT = 1 << 6
NV12 = 23
LIMIT_S = 20

Buffer = collections.namedtuple(
    "Buffer", "id pts dts duration offset offset_end flags type memories metas fds")


def message(command, payload=b""):
    return struct.pack("=II", command, len(payload)) + payload


def release_message(number):
    return message(RELEASE_BUFFER, struct.pack("=Q", number))


def meta(name, payload, version=0):
    name = name.encode()
    head = struct.pack("<II", 10 + len(name) + len(payload), len(name))
    return head + name + b"\0" + bytes([version]) + payload


def video_meta(width, height, offsets, strides, number=NV12):
    planes = len(offsets)
    return meta("GstVideoMeta",
                struct.pack("<iiIII", 0, number, width, height, planes)
                + struct.pack(f"<{planes}Q", *offsets) + struct.pack(f"<{planes}i", *strides)
                + bytes(16 + 4 * planes))


def time_meta(capture_ns, caps=b"timestamp/x-unix\0"):
    return meta("GstReferenceTimestampMeta", struct.pack("<QQ", capture_ns, NO_TIME) + caps)


def buffer_payload(number, memories, metas=(), pts=NO_TIME, flags=0, kind=0):
    head = struct.pack("=QQQQQQIBBH", number, pts, NO_TIME, NO_TIME, NO_TIME, NO_TIME, flags, kind,
                       len(memories), len(metas))
    return head + b"".join(struct.pack("=QQ", *m) for m in memories) + b"".join(metas)


def caps_text(width, height, name="NV12", more=""):
    return (f"video/x-raw, format=(string){name}, width=(int){width}, height=(int){height}, "
            f"framerate=(fraction)30/1{more}")


def memfd(data):
    fd = os.memfd_create("picture")
    os.write(fd, data)
    return fd


def parse_metas(data, count):
    metas = {}
    for _ in range(count):
        total, length = struct.unpack_from("<II", data)
        name = data[8:8 + length].decode()
        metas[name] = data[10 + length:total]
        data = data[total:]
    assert not data, "bytes behind the last meta"
    return metas


def parse_buffer(payload, fds):
    fields = struct.unpack_from("=QQQQQQIBBH", payload)
    memory_count, meta_count = fields[8], fields[9]
    memories = [struct.unpack_from("=QQ", payload, 56 + 16 * i) for i in range(memory_count)]
    metas = parse_metas(payload[56 + 16 * memory_count:], meta_count)
    assert len(fds) == memory_count
    return Buffer(*fields[:8], memories, metas, fds)


class Closed(Exception):
    pass


class Connection:
    """One end; reads whole messages with their descriptors."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(LIMIT_S)

    def close(self):
        self.sock.close()

    def send(self, data, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], control)

    def _receive(self, size, fds):
        data = b""
        while len(data) < size:
            try:
                part, control, _, _ = self.sock.recvmsg(size - len(data), socket.CMSG_SPACE(64))
            except ConnectionResetError:
                raise Closed() from None
            for _, _, rights in control:
                fds.frombytes(rights)
            if not part:
                raise Closed()
            data += part
        return data

    def receive(self):
        fds = array.array("i")
        command, size = struct.unpack("=II", self._receive(8, fds))
        payload = self._receive(size, fds) if size else b""
        return command, payload, list(fds)

    def is_closed(self):
        """Whether the other side hangs up, within the time of a test."""
        try:
            while True:
                self.receive()
        except Closed:
            return True
        except TimeoutError:
            return False


class Client(Connection):
    """What a unixfdsrc is to `cuframes unixfd`."""

    def __init__(self, path):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                sock.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        super().__init__(sock)
        self.caps = None

    def next(self):
        """The next buffer; None at the end of the stream. Caps are kept on the way."""
        while True:
            command, payload, fds = self.receive()
            if command == NEW_BUFFER:
                return parse_buffer(payload, fds)
            if command == CAPS:
                assert payload.endswith(b"\0")
                self.caps = payload[:-1].decode()
            elif command == EOS:
                return None

    def bytes_of(self, buffer):
        return b"".join(os.pread(fd, size, offset)
                        for fd, (size, offset) in zip(buffer.fds, buffer.memories))

    def release(self, buffer):
        for fd in buffer.fds:
            os.close(fd)
        self.send(release_message(buffer.id))

    def checksum(self, buffer):
        return zlib.crc32(self.bytes_of(buffer))


class Sink:
    """What a unixfdsink is to `cuframes ingest unixfd:`."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(4)
        self.listener.settimeout(LIMIT_S)

    def accept(self):
        return Connection(self.listener.accept()[0])

    def close(self):
        self.listener.close()


def send_caps(connection, text):
    connection.send(message(CAPS, text.encode() + b"\0"))


def send_picture(connection, number, data, **more):
    """A buffer of one memory; waits until it is given back."""
    fd = memfd(data)
    connection.send(message(NEW_BUFFER, buffer_payload(number, [(len(data), 0)], **more)), [fd])
    os.close(fd)
    command, payload, _ = connection.receive()
    assert command == RELEASE_BUFFER and struct.unpack("=Q", payload)[0] == number
