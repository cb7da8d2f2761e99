/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What may be a key and what may be a subscriber's name. Pure functions.
 */
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "wire/endpoint.h"

/* Not isalnum(): what a key is does not depend on the locale. */
static bool key_character(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool name_character(char c)
{
    return c > ' ' && c <= '~';
}

static int bad_character(const char *what, char c, size_t position, const char *rule)
{
    if (name_character(c))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the %s has '%c' at position %zu; it takes %s",
                       what, c, position, rule);
    return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                   "the %s has a byte 0x%02x at position %zu; it takes %s", what, (unsigned char)c,
                   position, rule);
}

static int check(const char *what, const char *text, size_t most, bool (*allowed)(char),
                 const char *rule)
{
    size_t length;

    if (!text)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the %s is NULL", what);
    length = strnlen(text, most + 1);
    if (length == 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the %s is empty", what);
    /* Before the length is judged, so that nothing unprintable gets into the sentence. */
    for (size_t i = 0; i < length; i++)
        if (!allowed(text[i]))
            return bad_character(what, text[i], i + 1, rule);
    if (length > most)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "the %s \"%.20s...\" is longer than %zu characters", what, text, most);
    return CUFRAMES_OK;
}

int cf_key_check(const char *key)
{
    return check("key", key, CUFRAMES_KEY_MAX, key_character, "1 to 63 of A-Z a-z 0-9 _ -");
}

int cf_name_check(const char *name)
{
    return check("consumer name", name, CUFRAMES_NAME_MAX, name_character,
                 "1 to 63 printable ASCII characters and no space");
}
