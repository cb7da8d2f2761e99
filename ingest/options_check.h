/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the options of a command line fit together.
 */
#pragma once

#include "option_id.h"
#include "options.h"

/* False: it was said what does not fit. May change what would do harm, with a warning. */
bool options_check(struct options *options);
