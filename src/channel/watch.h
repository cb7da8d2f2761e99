/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Being told when channels of a runtime directory come and go.
 */
#pragma once

#include <cuframes/discovery.h>

int cf_watch_create(const char *dir, cuframes_watch_t **watch);
void cf_watch_destroy(cuframes_watch_t *watch);
int cf_watch_fd(const cuframes_watch_t *watch);
/* WOULD_BLOCK with `deadline_ns` 0, else TIMEOUT; NOT_FOUND once the directory is gone and every
 * event has been given. */
int cf_watch_next(cuframes_watch_t *watch, cuframes_watch_event_t *event, int64_t deadline_ns);
