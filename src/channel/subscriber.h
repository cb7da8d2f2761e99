/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscriber: its connection to a publisher (link), its mapping of a generation (view), and the
 * frames that the program holds.
 *
 * Lifetimes: a frame keeps its view, a view keeps its link and its subscriber. So a held frame
 * stays mapped and protected (the publisher heeds the holds of a connection while it is open)
 * until it is released, whatever else is destroyed before.
 *
 * Threads: one thread at a time calls next and what it needs, and one, perhaps another, the same
 * for packets; frames and packets are released from any. `lock` guards the connection, which both
 * readers work on: it is held while one of them looks at it or changes it, and let go of for every
 * wait. What is released from any thread is atomic.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <cuframes/subscriber.h>

#include "base/fork.h"
#include "base/shm.h"
#include "channel/packet_source.h"
#include "channel/release.h"
#include "memory/memory.h"
#include "ring/reader.h"
#include "wire/endpoint.h"
#include "wire/message.h"

/* A connection; its hang-up ends what this side holds. */
struct cf_link {
    atomic_uint refs;
    int socket;
    struct cf_fork_guard guard;
    pid_t pid; /* the publisher's, 0 when in another PID namespace */
};

/* One generation, mapped. Constant once made, but for the reference count. */
struct cf_view {
    atomic_uint refs;
    struct cf_link *link;
    cuframes_subscriber_t *subscriber;
    cuframes_channel_info_t info;
    uint64_t slot_stride, slot_offset;
    uint32_t max_holds; /* granted */
    struct cf_map control;
    struct cf_map page;
    struct cf_memory *memory;
    int frames_fd; /* of the frames' memory, for those who ask for it; else -1 */
    struct cf_ring_reader reader;
    /* Under the lock of the releases. */
    bool page_tried;
    cf_CUdeviceptr page_at; /* where the GPU sees the hold page; 0 = it does not */
};

struct cuframes_frame {
    cuframes_subscriber_t *subscriber;
    struct cf_view *view;
    struct cf_ring_hold hold;
    const void *data;
    uint32_t stage; /* CF_NO_STAGE: the frame is read where it is */
    uint64_t missed;
    uint64_t discontinuities; /* of the channel, up to this frame */
    uint64_t packet_seq;      /* with CUFRAMES_FRAME_PACKET */
    uint32_t flags;
    /* Read from shared memory once, checked, and used from here. */
    int64_t pts_ns;
    int64_t capture_ns;
    int64_t published_ns;
    cuframes_clock_source_t capture_source;
    cuframes_color_t color;
    cuframes_rect_t crop;
    uint32_t user_size;
};

enum cf_subscriber_state {
    CF_SUBSCRIBER_AWAY,      /* no connection */
    CF_SUBSCRIBER_ATTACHING, /* has asked, and waits for the answer */
    CF_SUBSCRIBER_ATTACHED,
};

struct cuframes_subscriber {
    atomic_uint refs; /* the program's, and one for each view */
    unsigned fork_count;

    /* What the program asked for. */
    char dir[CF_RUNTIME_DIR_SIZE];
    char key[CUFRAMES_KEY_MAX + 1];
    char name[CUFRAMES_NAME_MAX + 1]; /* asked for; empty = the publisher makes one up */
    char granted_name[CUFRAMES_NAME_MAX + 1];
    cuframes_subscriber_mode_t mode;
    uint32_t flags;
    uint32_t max_holds;
    uint32_t memory;
    int32_t device;
    struct cf_cuda *current_cuda; /* CUFRAMES_SUBSCRIBER_CURRENT_CONTEXT; else NULL */
    uint64_t every;
    int64_t interval_ns; /* of max_fps; 0 = no cap */

    pthread_mutex_t lock;
    /* The connection. */
    enum cf_subscriber_state state;
    bool refused;  /* the error that ended it was the publisher's own word */
    bool crowded;  /* somebody listens, but the queue of connections was full */
    bool leftover; /* lost by the reader of packets: frames that were announced can still be had */
    cuframes_channel_info_t info; /* of the view, or of a channel whose frames are not wanted */
    struct cf_link *link;         /* NULL when away */
    struct cf_view *view;         /* NULL until first attached */
    struct cf_view *next_view;    /* a newer generation, for when this one has been read; or NULL */
    int arrivals;                 /* inotify on the runtime directory while away; -1 = none */
    int wake_socket;              /* the publisher sends to it; -1 = none */
    int epoll;                    /* what cuframes_subscriber_fd() gives; -1 = none */

    /* Where it is in the channel. */
    uint64_t wanted;          /* sequence number it looks for next */
    bool any;                 /* the next frame is the first of an attachment: nothing was missed */
    uint32_t next_flags;      /* for the next frame */
    uint64_t discontinuities; /* of the channel, up to the frame given last */
    int64_t due_ns;           /* max_fps: when the next frame is due */
    int64_t spin_ns;          /* adaptive spin before sleeping */
    uint32_t sleeps;
    bool may_spin;

    atomic_bool interrupted;
    atomic_uint granted;
    atomic_uint access;           /* cuframes_access_t of the view */
    _Atomic uint64_t free_frames; /* bit i: frames[i] is free */
    _Atomic uint64_t received, missed, skipped, timeouts, reconnects, generations, dropped, staged;
    struct cf_subscriber_packets packets;
    struct cf_releases releases;
    struct cuframes_frame frames[CUFRAMES_MAX_SLOTS];
};

