/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/worker.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cuframes/cuframes.h>

#include "common/report.h"
#include "common/stop.h"

/* Exit codes of a process that was to confine itself. */
enum { CONFINED_KEPT = 90, CONFINED_IMPOSSIBLE = 91 };

void *worker_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory != MAP_FAILED)
        return memory;
    report("no memory of %zu bytes to share: %m", size);
    return NULL;
}

void worker_memory_free(void *memory, size_t size)
{
    if (memory)
        munmap(memory, size);
}

bool worker_start(struct worker *worker, int (*run)(void *context), void *context)
{
    const pid_t parent = getpid();
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        report("cannot start a process: %m");
        return false;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == parent ? run(context) : 1);
    }
    worker->pid = pid;
    return true;
}

void worker_stop(struct worker *worker)
{
    if (worker->pid <= 0)
        return;
    kill(worker->pid, SIGKILL);
    waitpid(worker->pid, NULL, 0);
    worker->pid = 0;
}

static bool has_ended(struct worker *worker)
{
    if (!worker || waitpid(worker->pid, NULL, WNOHANG) == 0)
        return false;
    worker->pid = 0;
    return true;
}

bool worker_await(struct worker *worker, const _Atomic uint32_t *word, uint32_t value,
                  const char *what)
{
    const int64_t give_up = cuframes_now_ns() + WORKER_PATIENCE_MS * INT64_C(1000000);

    /* Acquire, here and in worker_spin(): what the other side wrote before is seen. */
    while (atomic_load_explicit(word, memory_order_acquire) < value) {
        if (!stop_sleep_until(cuframes_now_ns() + 1000000))
            return false;
        if (has_ended(worker) || cuframes_now_ns() > give_up) {
            report("%s", what);
            return false;
        }
    }
    return true;
}

bool worker_spin(const _Atomic uint32_t *word, uint32_t value)
{
    const int64_t give_up = cuframes_now_ns() + WORKER_PATIENCE_MS * INT64_C(1000000);

    for (uint32_t turn = 1; atomic_load_explicit(word, memory_order_acquire) < value; turn++) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
        if (turn % 65536 == 0 && cuframes_now_ns() > give_up)
            return false;
    }
    return true;
}

double worker_ping_ns(_Atomic uint32_t *ball)
{
    /* Short, so that most of the times it is taken nothing comes between. */
    enum { ROUND_TRIPS = 20 };
    uint32_t value = atomic_load_explicit(ball, memory_order_relaxed);
    int64_t start = cuframes_now_ns();

    for (int i = 0; i < ROUND_TRIPS; i++) {
        atomic_store_explicit(ball, value + 1, memory_order_release);
        value += 2;
        if (!worker_spin(ball, value))
            return 0;
    }
    return (double)(cuframes_now_ns() - start) / (2 * ROUND_TRIPS);
}

void worker_echo(_Atomic uint32_t *ball)
{
    uint32_t value = atomic_load_explicit(ball, memory_order_acquire);

    if (value % 2 == 1)
        atomic_store_explicit(ball, value + 1, memory_order_release);
}

void worker_confine(void)
{
    struct sock_filter only_exit[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = sizeof(only_exit) / sizeof(only_exit[0]),
                                 .filter = only_exit};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(CONFINED_IMPOSSIBLE);
}

void worker_confined_exit(void)
{
    syscall(SYS_exit_group, CONFINED_KEPT);
}

bool worker_confined_result(struct worker *worker, enum worker_confined *result)
{
    int status = 0;

    if (waitpid(worker->pid, &status, 0) != worker->pid)
        return report("cannot wait for a process: %m"), false;
    worker->pid = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        *result = WORKER_CONFINED_BROKE;
    else if (WIFEXITED(status) && WEXITSTATUS(status) == CONFINED_KEPT)
        *result = WORKER_CONFINED_KEPT;
    else if (WIFEXITED(status) && WEXITSTATUS(status) == CONFINED_IMPOSSIBLE)
        *result = WORKER_CONFINED_UNKNOWN;
    else
        return report("a process without system calls ended with status %#x", status), false;
    return true;
}

const char *worker_confined_word(enum worker_confined result)
{
    return result == WORKER_CONFINED_KEPT    ? "none"
           : result == WORKER_CONFINED_BROKE ? "some"
                                             : "unknown";
}
