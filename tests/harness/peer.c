/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness/peer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/harness.h"

/* Closes everything above the standard descriptors but these two; returns the channel's number. */
static int close_others(int channel, int keep_fd)
{
    int low = channel < keep_fd ? channel : keep_fd;
    int high = channel < keep_fd ? keep_fd : channel;

    if (keep_fd <= STDERR_FILENO)
        low = high = channel;
    if (low > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0);
    if (high > low + 1)
        close_range((unsigned)low + 1, (unsigned)high - 1, 0);
    close_range((unsigned)high + 1, ~0U, 0);
    return channel;
}

static _Noreturn void run_peer(pid_t parent, int channel, test_peer_body body, void *argument,
                               const struct test_spawn_options *options)
{
    struct test_peer test = {.pid = parent, .waiter = -1};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    test.channel = close_others(channel, options->keep_fd);
    if (options->isolation)
        test_isolate(options->isolation, test.channel);
    body(&test, argument);
    fflush(NULL);
    _exit(0);
}

void test_spawn(struct test_peer *peer, test_peer_body body, void *argument,
                const struct test_spawn_options *options)
{
    static const struct test_spawn_options none;
    pid_t parent = getpid();
    int ends[2];

    if (!options)
        options = &none;
    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    fflush(NULL);
    peer->waiter = CHECK_SYS(fork());
    if (peer->waiter == 0)
        run_peer(parent, ends[1], body, argument, options);
    close(ends[1]);
    peer->channel = ends[0];
    peer->pid = peer->waiter;
    if (options->isolation)
        peer->pid = (pid_t)test_hear(peer);
}

void test_say(struct test_peer *peer, uint64_t word)
{
    if (send(peer->channel, &word, sizeof(word), MSG_NOSIGNAL) != sizeof(word))
        FAIL("process %d does not hear: %m", (int)peer->pid);
}

/* Waits for the next word; false when the other side has closed. */
static bool hear(struct test_peer *peer, uint64_t *word, int timeout_ms)
{
    struct pollfd p = {.fd = peer->channel, .events = POLLIN};
    ssize_t n;

    while (poll(&p, 1, timeout_ms) < 0)
        if (errno != EINTR)
            FAIL("poll: %m");
    if (!p.revents)
        FAIL("process %d says nothing", (int)peer->pid);
    n = recv(peer->channel, word, sizeof(*word), MSG_DONTWAIT);
    return n == sizeof(*word);
}

uint64_t test_hear(struct test_peer *peer)
{
    uint64_t word;

    if (!hear(peer, &word, test_patience_ms()))
        FAIL("process %d ended without a word", (int)peer->pid);
    return word;
}

bool test_hear_or_end(struct test_peer *peer, uint64_t *word)
{
    return hear(peer, word, -1);
}

void test_hear_end(struct test_peer *peer)
{
    uint64_t word;

    while (hear(peer, &word, -1))
        ;
}

void test_send_fd(struct test_peer *peer, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(fd))];
    } control = {0};
    char byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    if (sendmsg(peer->channel, &message, MSG_NOSIGNAL) != 1)
        FAIL("process %d takes no descriptor: %m", (int)peer->pid);
}

int test_receive_fd(struct test_peer *peer)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header;
    int fd;

    if (!test_readable(peer->channel, test_patience_ms()))
        FAIL("process %d sends no descriptor", (int)peer->pid);
    if (recvmsg(peer->channel, &message, MSG_CMSG_CLOEXEC) != 1)
        FAIL("process %d ended without a descriptor", (int)peer->pid);
    header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS)
        FAIL("process %d sent no descriptor", (int)peer->pid);
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

static int wait_for_peer(struct test_peer *peer)
{
    int pidfd = CHECK_SYS(pidfd_open(peer->waiter, 0));
    int status;

    if (!test_readable(pidfd, test_patience_ms()))
        FAIL("process %d does not end", (int)peer->pid);
    close(pidfd);
    CHECK_SYS(waitpid(peer->waiter, &status, 0));
    close(peer->channel);
    *peer = (struct test_peer){.pid = -1, .waiter = -1, .channel = -1};
    return status;
}

void test_kill(struct test_peer *peer)
{
    CHECK_SYS(kill(peer->pid, SIGKILL));
    wait_for_peer(peer);
}

/* The state letter of /proc/PID/stat: the peer may be no child of this process. */
static char process_state(pid_t pid)
{
    char path[64], line[256] = "";
    const char *after;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file || !fgets(line, sizeof(line), file))
        FAIL("%s: %m", path);
    fclose(file);
    after = strrchr(line, ')');
    return after ? after[2] : '?';
}

void test_stop(struct test_peer *peer)
{
    CHECK_SYS(kill(peer->pid, SIGSTOP));
    WAIT_FOR(process_state(peer->pid) == 'T', 5000);
}

void test_continue(struct test_peer *peer)
{
    CHECK_SYS(kill(peer->pid, SIGCONT));
}

int test_join_status(struct test_peer *peer)
{
    shutdown(peer->channel, SHUT_WR);
    return wait_for_peer(peer);
}

void test_join(struct test_peer *peer)
{
    pid_t pid = peer->pid;
    int status = test_join_status(peer);

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        FAIL("process %d ended with status %#x", (int)pid, (unsigned)status);
}
