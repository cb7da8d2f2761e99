/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public functions of version.h.
 */
#include <cuframes/version.h>

#include "base/clock.h"
#include "wire/message.h"

#define WORDS_OF(number) #number
#define TEXT(number)     WORDS_OF(number)

CUFRAMES_API const char *cuframes_version_string(void)
{
    return TEXT(CUFRAMES_VERSION_MAJOR) "." TEXT(CUFRAMES_VERSION_MINOR) "." TEXT(
        CUFRAMES_VERSION_PATCH);
}

CUFRAMES_API uint32_t cuframes_protocol_version(void)
{
    return CF_WIRE_VERSION;
}

CUFRAMES_API int64_t cuframes_now_ns(void)
{
    return cf_now_ns();
}
