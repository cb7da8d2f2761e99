/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fuzz targets of the two sides share: reading an input as a series of steps, and sending
 * records that are honest but for some changed bytes.
 */
#pragma once

#include <dirent.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "wire/connection.h"

/* The input, from which numbers are taken; 0 when it is used up. */
struct script {
    const uint8_t *at, *end;
};

static inline uint8_t take_byte(struct script *script)
{
    return script->at < script->end ? *script->at++ : 0;
}

static inline uint16_t take_word(struct script *script)
{
    uint16_t low = take_byte(script);

    return (uint16_t)(low | take_byte(script) << 8);
}

/* Changes up to seven bytes of `bytes`. */
static inline void scribble(struct script *script, void *bytes, size_t size)
{
    for (int changes = take_byte(script) % 8; changes > 0; changes--) {
        size_t at = take_word(script) % size;

        ((uint8_t *)bytes)[at] = take_byte(script);
    }
}

/* Most descriptors with one message, which is the kernel's own limit. */
#define MOST_SENT 253

/* Sends bytes and descriptors as they are; whether they get there is not looked at. */
static inline void send_raw(int socket, const uint8_t *bytes, size_t size, const int *fds,
                            size_t fd_count)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * MOST_SENT)];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    memset(&control, 0, sizeof(control));
    if (fd_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * fd_count);
    }
    (void)!sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * How many descriptors this process has: as many before as after, or something leaked. Pipes are left
 * out: neither the library nor a target makes one, and the sanitizers' runtime keeps two to a
 * program that names addresses, from the first time that it wants a name on.
 */
static inline int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    int count = 0;

    FUZZ_REQUIRE(directory);
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;

        count +=
            fstatat(dirfd(directory), entry->d_name, &status, 0) == 0 && !S_ISFIFO(status.st_mode);
    }
    closedir(directory);
    return count;
}

/* A descriptor to send that is nothing a peer expects. */
static inline int stray_descriptor(void)
{
    static int stray = -1;

    if (stray < 0)
        stray = eventfd(0, EFD_CLOEXEC);
    FUZZ_REQUIRE(stray >= 0);
    return stray;
}
