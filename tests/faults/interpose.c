/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "interpose.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum call {
#define CALL(type, name, parameters, arguments, failure) CALL_##name,
#define OTHER(name)                                      CALL_##name,
#define ERROR(name, errnum)
#include "interpose.def"
#undef CALL
#undef OTHER
#undef ERROR
    CALL_COUNT
};

static const struct {
    enum call call;
    const char *name;
    int errnum;
} faults[] = {
#define CALL(type, name, parameters, arguments, failure)
#define OTHER(name)
#define ERROR(name, errnum) {CALL_##name, #name, errnum},
#include "interpose.def"
#undef CALL
#undef OTHER
#undef ERROR
};

/* The call that fails, or none; how many of its kind pass before. Negative: it has happened. */
static atomic_int armed = -1;
static atomic_int left;
static atomic_int armed_errno;
static atomic_uint made[CALL_COUNT];
static atomic_long live_blocks;

unsigned interpose_faults(void)
{
    return sizeof(faults) / sizeof(faults[0]);
}

const char *interpose_call(unsigned fault)
{
    return faults[fault].name;
}

int interpose_errno(unsigned fault)
{
    return faults[fault].errnum;
}

void interpose_arm(unsigned fault, unsigned nth)
{
    atomic_store(&left, (int)nth);
    atomic_store(&armed_errno, faults[fault].errnum);
    atomic_store(&armed, (int)faults[fault].call);
}

bool interpose_disarm(void)
{
    atomic_store(&armed, -1);
    return atomic_load(&left) <= 0;
}

unsigned interpose_calls(unsigned fault)
{
    return atomic_load(&made[faults[fault].call]);
}

long interpose_live_blocks(void)
{
    return atomic_load(&live_blocks);
}

static bool fails(enum call call)
{
    atomic_fetch_add(&made[call], 1);
    if (atomic_load(&armed) != (int)call || atomic_fetch_sub(&left, 1) != 1)
        return false;
    errno = atomic_load(&armed_errno);
    return true;
}

#define CALL(type, name, parameters, arguments, failure)                                           \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails(CALL_##name) ? (failure) : __real_##name arguments;                           \
    }
#define OTHER(name)
#define ERROR(name, errnum)
/* The prototypes are the ones that the linker's names need. */
#include "interpose.def"
#undef CALL
#undef OTHER
#undef ERROR

/* ---- memory ---- */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    void *block = fails(CALL_calloc) ? NULL : __real_calloc(count, size);

    if (block)
        atomic_fetch_add(&live_blocks, 1);
    return block;
}

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
    void *grown = fails(CALL_realloc) ? NULL : __real_realloc(block, size);

    if (grown && !block)
        atomic_fetch_add(&live_blocks, 1);
    return grown;
}

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
    if (block)
        atomic_fetch_sub(&live_blocks, 1);
    __real_free(block);
}

/* ---- calls with their own ways ---- */

/* The descriptor is gone also when the call fails. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    bool failing = fails(CALL_close);
    int errnum = errno;
    int result = __real_close(fd);

    if (failing)
        errno = errnum;
    return failing ? -1 : result;
}

/* Has no room for a descriptor, so that dlerror() says what it would say. */
void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags)
{
    struct rlimit before, none;
    void *library;

    if (!fails(CALL_dlopen))
        return __real_dlopen(name, flags);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    library = __real_dlopen(name, flags);
    setrlimit(RLIMIT_NOFILE, &before);
    return library;
}

int __real_fcntl64(int fd, int command, long argument);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
    va_list arguments;
    long argument;

    va_start(arguments, command);
    argument = va_arg(arguments, long);
    va_end(arguments);
    return fails(CALL_fcntl64) ? -1 : __real_fcntl64(fd, command, argument);
}

int __real_getgrnam_r(const char *name, struct group *group, char *buffer, size_t size,
                      struct group **found);
int __wrap_getgrnam_r(const char *name, struct group *group, char *buffer, size_t size,
                      struct group **found);
int __wrap_getgrnam_r(const char *name, struct group *group, char *buffer, size_t size,
                      struct group **found)
{
    if (!fails(CALL_getgrnam_r))
        return __real_getgrnam_r(name, group, buffer, size, found);
    *found = NULL;
    return errno;
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return fails(CALL_open64) ? -1 : __real_open64(path, flags, mode);
}

int __real_openat64(int dir, const char *path, int flags, mode_t mode);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return fails(CALL_openat64) ? -1 : __real_openat64(dir, path, flags, mode);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    if (fails(CALL_pthread_create))
        return errno;
    return __real_pthread_create(thread, attributes, start, argument);
}

/* Adding to an eventfd that does not block needs no room. */
ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    if ((size != sizeof(uint64_t) || atomic_load(&armed_errno) == EINTR) && fails(CALL_write))
        return -1;
    return __real_write(fd, bytes, size);
}

/* Futexes. A wake-up cannot fail; FUTEX_WAIT knows EINTR, futex_waitv() also a sandbox's refusal. */
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    va_list arguments;
    long a[6];
    bool waits;

    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    waits = number != SYS_futex || (a[1] & FUTEX_CMD_MASK) != FUTEX_WAKE;
    if (waits && (number != SYS_futex || atomic_load(&armed_errno) == EINTR) && fails(CALL_syscall))
        return -1;
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
