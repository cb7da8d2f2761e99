/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Figures for people: the status line on a terminal, a line at intervals, a summary at the end.
 * Main thread.
 */
#pragma once

#include "output.h"
#include "packets.h"

struct status {
    int64_t next_tick_ns, next_line_ns;
    int64_t last_ns;
    uint64_t last_published;
};

/* Shows what is due. Cheap enough for every packet. */
void status_tick(struct status *status, const struct output *output);

void status_summary(const struct output *output);
void status_packets(const struct packets *packets);
