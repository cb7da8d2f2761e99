/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A publisher: the program's threads acquire and publish (publisher.c), one thread of the library
 * answers whoever connects (service.c), and both know the subscribers (clients.c).
 *
 * Lock: `lock` guards everything that both sides touch. It is held for table work and for the
 * announcement of a frame, never across a wait or a message. What only the service thread touches
 * needs no lock and is marked so.
 */
#pragma once

#include <pthread.h>

#include <cuframes/publisher.h>

#include "base/fork.h"
#include "base/log_limit.h"
#include "base/rate_limit.h"
#include "channel/completion.h"
#include "channel/external.h"
#include "channel/generation.h"
#include "channel/packets.h"
#include "wire/connection.h"
#include "wire/endpoint.h"

/* Connections that are not subscribers (asking, watching, or not having said yet what they want),
 * and how long one may say nothing. Reaching the limit closes the one that is silent longest. */
#define CF_MAX_VISITORS 256
#define CF_SILENCE_MS   2000
/* Announcements over which the frame rate is measured. */
#define CF_RATE_WINDOW 32

/* One hold page, shared by the client that it belongs to and by a thread that sleeps on it. */
struct cf_page {
    atomic_uint refs;
    struct cf_map map;
    int fd; /* -1 once it has been sent */
};

enum cf_client_role {
    CF_CLIENT_NEW, /* has not said what it wants */
    CF_CLIENT_WATCHER,
    CF_CLIENT_SUBSCRIBER,
};

/* A connection. Owned by the service thread. */
struct cf_client {
    struct cf_client *next;
    int socket;
    struct cf_fork_guard guard;
    struct cf_peer_credentials credentials;
    int64_t accepted_ns;
    bool handed_in; /* by the program, not through the socket's name */
    enum cf_client_role role;
    bool adopting;     /* was sent a generation and has not yet said that it mapped it */
    bool packets_only; /* a subscriber without frames: not in the table of peers */
    struct cf_packet_client packets;

    /* Subscribers only. Constant once attached. */
    char name[CUFRAMES_NAME_MAX + 1];
    cuframes_subscriber_mode_t mode;
    uint32_t max_holds;
    int wake_socket; /* this side's end of what it polls; -1 = none */
    int peer_socket; /* the other end, until it has been sent */
    /* Under the lock. */
    struct cf_page *page;
    bool attached;            /* is in the peer table */
    cuframes_access_t access; /* how it says that it reads the frames */
    int dismissed;            /* error that the service thread shall close it with */
    uint64_t block_mark;      /* see wait.c */
};

struct cuframes_publisher {
    atomic_uint refs; /* the program's, and one for each buffer in its hands */
    unsigned fork_count;
    char key[CUFRAMES_KEY_MAX + 1];
    uint32_t max_subscribers;
    struct cf_external *external; /* the program's own buffers; or NULL */
    struct cf_cuda *current_cuda; /* CUFRAMES_PUBLISHER_CURRENT_CONTEXT; else NULL */
    bool restricted;              /* only these users, and those who always may, connect by name */
    uint32_t allowed_count;
    uid_t allowed[CUFRAMES_MAX_ALLOWED_USERS];

    bool packets_only; /* made without frames: `current` is NULL */

    pthread_mutex_t lock;
    struct cf_generation *current; /* what subscribers read */
    struct cf_generation
        *prepared; /* what slots are acquired from, until its first frame; or NULL */
    uint32_t last_generation;
    bool paused;                /* the frames that there are go to nobody who attaches now */
    cuframes_buffer_t *plain;   /* slot of the acquire and publish pair */
    struct cf_ring_peers peers; /* attached subscribers, as the ring needs them */
    struct cf_client *clients[CUFRAMES_MAX_SUBSCRIBERS]; /* the same, at the same index */
    /* NULL = no packet ring; set once, under the lock. */
    struct cf_packets *_Atomic packets;
    struct cf_packet_peers packet_peers;                        /* who reads packets */
    struct cf_client *packet_clients[CUFRAMES_MAX_SUBSCRIBERS]; /* who does, or will */
    uint32_t packet_client_count;
    uint32_t waiters;          /* threads that sleep in acquire or publish */
    _Atomic uint32_t progress; /* futex word: +1 for what happens here that they may wait for */
    uint64_t last_block_mark;
    cuframes_publisher_stats_t stats;
    int64_t announced_ns[CF_RATE_WINDOW];
    int *added_fds; /* connections handed in, not yet taken by the service thread */
    uint32_t added_count;
    bool stopping;
    struct cf_completion completion;
    int failed; /* the error that has ended the channel, and in words */
    char failure[CF_WIRE_TEXT_SIZE];

