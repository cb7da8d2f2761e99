/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ranges of a message's fields, for the decoder alone.
 */
#pragma once

#include "wire/message.h"

/* CUFRAMES_OK, or PROTOCOL with a sentence that names the field. */
int cf_message_judge(const struct cf_message *message);
