/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes cat --packets: the encoded stream for programs that know nothing of cuframes.
 */
#pragma once

#include "packet_feed.h"

/* What a Unix socket's name can have. */
#define PACKET_SERVER_PATH_MAX 107

struct cat_packets_settings {
    struct packet_feed_settings feed;
    const char *socket_path; /* NULL = standard output */
    double seconds;          /* 0 = no limit */
    double wait_s;
};

/* Until a limit, a signal, or the end of the channel. Returns the exit code. */
int cat_packets(const struct cat_packets_settings *settings);

/* The same to everybody who connects to the Unix socket (packet_server.c). */
int packet_server_run(const struct cat_packets_settings *settings);
