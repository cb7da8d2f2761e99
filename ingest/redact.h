/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping passwords out of everything that is printed. Any thread after redact_remember().
 */
#pragma once

#include <stddef.h>

/*
 * Learns the secrets of a URL (its user name and password, as written and percent-decoded), so that
 * they are found in lines that do not show the whole URL too.
 */
void redact_remember(const char *url);

/*
 * Copies one line into `out` without secrets: what was remembered, the part before "@" of any URL,
 * values that look like passwords ("password=..."), and what follows "Authorization:".
 */
void redact_line(const char *line, char *out, size_t size);

/* Overwrites an argument of the process in place by its redacted form. */
void redact_argument(char *argument);
