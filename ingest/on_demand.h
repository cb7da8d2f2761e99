/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoding only while somebody reads frames (--decode on-demand). The packets from the newest key
 * frame on are kept, so that decoding begins there and a subscriber gets a picture at once.
 *
 * It begins with decoding: the first picture makes the channel, which subscribers must find before
 * they can ask for frames. Main thread.
 */
#pragma once

#include "output.h"

/* A group of pictures that is longer is not kept: its subscribers wait for the next key frame. */
#define ON_DEMAND_PACKETS 1024
#define ON_DEMAND_BYTES   (64 << 20)

struct kept_packet {
    AVPacket *packet;
    struct stamp stamp;
};

struct on_demand {
    struct kept_packet kept[ON_DEMAND_PACKETS];
    size_t count, bytes;
    bool usable;          /* kept[0] is a key frame and nothing after it is missing */
    bool asked;           /* somebody read frames when we looked last */
    int64_t asked_at_ns;  /* when that was */
    int64_t look_next_ns; /* not before */
};

void on_demand_fini(struct on_demand *on_demand);

/* A packet of the video, in the order of the stream. */
void on_demand_keep(struct on_demand *on_demand, const AVPacket *packet, const struct stamp *stamp);
/* Forgets them: the next packet does not follow on. */
void on_demand_forget(struct on_demand *on_demand);

/* Whether there are to be frames now; `decoding` tells whether there were. */
bool on_demand_wanted(struct on_demand *on_demand, const struct output *output, bool decoding);
