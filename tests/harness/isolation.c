/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness/isolation.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/harness.h"

#define NEW_NAMESPACES                                                                             \
    (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS)

const char *const test_namespace_names[TEST_NAMESPACES] = {"user", "pid", "ipc",
                                                           "net",  "mnt", "uts"};

static bool keeps_user(const struct test_isolation *isolation)
{
    return isolation && isolation->keep_root && geteuid() == 0;
}

static int leave_namespaces(const struct test_isolation *isolation)
{
    return unshare(keeps_user(isolation) ? NEW_NAMESPACES & ~CLONE_NEWUSER : NEW_NAMESPACES);
}

/* Whether the new /proc and /dev/shm can be mounted, in a process of the new PID namespace. */
static int try_mounts(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                      mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0 &&
                      mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0
                  ? 0
                  : errno);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : EPERM;
}

const char *test_isolation_missing(const struct test_isolation *isolation)
{
    pid_t pid = CHECK_SYS(fork());
    int status;

    if (pid == 0) {
        if (leave_namespaces(isolation) != 0)
            _exit(errno);
        _exit(isolation && isolation->keep_root ? try_mounts() : 0);
    }
    CHECK_SYS(waitpid(pid, &status, 0));
    if (status == 0)
        return NULL;
    return WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "unshare was killed";
}

static void write_file(const char *path, const char *format, ...) CUFRAMES_PRINTF(2, 3);
static void write_file(const char *path, const char *format, ...)
{
    int fd = CHECK_SYS(open(path, O_WRONLY | O_CLOEXEC));
    va_list args;

    va_start(args, format);
    if (vdprintf(fd, format, args) < 0)
        FAIL("%s: %m", path);
    va_end(args);
    close(fd);
}

static void map_user(unsigned inner_uid, uid_t uid, gid_t gid)
{
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", "%u %u 1", inner_uid, (unsigned)uid);
    write_file("/proc/self/gid_map", "%u %u 1", inner_uid, (unsigned)gid);
}

/* mkdir -p below the current directory, for an absolute path. */
static void make_path(const char *path)
{
    char part[256];

    snprintf(part, sizeof(part), "%s/", path + 1);
    for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            FAIL("mkdir %s: %m", part);
        *slash = '/';
    }
}

static void build_root(const struct test_isolation *isolation)
{
    char target[256];

    CHECK_SYS(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    /* The new root covers /mnt of this mount namespace only. */
    CHECK_SYS(mount("tmpfs", "/mnt", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"));
    CHECK_SYS(chdir("/mnt"));
    make_path("/dev/shm");
    make_path("/proc");
    make_path(isolation->at);
    snprintf(target, sizeof(target), "/mnt%s", isolation->at);
    CHECK_SYS(mount(isolation->shared, target, NULL, MS_BIND, NULL));
    CHECK_SYS(mount("tmpfs", "/mnt/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"));
    /* Refused where the host's own /proc is partly covered; nothing here depends on it. */
    if (mount("proc", "/mnt/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 &&
        errno != EPERM)
        FAIL("mount /proc: %m");
    CHECK_SYS((int)syscall(SYS_pivot_root, ".", "."));
    CHECK_SYS(umount2(".", MNT_DETACH));
    CHECK_SYS(chdir("/"));
}

static void cover_root(void)
{
    CHECK_SYS(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    CHECK_SYS(mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"));
    CHECK_SYS(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
}

/* Ends as `pid` ends. */
static _Noreturn void stand_by(pid_t pid)
{
    int status;

    close_range(STDERR_FILENO + 1, ~0U, 0);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            _exit(1);
    if (WIFSIGNALED(status))
        _exit(128 + WTERMSIG(status));
    _exit(WEXITSTATUS(status));
}

void test_isolate(const struct test_isolation *isolation, int channel)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int told[2];
    uint64_t word;
    pid_t pid;
    char byte;

    CHECK_SYS(leave_namespaces(isolation));
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a new user namespace forgets it */
    if (!keeps_user(isolation))
        map_user(isolation->inner_uid, uid, gid);
    CHECK_SYS(pipe2(told, O_CLOEXEC));
    pid = CHECK_SYS(fork());
    if (pid != 0) {
        word = (uint64_t)pid;
        send(channel, &word, sizeof(word), MSG_NOSIGNAL);
        stand_by(pid); /* closes the pipe */
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The PID must be the first word on the channel. */
    close(told[1]);
    CHECK_EQ(read(told[0], &byte, 1), 0);
    close(told[0]);
    CHECK_EQ(getpid(), 1);
    CHECK_SYS(sethostname(isolation->hostname, strlen(isolation->hostname)));
    if (isolation->keep_root)
        cover_root();
    else
        build_root(isolation);
}

void test_namespaces(pid_t pid, ino_t inodes[TEST_NAMESPACES])
{
    for (int i = 0; i < TEST_NAMESPACES; i++) {
        char path[64];
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, test_namespace_names[i]);
        CHECK_SYS(stat(path, &st));
        inodes[i] = st.st_ino;
    }
}
