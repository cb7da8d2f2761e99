/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking from outside: which keys have a socket, and what a channel says of itself. Nothing here
 * keeps state; any thread.
 */
#pragma once

#include <stdbool.h>

#include <cuframes/discovery.h>

/* Most keys that a directory is taken to have; more is TOO_MANY, not a shorter list. */
#define CF_MAX_KEYS 4096

/* The key whose socket is called `name` ("<key>.sock") into `key`; false if it is not such a name. */
bool cf_socket_name_key(const char *name, char key[CUFRAMES_KEY_MAX + 1]);

/* The sorted keys that have a socket in `dir`. No directory: an empty list. */
int cf_list(const char *dir, cuframes_key_list_t **list);
/* NULL is fine. */
void cf_key_list_free(cuframes_key_list_t *list);

/* What the publisher of `key` says, by `deadline_ns`. */
int cf_query(const char *dir, const char *key, int64_t deadline_ns,
             cuframes_channel_report_t **report);
/* NULL is fine. */
void cf_report_free(cuframes_channel_report_t *report);
