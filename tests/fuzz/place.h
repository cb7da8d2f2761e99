/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A runtime directory of the target's own, with the socket of one key in it: made once, for all
 * inputs, because that costs more than an input.
 */
#pragma once

#include "script.h"
#include "wire/endpoint.h"

static char place_directory[64];
static struct cf_endpoint place = {.socket = -1};

static inline void place_remove(void)
{
    cf_endpoint_close(&place);
    rmdir(place_directory);
}

/* Listens on "cam.sock". */
static inline void place_take(void)
{
    const char *parent = getenv("TMPDIR");

    if (place.socket >= 0)
        return;
    snprintf(place_directory, sizeof(place_directory), "%s/cuframes-fuzz-XXXXXX",
             parent ? parent : "/tmp");
    FUZZ_REQUIRE(mkdtemp(place_directory));
    FUZZ_REQUIRE(cf_endpoint_listen(place_directory, "cam", 0600, NULL, &place) == 0);
    atexit(place_remove);
}

/* A connection that somebody has made; -1 = there is none. */
static inline int place_accept(void)
{
    return accept4(place.socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* Hangs up on everybody who waits to be let in. */
static inline void place_refuse(void)
{
    int socket;

    while ((socket = place_accept()) >= 0)
        close(socket);
}
