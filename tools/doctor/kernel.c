/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library asks of the kernel, tried on small objects that vanish with their descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "doctor/findings.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define SIZE  4096
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static const char subject[] = "kernel";

/* A sealed memfd with the writer's map; MAP_FAILED with errno if one of the steps fails. */
static void *sealed_memory(int *fd)
{
    void *writer;
    int file = memfd_create("cuframes-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (file < 0)
        return MAP_FAILED;
    writer = ftruncate(file, SIZE) == 0
                 ? mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                 : MAP_FAILED;
    if (writer != MAP_FAILED && fcntl(file, F_ADD_SEALS, SEALS) == 0) {
        *fd = file;
        return writer;
    }
    close(file);
    return MAP_FAILED;
}

static void examine_seals(struct findings *findings, int fd)
{
    void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED && errno == EPERM) {
        found_ok(findings, subject, "sealed memory: a reader cannot map it for writing");
        return;
    }
    if (map != MAP_FAILED)
        munmap(map, SIZE);
    found_failure(findings, subject, "do not share frames with readers that you do not trust",
                  "F_SEAL_FUTURE_WRITE is accepted and does not protect the memory");
}

static long futex_wait(const uint32_t *word, uint32_t expected, long timeout_ns)
{
    struct timespec timeout = {.tv_nsec = timeout_ns};

    return syscall(SYS_futex, word, FUTEX_WAIT, expected, &timeout, NULL, 0);
}

/* A reader sleeps on a word that it can only read. */
static void examine_futex(struct findings *findings, int fd)
{
    void *reader = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

    if (reader == MAP_FAILED) {
        found_failure(findings, subject, "allow mmap of a memfd in this sandbox",
                      "sealed memory cannot be mapped for reading: %s", strerror(errno));
        return;
    }
    if (futex_wait(reader, 0, 1000000) < 0 && errno == ETIMEDOUT)
        found_ok(findings, subject, "futex: a reader can sleep on read-only memory");
    else
        found_failure(findings, subject, "allow the futex system call in this sandbox",
                      "a futex wait on read-only memory fails: %s", strerror(errno));
    munmap(reader, SIZE);
}

static void examine_memory(struct findings *findings)
{
    int fd = -1;
    void *writer = sealed_memory(&fd);

    if (writer == MAP_FAILED) {
        found_failure(findings, subject,
                      "use Linux 5.1 or newer, and allow memfd_create in this sandbox",
                      "sealed shared memory cannot be made: %s", strerror(errno));
        return;
    }
    examine_seals(findings, fd);
    examine_futex(findings, fd);
    munmap(writer, SIZE);
    close(fd);
}

static void examine_noexec(struct findings *findings)
{
    int fd = memfd_create("cuframes-doctor", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    if (fd >= 0) {
        close(fd);
        found_ok(findings, subject, "MFD_NOEXEC_SEAL: shared memory can never be executed");
    } else if (errno == EINVAL) {
        found_ok(findings, subject, "no MFD_NOEXEC_SEAL (Linux 6.3); the library goes without it");
    } else {
        found_failure(findings, subject, "allow memfd_create in this sandbox",
                      "memfd_create with MFD_NOEXEC_SEAL fails: %s", strerror(errno));
    }
}

/* Sends a descriptor through a SEQPACKET pair, as an attach does. */
static bool pass_descriptor(int pair[2])
{
    char byte = 0;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    int received;

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(int));
    if (sendmsg(pair[0], &message, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        return false;
    if (recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1 ||
        message.msg_controllen < CMSG_LEN(sizeof(int)))
        return false;
    memcpy(&received, CMSG_DATA(&control.header), sizeof(int));
    close(received);
    return true;
}

static void examine_pidfd(struct findings *findings, int socket)
{
    socklen_t size = sizeof(int);
    int pidfd;

    if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) {
        close(pidfd);
        found_ok(findings, subject, "SO_PEERPIDFD: peers can be named across PID namespaces");
    } else {
        found_ok(findings, subject,
                 "no SO_PEERPIDFD (Linux 6.5); peers in other PID namespaces show as process 0");
    }
}

static void examine_sockets(struct findings *findings)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        found_failure(findings, subject, "allow AF_UNIX sockets in this sandbox",
                      "SOCK_SEQPACKET sockets cannot be made: %s", strerror(errno));
        return;
    }
    if (pass_descriptor(pair))
        found_ok(findings, subject, "descriptors can be passed over a socket");
    else
        found_failure(findings, subject, "allow SCM_RIGHTS in this sandbox",
                      "a descriptor cannot be passed over a socket: %s", strerror(errno));
    examine_pidfd(findings, pair[0]);
    close(pair[0]);
    close(pair[1]);
}

/* Watching the runtime directory. */
static void examine_inotify(struct findings *findings)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd >= 0) {
        close(fd);
        found_ok(findings, subject, "inotify: channels can be watched as they come and go");
    } else {
        found_warning(findings, subject, "raise fs.inotify.max_user_instances",
                      "inotify is not to be had, so channels cannot be watched: %s",
                      strerror(errno));
    }
}

void examine_kernel(struct findings *findings)
{
    struct utsname name;

    if (uname(&name) == 0)
        found_ok(findings, subject, "%s %s %s", name.sysname, name.release, name.machine);
    examine_memory(findings);
    examine_noexec(findings);
    examine_sockets(findings);
    examine_inotify(findings);
}
