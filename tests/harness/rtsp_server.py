#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A camera for tests and demonstrations: a real RTSP server with a moving test picture.

It prints `READY rtsp://...` once it accepts connections. With --control it takes one command a
line on standard input and answers each with one line:

  drop            close every client's connection
  resize WxH      change the picture's size in mid-stream (new parameters in band)
  stall on|off    stop and go on sending pictures; connections stay open
  refuse on|off   answer 404 to whoever asks for the stream
  clients         `CLIENTS now total`
  quit            end

Needs gst-rtsp-server, its Python bindings and the GStreamer plug-ins of --codec. Exit code 77
says that something of that is missing.
"""

import argparse
import os
import signal
import sys

MISSING = 77

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer
except (ImportError, ValueError) as error:
    print(f"rtsp_server: {error}; install python3-gi, gir1.2-gst-rtsp-server-1.0", file=sys.stderr)
    sys.exit(MISSING)

# For each codec: the plug-in that must be there, the encoder with its options, the payloader.
CODECS = {
    "h264": (
        "x264enc",
        # One slice a picture: the payloader puts the parameters before each slice of a key picture.
        "x264enc tune=zerolatency speed-preset=ultrafast threads=1 sliced-threads=false"
        " bitrate={bitrate} key-int-max={gop}",
        "h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1",
    ),
    "h265": (
        "x265enc",
        "x265enc tune=zerolatency speed-preset=ultrafast bitrate={bitrate} key-int-max={gop}",
        "h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1",
    ),
    "mjpeg": ("jpegenc", "jpegenc quality=85", "rtpjpegpay name=pay0 pt=26"),
}

# The same for sound.
SOUNDS = {
    "alaw": ("alawenc", "alawenc ! rtppcmapay name=pay1 pt=8"),
    "opus": ("opusenc", "opusenc ! rtpopuspay name=pay1 pt=97"),
}


def parse_size(text):
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not WIDTHxHEIGHT") from None
    if not (16 <= width <= 7680 and 16 <= height <= 4320):
        raise argparse.ArgumentTypeError(f"{text} is not between 16x16 and 7680x4320")
    return width, height


def caps_string(size, fps):
    return f"video/x-raw,format=I420,width={size[0]},height={size[1]},framerate={fps}/1"


def launch_line(options):
    _, encoder, payloader = CODECS[options.codec]
    parts = [
        f"videotestsrc is-live=true pattern={options.pattern} horizontal-speed=4",
        f"capsfilter name=size caps={caps_string(options.size, options.fps)}",
    ]
    if options.clock:
        parts += [
            'clockoverlay time-format="%H:%M:%S" halignment=left valignment=top font-desc="Sans 28"',
            'timeoverlay halignment=right valignment=bottom font-desc="Sans 28"',
        ]
    parts += [
        "valve name=valve",
        encoder.format(bitrate=options.bitrate, gop=options.gop or options.fps * 2),
        payloader,
    ]
    if options.audio:
        return ("( " + " ! ".join(parts) + " audiotestsrc is-live=true ! audioconvert ! audioresample ! "
                + SOUNDS[options.audio][1] + " )")
    return "( " + " ! ".join(parts) + " )"


class Factory(GstRtspServer.RTSPMediaFactory):
    """One pipeline, shared by all clients; its named elements are the camera's knobs."""

    def __init__(self, options):
        super().__init__()
        self.options = options
        self.media = None
        self.set_shared(True)
        self.set_launch(launch_line(options))
        self.connect("media-configure", self.on_configure)

    def on_configure(self, _factory, media):
        media.connect("unprepared", self.on_unprepared)
        self.media = media
        self.resize(self.options.size)

    def on_unprepared(self, media):
        if self.media is media:
            self.media = None

    def element(self, name):
        return self.media.get_element().get_by_name(name) if self.media else None

    def resize(self, size):
        self.options.size = size
        element = self.element("size")
        if element:
            element.set_property("caps", Gst.Caps.from_string(caps_string(size, self.options.fps)))

    def stall(self, stalled):
        element = self.element("valve")
        if element:
            element.set_property("drop", stalled)


