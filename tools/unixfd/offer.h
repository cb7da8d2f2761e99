/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clients of `cuframes unixfd`, and the frames that they have.
 *
 * Frames are shared: one hold of ours for all clients that have it, given back when the last has
 * released it. No client can make another wait: sending never blocks, each has at most its bound of
 * frames, and when all holds but one are in use a frame is copied instead of held. One thread.
 */
#pragma once

#include <poll.h>

#include <cuframes/cuframes.h>

#include "unixfd/protocol.h"

#define OFFER_MAX_CLIENTS 64
#define OFFER_MAX_FRAMES  64 /* most that one client can have */

struct offer_settings {
    int max_clients;
    int max_frames; /* most that one client may have at a time */
    bool copy;      /* every frame, for readers that do not heed offsets */
};

struct offer_stats {
    uint64_t frames;  /* taken from the channel */
    uint64_t sent;    /* to clients: one frame to two clients counts twice */
    uint64_t copied;  /* frames, once for all clients */
    uint64_t missed;  /* not sent: a client had its bound or did not read, or there was no copy */
    uint64_t clients; /* that ever came */
    uint64_t dropped; /* clients disconnected for what they sent */
};

struct offer;

/* NULL when out of memory. The settings are borrowed. */
struct offer *offer_new(const struct offer_settings *settings);
/* Disconnects everyone and gives everything back. NULL is fine. */
void offer_free(struct offer *offer);

int offer_client_count(const struct offer *offer);
const struct offer_stats *offer_stats(const struct offer *offer);

/* What to poll for: one for each client, at most OFFER_MAX_CLIENTS. Returns how many. */
int offer_poll(const struct offer *offer, struct pollfd *polls);
/* Deals with what poll() found. */
void offer_serve(struct offer *offer, const struct pollfd *polls, int count);
/* Takes a connected socket. */
void offer_add_client(struct offer *offer, int socket);

/*
 * Gives `frame` to every client that can take it; consumes it. `info` describes the channel.
 * `no_hold`: the subscriber has no hold to spare, so the frame is copied. CUFRAMES_OK or an error that ends the offer.
 */
int offer_frame(struct offer *offer, cuframes_frame_t *frame, const cuframes_channel_info_t *info,
                bool no_hold);
/* Tells everyone that the stream has ended. */
void offer_end(struct offer *offer);
/* Whether some client has frames that it has not released. */
bool offer_has_frames_out(const struct offer *offer);
