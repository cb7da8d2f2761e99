/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/sys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static int add_seals(int fd, int seals)
{
    return fcntl(fd, F_ADD_SEALS, seals);
}

static int get_seals(int fd)
{
    return fcntl(fd, F_GET_SEALS);
}

struct cf_sys cf_sys = {
    .memfd_create = memfd_create,
    .fallocate = fallocate,
    .mmap = mmap,
    .add_seals = add_seals,
    .get_seals = get_seals,
    .eventfd = eventfd,
    .epoll_create1 = epoll_create1,
    .epoll_ctl = epoll_ctl,
    .socket = socket,
    .socketpair = socketpair,
    .bind = bind,
    .listen = listen,
    .connect = connect,
    .accept4 = accept4,
    .sendmsg = sendmsg,
    .recvmsg = recvmsg,
    .calloc = calloc,
};