    /* The service thread's alone, once it runs. */
    pthread_t service;
    bool service_runs;
    struct cf_endpoint endpoint; /* socket -1 = none */
    struct cf_fork_guard endpoint_guard;
    int epoll;
    int kick;     /* eventfd: the program's threads have left work in the fields above */
    int spare_fd; /* given up to accept and refuse a connection when descriptors run out */
    struct cf_client *all_clients;
    uint32_t visitors;
    uint32_t names_made;
    struct cf_log_limit refusals;
    struct cf_rate_limit arrivals;
    bool crowded; /* nobody is let in until `arrivals` allows it */
    struct cf_log_limit crowds;
};

/* publisher.c */
void cf_publisher_unref(cuframes_publisher_t *publisher);
/* `external` is NULL, or consumed, also on failure. */
int cf_publisher_create(const cuframes_publisher_config_t *config, struct cf_external *external,
                        cuframes_publisher_t **publisher);
void cf_publisher_destroy(cuframes_publisher_t *publisher);
/* What slots are acquired from; under the lock. */
struct cf_generation *cf_publisher_source(const cuframes_publisher_t *publisher);
int cf_publisher_acquire(cuframes_publisher_t *publisher, cuframes_buffer_t **buffer);
/* Under the lock: that very slot of the current generation, or WOULD_BLOCK. */
int cf_publisher_acquire_slot(cuframes_publisher_t *publisher, uint32_t slot,
                              cuframes_buffer_t **buffer);
int cf_publisher_publish(cuframes_publisher_t *publisher, cuframes_buffer_t *buffer, void *stream,
                         const cuframes_frame_meta_t *meta, uint64_t *seq);
int cf_publisher_reconfigure(cuframes_publisher_t *publisher,
                             const cuframes_publisher_config_t *config);
/* The acquire and publish pair, which has one slot of its own. */
int cf_publisher_acquire_plain(cuframes_publisher_t *publisher, void **ptr);
int cf_publisher_publish_plain(cuframes_publisher_t *publisher, void *stream,
                               const cuframes_frame_meta_t *meta);
void cf_buffer_unref(cuframes_buffer_t *buffer);
/* Under the lock: makes a newer generation the current one; announces a buffer of it. */
void cf_publisher_switch(cuframes_publisher_t *publisher, struct cf_generation *generation);
uint64_t cf_publisher_announce(cuframes_publisher_t *publisher, cuframes_buffer_t *buffer,
                               const cuframes_frame_meta_t *meta);
/* The service thread's, or after its end. */
void cf_publisher_close_endpoint(cuframes_publisher_t *publisher);
int cf_publisher_add_client(cuframes_publisher_t *publisher, int fd);
/* Under the lock. */
void cf_publisher_read_stats(cuframes_publisher_t *publisher, cuframes_publisher_stats_t *stats);
cuframes_channel_info_t cf_publisher_read_info(const cuframes_publisher_t *publisher);

/* wait.c: the wait policy. All under the lock, which the first two let go of while they sleep. */

/* Finds a slot after cf_writer_acquire() found none: waits, and evicts who is in the way for too
 * long. TOO_MANY if the program has them all, TIMEOUT if streams take that long,
 * INTERRUPTED. */
int cf_wait_for_slot(cuframes_publisher_t *publisher, struct cf_generation **generation,
                     uint32_t *slot);
/* Records that the program has every slot in its own hands. */
int cf_no_own_slot(void);
/* Before a new generation takes the current one's place: whether some in-order subscriber has not
 * been sent the current one, whose frames it would lose. Waits for a moment if so, and then `*again`
 * is set; `deadline` (0 at first) is when it is evicted. INTERRUPTED if the program ends the wait. */