/* subscriber.c */
int cf_subscriber_create(const cuframes_subscriber_config_t *config,
                         cuframes_subscriber_t **subscriber);
int cf_subscriber_create_from_fd(const cuframes_subscriber_config_t *config, int fd,
                                 cuframes_subscriber_t **subscriber);
void cf_subscriber_destroy(cuframes_subscriber_t *subscriber);
int cf_subscriber_next(cuframes_subscriber_t *subscriber, cuframes_frame_t **frame,
                       int32_t timeout_ms);
/* Makes a next that runs, or else the next one, return WOULD_BLOCK within 50 ms. Any thread. */
void cf_subscriber_interrupt(cuframes_subscriber_t *subscriber);
void cf_subscriber_read_stats(cuframes_subscriber_t *subscriber,
                              cuframes_subscriber_stats_t *stats);
int cf_subscriber_read_info(cuframes_subscriber_t *subscriber, cuframes_channel_info_t *info);
/* The publisher is gone, or says what cannot be: drops the connection. What the program is told,
 * or CUFRAMES_OK to go on without it. Under the lock. */
int cf_subscriber_lose(cuframes_subscriber_t *subscriber, int err);
/* Not attached: one step towards that. OK = go on. Under the lock. */
int cf_subscriber_come_back(cuframes_subscriber_t *subscriber, int64_t deadline_ns);

/* attach.c: getting and losing a publisher. All under the lock, which those with a deadline let go
 * of while they wait; afterwards another thread may have changed the state. */

/* Moves from AWAY towards ATTACHED until `deadline_ns` (0 = without waiting). WOULD_BLOCK or
 * TIMEOUT when that was too short, else the publisher's refusal. */
int cf_attach(cuframes_subscriber_t *subscriber, int64_t deadline_ns);
/* Begins on a connection that exists; consumes it. */
int cf_attach_over(cuframes_subscriber_t *subscriber, int socket);
/* Takes what the publisher has sent: a new generation is mapped, an error is returned. Waits until
 * `deadline_ns` (0 = not at all: WOULD_BLOCK). */
int cf_attach_listen(cuframes_subscriber_t *subscriber, int64_t deadline_ns);
/* The same without letting go of the lock. */
int cf_attach_hear(cuframes_subscriber_t *subscriber, int64_t deadline_ns);
/* Keeps a descriptor in the one that the program polls, or takes it out. -1 is fine. */
void cf_attach_poll_add(const cuframes_subscriber_t *subscriber, int fd);
void cf_attach_poll_remove(const cuframes_subscriber_t *subscriber, int fd);
/* Goes over to `next_view`. */
void cf_attach_follow(cuframes_subscriber_t *subscriber);
/* Drops the connection; frames keep what they need of it. */
void cf_attach_lose(cuframes_subscriber_t *subscriber);
/* While away: has the arrival of a publisher told by the descriptor that the program polls. True
 * if that is new, and one that came before must be looked for. Not done before it is needed:
 * closing an inotify descriptor takes milliseconds. */
bool cf_attach_watch(cuframes_subscriber_t *subscriber);
/* While away: waits for something to happen in the runtime directory, at most until the deadline. */
void cf_attach_await(cuframes_subscriber_t *subscriber, int64_t deadline_ns);

/* connect.c: the first attachment, waited for as the configuration says. Under the lock. */
int cf_connect(cuframes_subscriber_t *subscriber, const cuframes_subscriber_config_t *config);
/* The same over a connection that exists; consumes it. */
int cf_connect_over(cuframes_subscriber_t *subscriber, const cuframes_subscriber_config_t *config,
                    int socket);

/* view.c */
struct cf_link *cf_link_new(int socket); /* consumes; NULL = out of memory */
struct cf_link *cf_link_ref(struct cf_link *link);
void cf_link_unref(struct cf_link *link);
/* Sends a message that the publisher waits for before it sends more. If it cannot be sent the
 * connection is ended, which the next look at it notices. */
void cf_link_answer(const struct cf_link *link, const struct cf_message *message);
/* Maps what came with ATTACHED or GENERATION. Consumes the descriptors of fds. */
int cf_view_create(cuframes_subscriber_t *subscriber, const struct cf_msg_attached *attached,
                   int *fds, size_t fd_count, struct cf_view **view);
struct cf_view *cf_view_ref(struct cf_view *view);
void cf_view_unref(struct cf_view *view);

/* frame.c */

/* Takes a frame object for `hold`; NULL when all are in use. */
cuframes_frame_t *cf_frame_take(cuframes_subscriber_t *subscriber, const struct cf_ring_hold *hold);
/* Gives the object back without the hold. */
void cf_frame_return(cuframes_frame_t *frame);
/* How many are in use. Any thread. */
uint32_t cf_frames_held(const cuframes_subscriber_t *subscriber);
/* Makes the picture readable: copies it, if that is the only way. */
int cf_frame_fetch(cuframes_frame_t *frame);
/* Reads and checks the frame's metadata: PROTOCOL if it cannot be. */
int cf_frame_read(cuframes_frame_t *frame);
void cf_subscriber_unref(cuframes_subscriber_t *subscriber);
