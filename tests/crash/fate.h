/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one case of a crash matrix does to its victim, and what it looks like when it is done.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "harness/peer.h"

/* For how long a victim is stopped: longer than the timeouts of the others. */
#define STOPPED_MS 250

/* One case of the matrix. */
struct fate {
    const char *point;
    int nth;
    int signal;       /* SIGKILL or SIGSTOP */
    atomic_bool *end; /* shared: victims that live on are to come to an end */
};

/* Whether the victim has met its fate: it has been killed, or is stopped. Fails if it ended otherwise. */
bool has_met_fate(const struct test_peer *victim, int signal);
/* After a stop: goes on, and comes to a good end. After a kill: is gone. */
void bury(struct test_peer *victim, const struct fate *fate);