int cf_wait_for_followers(cuframes_publisher_t *publisher, int64_t *deadline, bool *again);
/* Before the channel closes, and not under the lock: the same for the newest generation, except
 * that nobody is evicted and that the wait is a second at most. */
void cf_wait_for_last_followers(cuframes_publisher_t *publisher);
/* Wakes those who wait. */
void cf_wait_progress(cuframes_publisher_t *publisher);

/* arrivals.c */
void cf_arrivals_init(cuframes_publisher_t *publisher);
/* Whether another connection may be taken; each is to be counted in `arrivals`. If not, the listening
 * socket is left alone until cf_arrivals_due() says otherwise. */
bool cf_arrivals_may(cuframes_publisher_t *publisher);
/* Goes on when it is time. Returns when to look again, or CF_NEVER. */
int64_t cf_arrivals_due(cuframes_publisher_t *publisher);

/* clients.c; all under the lock but the making of what is new. */
int cf_page_create(uint64_t cursor, struct cf_page **page);
struct cf_page *cf_page_ref(struct cf_page *page);
void cf_page_unref(struct cf_page *page);
struct cf_hold_page *cf_page_holds(const struct cf_page *page);
/*
 * What a subscriber polls to learn of news: a pair of sockets, of which it gets one end. Not an
 * eventfd: whether writing to that blocks is a property of the eventfd that the subscriber could
 * change, and it could fill it.
 */
int cf_wake_socket_make(int *own, int *peer);
/* How many subscribers there are, of frames and of packets alone. */
uint32_t cf_clients_count(const cuframes_publisher_t *publisher);
/* The same without those who read packets alone and cannot yet: they have asked for none, or have
 * no answer. What is published now is lost on them if the channel closes next. */
uint32_t cf_clients_count_ready(const cuframes_publisher_t *publisher);
bool cf_clients_has_name(const cuframes_publisher_t *publisher, const char *name);
/* Describes the first `capacity` of them, and returns how many there are. */
uint32_t cf_clients_list(const cuframes_publisher_t *publisher, cuframes_subscriber_info_t *list,
                         uint32_t capacity);
/* Puts a client with a page into the table. */
void cf_clients_attach(cuframes_publisher_t *publisher, struct cf_client *client);
/* Takes it out, and tells its page why, if `error` is one: its holds protect nothing from then
 * on. Not attached is fine. */
void cf_clients_detach(cuframes_publisher_t *publisher, struct cf_client *client, int error);
/* Detaches, and leaves it to the service thread to tell the peer and close. */
void cf_clients_dismiss(cuframes_publisher_t *publisher, struct cf_client *client, int error);
/* When no slot is to be had: dismisses who holds more frames than it was granted. True if a slot may
 * be free now: somebody was dismissed, or holds changed under the look. */
bool cf_clients_check_claims(cuframes_publisher_t *publisher);
/* Gives every subscriber a page for a new generation; dismisses those for whom there is none. */
void cf_clients_renew_pages(cuframes_publisher_t *publisher, uint64_t first_seq);

/* admit.c: makes a client a subscriber in the tables, under the lock; or the error to refuse it with,
 * and why. */
int cf_client_admit(cuframes_publisher_t *publisher, struct cf_client *client,
                    const struct cf_msg_attach *wanted, char *why, size_t size);
/* Takes the lock: see cuframes_publisher_pause(). */
void cf_publisher_pause(cuframes_publisher_t *publisher);

/* admission.c */

/* Whether the peer may be here: PERMISSION if not. One that the program handed in may. */
int cf_admission_check(cuframes_publisher_t *publisher, struct cf_client *client);

/* report.c */

/* Answers a question; fails only for lack of memory. */
int cf_report_send(cuframes_publisher_t *publisher, struct cf_client *client);

/* service.c */

int cf_service_start(cuframes_publisher_t *publisher);
/* Stops the thread. */
void cf_service_stop(cuframes_publisher_t *publisher);
/* Closes every connection; the thread has stopped. */
void cf_service_close(cuframes_publisher_t *publisher);
/* Makes the service thread look at the shared fields. Any thread. */
void cf_service_kick(cuframes_publisher_t *publisher);
/* Frees what the service owned in a process that forked off, where its thread does not run. */
void cf_service_abandon(cuframes_publisher_t *publisher);
