/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness/fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/sys.h"
#include "harness/harness.h"

static struct cf_sys real;
static atomic_uint calls[TEST_FAULT_COUNT];
static atomic_int armed_call = -1;
static atomic_uint armed_nth;
static atomic_int armed_errno;
static atomic_bool fired;

static const struct {
    const char *name;
    int errnum;
} kinds[TEST_FAULT_COUNT] = {
    [TEST_FAULT_MEMFD_CREATE] = {"memfd_create", EMFILE},
    [TEST_FAULT_FALLOCATE] = {"fallocate", ENOSPC},
    [TEST_FAULT_MMAP] = {"mmap", ENOMEM},
    [TEST_FAULT_ADD_SEALS] = {"add_seals", EPERM},
    [TEST_FAULT_GET_SEALS] = {"get_seals", EINVAL},
    [TEST_FAULT_EVENTFD] = {"eventfd", EMFILE},
    [TEST_FAULT_EPOLL_CREATE1] = {"epoll_create1", EMFILE},
    [TEST_FAULT_EPOLL_CTL] = {"epoll_ctl", ENOSPC},
    [TEST_FAULT_SOCKET] = {"socket", EMFILE},
    [TEST_FAULT_SOCKETPAIR] = {"socketpair", EMFILE},
    [TEST_FAULT_BIND] = {"bind", EACCES},
    [TEST_FAULT_LISTEN] = {"listen", EOPNOTSUPP},
    [TEST_FAULT_CONNECT] = {"connect", EACCES},
    [TEST_FAULT_ACCEPT4] = {"accept4", EMFILE},
    [TEST_FAULT_SENDMSG] = {"sendmsg", ENOBUFS},
    [TEST_FAULT_RECVMSG] = {"recvmsg", ENOMEM},
    [TEST_FAULT_CALLOC] = {"calloc", ENOMEM},
};

/* Counts a call; true if it shall fail, with errno set. */
static bool fails(enum test_fault call)
{
    unsigned n = atomic_fetch_add(&calls[call], 1) + 1;

    if (atomic_load(&armed_call) != (int)call || n != atomic_load(&armed_nth))
        return false;
    atomic_store(&fired, true);
    errno = atomic_load(&armed_errno);
    return true;
}

#define WRAP(kind, failure, type, name, parameters, arguments)                                     \
    static type fault_##name parameters                                                            \
    {                                                                                              \
        return fails(kind) ? (failure) : real.name arguments;                                      \
    }

WRAP(TEST_FAULT_MEMFD_CREATE, -1, int, memfd_create, (const char *n, unsigned f), (n, f))
WRAP(TEST_FAULT_FALLOCATE, -1, int, fallocate, (int fd, int m, off_t o, off_t l), (fd, m, o, l))
WRAP(TEST_FAULT_MMAP, MAP_FAILED, void *, mmap, (void *a, size_t l, int p, int f, int fd, off_t o),
     (a, l, p, f, fd, o))
WRAP(TEST_FAULT_ADD_SEALS, -1, int, add_seals, (int fd, int seals), (fd, seals))
WRAP(TEST_FAULT_GET_SEALS, -1, int, get_seals, (int fd), (fd))
WRAP(TEST_FAULT_EVENTFD, -1, int, eventfd, (unsigned n, int f), (n, f))
WRAP(TEST_FAULT_EPOLL_CREATE1, -1, int, epoll_create1, (int f), (f))
WRAP(TEST_FAULT_EPOLL_CTL, -1, int, epoll_ctl, (int e, int op, int fd, struct epoll_event *ev),
     (e, op, fd, ev))
WRAP(TEST_FAULT_SOCKET, -1, int, socket, (int d, int t, int p), (d, t, p))
WRAP(TEST_FAULT_SOCKETPAIR, -1, int, socketpair, (int d, int t, int p, int s[2]), (d, t, p, s))
WRAP(TEST_FAULT_BIND, -1, int, bind, (int fd, const struct sockaddr *a, socklen_t l), (fd, a, l))
WRAP(TEST_FAULT_LISTEN, -1, int, listen, (int fd, int backlog), (fd, backlog))
WRAP(TEST_FAULT_CONNECT, -1, int, connect, (int fd, const struct sockaddr *a, socklen_t l),
     (fd, a, l))
WRAP(TEST_FAULT_ACCEPT4, -1, int, accept4, (int fd, struct sockaddr *a, socklen_t *l, int f),
     (fd, a, l, f))
WRAP(TEST_FAULT_SENDMSG, -1, ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f))
WRAP(TEST_FAULT_RECVMSG, -1, ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f))
WRAP(TEST_FAULT_CALLOC, NULL, void *, calloc, (size_t c, size_t s), (c, s))

void test_fault_install(void)
{
    if (real.mmap)
        return;
    real = cf_sys;
    cf_sys = (struct cf_sys){
        .memfd_create = fault_memfd_create,
        .fallocate = fault_fallocate,
        .mmap = fault_mmap,
        .add_seals = fault_add_seals,
        .get_seals = fault_get_seals,
        .eventfd = fault_eventfd,
        .epoll_create1 = fault_epoll_create1,
        .epoll_ctl = fault_epoll_ctl,
        .socket = fault_socket,
        .socketpair = fault_socketpair,
        .bind = fault_bind,
        .listen = fault_listen,
        .connect = fault_connect,
        .accept4 = fault_accept4,
        .sendmsg = fault_sendmsg,
        .recvmsg = fault_recvmsg,
        .calloc = fault_calloc,
    };
    /* A call that the table has gained and this file has not would crash far from here. */
    for (size_t i = 0; i < sizeof(cf_sys) / sizeof(void *); i++)
        if (!((void **)&cf_sys)[i])
            FAIL("entry %zu of struct cf_sys has no wrapper in tests/harness/fault.c", i);
}

void test_fault_arm(enum test_fault call, unsigned nth, int errnum)
{
    atomic_store(&armed_call, -1);
    for (int i = 0; i < TEST_FAULT_COUNT; i++)
        atomic_store(&calls[i], 0);
    atomic_store(&fired, false);
    atomic_store(&armed_nth, nth);
    atomic_store(&armed_errno, errnum ? errnum : kinds[call].errnum);
    atomic_store(&armed_call, (int)call);
}

bool test_fault_disarm(void)
{
    atomic_store(&armed_call, -1);
    return atomic_load(&fired);
}

unsigned test_fault_calls(enum test_fault call)
{
    return atomic_load(&calls[call]);
}

const char *test_fault_name(enum test_fault call)
{
    return kinds[call].name;
}

int test_fault_usual_error(enum test_fault call)
{
    return kinds[call].errnum;
}
