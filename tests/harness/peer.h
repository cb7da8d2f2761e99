/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Other processes of a test: spawned, spoken to, stopped, killed, joined.
 *
 * A peer is a fork of the test that has closed every descriptor but its end of a channel to the
 * test. The channel carries 64-bit words; waiting for one has a deadline. A peer dies with the
 * thread that spawned it (PR_SET_PDEATHSIG).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/isolation.h"

/* A process as seen from the other end of its channel. */
struct test_peer {
    pid_t pid;    /* to signal it */
    pid_t waiter; /* to wait for it: pid, or a process that stands between (isolation.h) */
    int channel;
};

typedef void (*test_peer_body)(struct test_peer *test, void *argument);

struct test_spawn_options {
    int keep_fd;                            /* 0 = none: a descriptor the peer keeps */
    const struct test_isolation *isolation; /* NULL = the test's own namespaces */
};

/* Starts a process that runs `body` and exits with 0. `options` may be NULL. */
void test_spawn(struct test_peer *peer, test_peer_body body, void *argument,
                const struct test_spawn_options *options);

/* Sends a word; fails the test if the other side is gone. */
void test_say(struct test_peer *peer, uint64_t word);
/* Waits for the other side's next word; fails if it ends or says nothing for ten seconds. */
uint64_t test_hear(struct test_peer *peer);
/* Waits for exactly this word. */
#define CHECK_HEAR(peer, word) CHECK_EQ(test_hear(peer), (uint64_t)(word))
/* Waits without a limit; false when the other side has closed the channel. */
bool test_hear_or_end(struct test_peer *peer, uint64_t *word);
/* Waits until the other side closes the channel: how a peer idles until it is killed or joined. */
void test_hear_end(struct test_peer *peer);

/* A descriptor over the channel, in place of a word. The sender keeps its own. */
void test_send_fd(struct test_peer *peer, int fd);
int test_receive_fd(struct test_peer *peer);

/* SIGKILL, and waits until it is gone. */
void test_kill(struct test_peer *peer);
/* SIGSTOP, and waits until it has stopped. */
void test_stop(struct test_peer *peer);
void test_continue(struct test_peer *peer);
/* Closes the channel, waits for the end, and fails unless it exited with 0. */
void test_join(struct test_peer *peer);
/* The same, but gives the status that waitpid() gave. */
int test_join_status(struct test_peer *peer);
