/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness/harness.h"

static struct rlimit original;

void test_need_root(void)
{
    if (geteuid() != 0)
        SKIP("must be root");
}

void test_become(uid_t uid)
{
    CHECK_SYS(setgroups(0, NULL));
    CHECK_SYS(setresgid(uid, uid, uid));
    CHECK_SYS(setresuid(uid, uid, uid));
}

void test_limit_descriptors(unsigned count)
{
    struct rlimit limit;
    unsigned free_below = 0;
    int fd;

    CHECK_SYS(getrlimit(RLIMIT_NOFILE, &limit));
    if (original.rlim_cur == 0)
        original = limit;
    limit.rlim_cur = original.rlim_cur;
    CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
    /* The limit is on numbers: find the number below which `count` are free. */
    for (fd = 0; free_below < count; fd++)
        free_below += fcntl(fd, F_GETFD) < 0;
    limit.rlim_cur = (rlim_t)fd;
    CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
}

void test_unlimit_descriptors(void)
{
    CHECK_SYS(setrlimit(RLIMIT_NOFILE, &original));
}

void test_mount_small(const char *path, unsigned files)
{
    char options[64];

    if (unshare(CLONE_NEWNS) != 0)
        SKIP("no mount namespace of its own: %m");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        SKIP("mounts cannot be made private here (a chroot whose root is no mount?): %m");
    /* One more for the directory itself. */
    snprintf(options, sizeof(options), "mode=0700,size=64k,nr_inodes=%u", files + 1);
    CHECK_SYS(mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options));
}
