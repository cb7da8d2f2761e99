/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Redaction by two means: secrets that are known are replaced wherever they stand; and what has
 * the shape of a secret is replaced in the lines of libraries that may show another form of it.
 * In doubt too much goes.
 */
#include "redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MASK        "***"
#define MAX_SECRETS 16
/* A shorter secret would blank out half of every line, and protects nothing. */
#define MIN_SECRET 3
#define LINE_SIZE  2048

static char *secrets[MAX_SECRETS];
static int secret_count;

static void remember(const char *text, size_t length)
{
    char *copy;

    if (length < MIN_SECRET || secret_count == MAX_SECRETS)
        return;
    copy = strndup(text, length);
    if (copy)
        secrets[secret_count++] = copy;
}

static int hex_digit(char c)
{
    if (isdigit((unsigned char)c))
        return c - '0';
    return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

static void remember_decoded(const char *text, size_t length)
{
    char decoded[LINE_SIZE];
    size_t used = 0;

    for (size_t i = 0; i < length && used < sizeof(decoded); i++) {
        bool escape = text[i] == '%' && i + 2 < length && hex_digit(text[i + 1]) >= 0 &&
                      hex_digit(text[i + 2]) >= 0;

        decoded[used++] =
            escape ? (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i];
        i += escape ? 2 : 0;
    }
    remember(decoded, used);
}

/*
 * The end of the user name and password that start at `authority`: the last "@" before the path,
 * or else (a password with an unescaped slash) the last "@" of the word. NULL if there is none.
 */
static const char *userinfo_end(const char *authority)
{
    size_t host = strcspn(authority, "/?# \t\"'");
    size_t word = strcspn(authority, " \t\"'\r\n");
    const char *colon = memchr(authority, ':', host);
    const char *at = memrchr(authority, '@', host);

    if (at)
        return at;
    /* "host:554/path@2x" looks the same; that it is hidden too does no harm. */
    return colon ? memrchr(authority, '@', word) : NULL;
}

void redact_remember(const char *url)
{
    const char *authority = strstr(url, "://");
    const char *end, *password;

    if (!authority)
        return;
    authority += 3;
    end = userinfo_end(authority);
    if (!end)
        return;
    remember(authority, (size_t)(end - authority));
    password = memchr(authority, ':', (size_t)(end - authority));
    if (password) {
        password++;
        remember(password, (size_t)(end - password));
        remember_decoded(password, (size_t)(end - password));
    }
}

/* A line that is being copied; it never overflows, the rest is left out. */
struct output {
    char *text;
    size_t used, size;
};

static void put(struct output *out, const char *text, size_t length)
{
    size_t room = out->size - 1 - out->used;

    if (length > room)
        length = room;
    memcpy(out->text + out->used, text, length);
    out->used += length;
    out->text[out->used] = '\0';
}

/* Bytes of the secret that starts at `text`, 0 if none does. */
static size_t known_secret(const char *text)
{
    size_t longest = 0;

    for (int i = 0; i < secret_count; i++) {
        size_t length = strlen(secrets[i]);

        if (length > longest && strncmp(text, secrets[i], length) == 0)
            longest = length;
    }
    return longest;
}

/* Bytes of the name and "=" or ":" of something like "password=" at `text`, 0 if it is none. */
static size_t password_name(const char *text)
{
    static const char *const names[] = {"password", "passwd", "passwort", "pwd",
                                        "pass",     "token",  "secret",   "auth"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(names[i]);

        if (strncasecmp(text, names[i], length) == 0 && text[length] == '=')
            return length + 1;
    }
    return 0;
}

void redact_line(const char *line, char *out, size_t size)
{
    struct output output = {.text = out, .size = size};
    size_t length;

    out[0] = '\0';
    while (*line) {
        if (strncmp(line, "://", 3) == 0 && userinfo_end(line + 3)) {
            put(&output, "://" MASK, strlen("://" MASK));
            line = userinfo_end(line + 3);
        } else if ((length = known_secret(line)) > 0) {
            put(&output, MASK, strlen(MASK));
            line += length;
        } else if ((length = password_name(line)) > 0) {
            put(&output, line, length);
            put(&output, MASK, strlen(MASK));
            line += length + strcspn(line + length, "& \t\"'\r\n");
        } else if (strncasecmp(line, "authorization:", 14) == 0) {
            put(&output, line, 14);
            put(&output, " " MASK, strlen(" " MASK));
            line += strcspn(line, "\r\n");
        } else {
            put(&output, line++, 1);
        }
    }
}

void redact_argument(char *argument)
{
    size_t length = strlen(argument);
    char *clean = malloc(length + 1);

    if (!clean) {
        memset(argument, 'x', length);
        return;
    }
    redact_line(argument, clean, length + 1);
    memset(argument, 0, length);
    memcpy(argument, clean, strlen(clean) + 1);
    free(clean);
}