class Camera:
    def __init__(self, options):
        self.options = options
        self.loop = GLib.MainLoop()
        self.clients = 0
        self.total = 0
        self.pending = ""
        self.factory = Factory(options)
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address(options.address)
        self.server.set_service(str(options.port))
        self.server.connect("client-connected", self.on_client)
        if options.user:
            self.require_password()
        self.refuse(False)

    def require_password(self):
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        basic = GstRtspServer.RTSPAuth.make_basic(self.options.user, self.options.password)
        auth.add_basic(basic, token)
        self.server.set_auth(auth)
        rights = ",".join(f"{right}=(boolean)true" for right in (
            GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS,
            GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT))
        self.factory.add_role_from_structure(Gst.Structure.from_string(f"viewer,{rights}")[0])

    def on_client(self, _server, client):
        self.clients += 1
        self.total += 1
        client.connect("closed", self.on_closed)

    def on_closed(self, _client):
        self.clients -= 1

    def refuse(self, refused):
        mounts = self.server.get_mount_points()
        if refused:
            mounts.remove_factory(self.options.path)
        else:
            mounts.add_factory(self.options.path, self.factory)

    def drop(self):
        remove = GstRtspServer.RTSPFilterResult.REMOVE
        self.server.client_filter(lambda _server, _client: remove)

    def command(self, line):
        words = line.split()
        verb, argument = (words + ["", ""])[:2]
        if verb == "drop":
            self.drop()
        elif verb == "resize":
            self.factory.resize(parse_size(argument))
        elif verb in ("stall", "refuse") and argument in ("on", "off"):
            getattr(self.factory if verb == "stall" else self, verb)(argument == "on")
        elif verb == "clients":
            return f"CLIENTS {self.clients} {self.total}"
        elif verb == "quit":
            self.loop.quit()
        else:
            return f"ERROR no command '{line.strip()}'"
        return "OK"

    def on_input(self, descriptor, _condition):
        # Not readline(): lines that wait in its buffer would not wake the main loop.
        data = os.read(descriptor, 4096)
        if not data:
            self.loop.quit()
            return False
        *lines, self.pending = (self.pending + data.decode(errors="replace")).split("\n")
        for line in lines:
            try:
                answer = self.command(line)
            except argparse.ArgumentTypeError as error:
                answer = f"ERROR {error}"
            print(answer, flush=True)
        return True

    def run(self):
        if self.server.attach(None) == 0:
            print(f"rtsp_server: cannot listen on {self.options.address}:{self.options.port}",
                  file=sys.stderr)
            return 1
        for signum in (signal.SIGTERM, signal.SIGINT):
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, signum, self.loop.quit)
        if self.options.control:
            GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT,
                              GLib.IOCondition.IN | GLib.IOCondition.HUP, self.on_input)
        print(f"READY rtsp://{self.options.address}:{self.server.get_bound_port()}"
              f"{self.options.path}", flush=True)
        self.loop.run()
        self.drop()
        return 0


def parse_arguments():
    parser = argparse.ArgumentParser(description="An RTSP camera with a test picture.")
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 picks a free one")
    parser.add_argument("--path", default="/cam", help="path of the stream (%(default)s)")
    parser.add_argument("--size", type=parse_size, default=(1280, 720), metavar="WxH")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--codec", choices=sorted(CODECS), default="h264")
    parser.add_argument("--audio", choices=sorted(SOUNDS), help="with a tone (default: no sound)")
    parser.add_argument("--gop", type=int, default=0,
                        help="pictures from key to key; 0 = two seconds of them")
    parser.add_argument("--bitrate", type=int, default=2000, help="kbit a second (%(default)s)")
    parser.add_argument("--pattern", default="smpte", help="pattern of videotestsrc (%(default)s)")
    parser.add_argument("--clock", action="store_true", help="draw the time of day into the picture")
    parser.add_argument("--user", help="ask for this name and --password (basic authentication)")
    parser.add_argument("--password", default="")
    parser.add_argument("--control", action="store_true", help="take commands on standard input")
    options = parser.parse_args()
    if not 1 <= options.fps <= 240:
        parser.error("--fps is not between 1 and 240")
    if not options.path.startswith("/"):
        parser.error("--path must start with a slash")
    return options


def missing_plugins(options):
    names = ["videotestsrc", "valve", CODECS[options.codec][0]]
    if options.audio:
        names += ["audiotestsrc", SOUNDS[options.audio][0]]
    if options.clock:
        names += ["clockoverlay", "timeoverlay"]
    return [name for name in names if not Gst.ElementFactory.find(name)]


def main():
    options = parse_arguments()
    Gst.init(None)
    missing = missing_plugins(options)
    if missing:
        print(f"rtsp_server: GStreamer has no {', '.join(missing)}; install gstreamer1.0-plugins-base,"
              " -good, -bad, -ugly and gstreamer1.0-x", file=sys.stderr)
        return MISSING
    return Camera(options).run()


if __name__ == "__main__":
    sys.exit(main())
