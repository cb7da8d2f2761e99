/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls that are hard to make fail, behind a table that tests replace to make them
 * fail once (tests/harness/fault.h). Production code never writes to it.
 */
#pragma once

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

struct cf_sys {
    int (*memfd_create)(const char *name, unsigned int flags);
    int (*fallocate)(int fd, int mode, off_t offset, off_t length);
    void *(*mmap)(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
    int (*add_seals)(int fd, int seals);
    int (*get_seals)(int fd);
    int (*eventfd)(unsigned int initial, int flags);
    int (*epoll_create1)(int flags);
    int (*epoll_ctl)(int epfd, int op, int fd, struct epoll_event *event);
    int (*socket)(int domain, int type, int protocol);
    int (*socketpair)(int domain, int type, int protocol, int sockets[2]);
    int (*bind)(int fd, const struct sockaddr *addr, socklen_t length);
    int (*listen)(int fd, int backlog);
    int (*connect)(int fd, const struct sockaddr *addr, socklen_t length);
    int (*accept4)(int fd, struct sockaddr *addr, socklen_t *length, int flags);
    ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
    ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
    void *(*calloc)(size_t count, size_t size);
};

extern struct cf_sys cf_sys;
