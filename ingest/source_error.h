/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FFmpeg's errors in words that say what to do.
 */
#pragma once

#include "source.h"

/* Writes one line about `averror` into `text` and says whether trying again can help. */
enum source_verdict source_explain(const struct options *options, int averror, char *text,
                                   size_t size);
