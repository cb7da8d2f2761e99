/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options by number, for those who ask which were given.
 */
#pragma once

enum option_id {
    OPT_INPUT = 256,
    OPT_KEY,
    OPT_URL_FILE,
    OPT_URL_ENV,
    OPT_INPUT_FORMAT,
    OPT_INPUT_OPTION,
    OPT_TRANSPORT,
    OPT_TIMEOUT,
    OPT_RECONNECT,
    OPT_NO_RECONNECT,
    OPT_REALTIME,
    OPT_LOOP,
    OPT_SIZE,
    OPT_FORMAT,
    OPT_FPS,
    OPT_OUTPUT,
    OPT_POLICY,
    OPT_ACK_TIMEOUT,
    OPT_SLOTS,
    OPT_THREADS,
    OPT_WAIT_SUBSCRIBERS,
    OPT_MEMORY,
    OPT_SOCKET_MODE,
    OPT_SOCKET_GROUP,
    OPT_ALLOW_USER,
    OPT_RUNTIME_DIR,
    OPT_STATS_INTERVAL,
    OPT_LOG,
    OPT_VERBOSE,
    OPT_DECODE,
    OPT_GPU,
    OPT_CUDA_DEVICE,
    OPT_ON_DEMAND_STOP,
    OPT_PACKET_RING,
    OPT_NO_PACKETS,
    OPT_PACKET_STREAMS,
    OPT_PACKET_KEEP,
    OPT_HELP
};

_Static_assert(OPT_HELP - OPT_INPUT < 64, "one bit each in options.given");
