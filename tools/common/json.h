/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's structures as JSON, with the same names in every command that prints them.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include <cuframes/cuframes.h>

/* Words of the command line for the library's numbers; "?" for a number without one. */
const char *word_of_policy(cuframes_policy_t policy);
const char *word_of_mode(cuframes_subscriber_mode_t mode);
const char *word_of_memory(cuframes_memory_t memory);

/* Replaces control characters, which a stranger's name may hold, with '?'. In place. */
void make_printable(char *text);

/* A new string, with bytes that are no UTF-8 replaced. */
json_t *json_text(const char *text);
json_t *json_unsigned(uint64_t value);
/* null when `value` is CUFRAMES_NO_TIME. */
json_t *json_time(int64_t value);

/* An elementary stream, without its extradata. */
json_t *json_of_stream(const cuframes_stream_t *stream);
/* An object for a channel; `report` is borrowed. */
json_t *json_of_report(const cuframes_channel_report_t *report);

/* Prints `value` and a newline on stdout, on one line if `compact`. Consumes the reference. */
void json_print(json_t *value, bool compact);
