/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hub of a group: a thread in one of its processes (the one that came first, or a host that is
 * no rank) to which every rank is connected, its own process's rank too. It gives out ranks, makes
 * the board, notices deaths, and passes descriptors round. It does nothing in a barrier or an
 * exchange of bytes.
 */
#pragma once

#include <stdint.h>

#include "wire/endpoint.h"

struct cf_hub;

/* Starts a hub for `size` ranks that takes `endpoint` over (NULL = none) and connections from
 * `fds` (`fd_count`, consumed also on failure). */
int cf_hub_create(uint32_t size, struct cf_endpoint *endpoint, int *fds, uint32_t fd_count,
                  struct cf_hub **hub);

/* Stops the thread and closes every connection. NULL is fine. In a process that forked off, frees
 * this side's copy. */
void cf_hub_destroy(struct cf_hub *hub);
