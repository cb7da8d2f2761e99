/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text of --help. The man pages say more.
 */
#include "help.h"

#include <stdio.h>
#include <string.h>

static const char ingest_usage[] =
    "Usage: cuframes ingest INPUT --key KEY [OPTION...]\n"
    "\n"
    "Opens a camera, a file or a device, decodes it once and shares the pictures as channel KEY.\n"
    "INPUT is a URL (rtsp://, http://, ...), a file, or a device (/dev/video0).\n";

static const char rtsp_source_usage[] =
    "Usage: cuframes-rtsp-source --rtsp URL --key KEY [OPTION...]\n"
    "\n"
    "Opens a camera, decodes it once and shares the pictures as channel KEY. This is the command\n"
    "\"cuframes ingest\" under its former name; every option of that works here too.\n"
    "\n"
    "  --rtsp URL             the camera (or a file)\n"
    "  --key KEY              name of the channel: A-Z a-z 0-9 _ -\n"
    "  --cuda-device N        the GPU that decodes, and whose memory is shared, where there is "
    "one\n"
    "  --ring N               slots for subscribers, 2 to 60 (default 8)\n"
    "  --realtime             play a file at its own speed\n"
    "  --loop                 start a file again at its end\n"
    "  --enable-packet-ring   share the packets too; the default, --no-packets turns it off\n"
    "  --policy drop|wait     go on without subscribers that are late (default), or wait for "
    "those\n"
    "                         that read in order\n"
    "  --ack-timeout-ms N     policy wait: evict a subscriber after N ms (default 200)\n"
    "  --scale WxH            scale the pictures\n"
    "  -v, --verbose          say more\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit code: 0 the file ended, or a signal did it; 1 failed; 2 wrong usage.\n";

static const char ingest_options[] =
    "\n"
    "Input\n"
    "  --url-file FILE        read the URL from the first line of FILE\n"
    "  --url-env VAR          read the URL from the environment variable VAR\n"
    "  --rtsp-transport T     tcp (default), udp, or auto: udp, and tcp where it fails\n"
    "  --timeout S            a connection without data for S seconds is lost (default 10)\n"
    "  --reconnect            try a lost live input again, for ever (default)\n"
    "  --no-reconnect         end with an error when a live input is lost\n"
    "  --realtime             play a file at its own speed\n"
    "  --loop                 start a file again at its end\n"
    "  --input-format F       name of the FFmpeg demuxer or device (v4l2, lavfi, ...)\n"
    "  --input-option N=V     option of that demuxer; can be given several times\n"
    "  --threads N            decoding threads; 0 (default) chooses\n"
    "  --decode WHO           auto (default): the GPU where it can, else the processor; nvdec; "
    "cpu;\n"
    "                         on-demand: only while somebody reads frames; off: packets alone\n"
    "  --gpu N|UUID           the GPU (default: the first)\n"
    "\n"
    "What is published\n"
    "  --key KEY              name of the channel: A-Z a-z 0-9 _ -\n"
    "  --size WxH             scale the pictures\n"
    "  --format F             convert them: nv12 yuv420p rgb bgr rgba bgra grayscale gray16 p010\n"
    "                         yuv444p\n"
    "  --fps N                publish at most N pictures a second\n"
    "  --on-demand-stop S     on-demand: stop S seconds after the last reader left (default 5)\n"
    "  --no-packets           share no packets\n"
    "  --enable-packet-ring   share packets (default)\n"
    "  --packet-streams WHICH all (default): video and sound; video: no sound\n"
    "  --packet-keep S        keep about S seconds of packets for late readers (default 10)\n"
    "  --output NAME=WxH[@FPS][,format=F][,memory=M]\n"
    "                         a further channel KEY-NAME of the same decoder, scaled; memory is\n"
    "                         host or cuda; can be given several times\n"
    "\n"
    "Subscribers\n"
    "  --slots N              slots for subscribers, on top of the decoder's (default 8)\n"
    "  --policy drop|wait     go on without subscribers that are late (default), or wait for "
    "those\n"
    "                         that read in order\n"
    "  --ack-timeout-ms N     policy wait: evict a subscriber after N ms (default 200)\n"
    "  --wait-subscribers N   publish nothing until N subscribers are there\n"
    "  --memory M             where frames are shared: host, cuda (GPU memory), or auto "
    "(default):\n"
    "                         where they are decoded\n"
    "  --socket-mode OCTAL    permissions of the channel's socket (default 600)\n"
    "  --socket-group GROUP   group of the channel's socket\n"
    "  --allow-user USER      a user that may subscribe, and nobody else (may be repeated)\n"
    "  --runtime-dir DIR      where the sockets are\n"
    "\n"
    "  --stats-interval S     print a line of figures every S seconds\n"
    "  --log LEVEL            error, warning, info (default) or debug\n"
    "  -v, --verbose          the same as --log debug\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit code: 0 the file ended, or a signal did it; 1 failed; 2 wrong usage.\n";

void help_print(const char *progname)
{
    if (strcmp(progname, "cuframes-rtsp-source") == 0) {
        fputs(rtsp_source_usage, stdout);
    } else {
        fputs(ingest_usage, stdout);
        fputs(ingest_options, stdout);
    }
}
