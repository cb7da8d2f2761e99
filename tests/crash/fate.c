/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fate.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/harness.h"

bool has_met_fate(const struct test_peer *victim, int signal)
{
    siginfo_t info = {0};

    CHECK_SYS(waitid(P_PID, (id_t)victim->pid, &info, WEXITED | WSTOPPED | WNOWAIT | WNOHANG));
    if (info.si_pid == 0)
        return false;
    if (info.si_code == CLD_EXITED)
        FAIL("the victim ended with status %d instead of dying", info.si_status);
    CHECK_EQ(info.si_status, signal);
    return true;
}

void bury(struct test_peer *victim, const struct fate *fate)
{
    if (fate->signal == SIGSTOP) {
        test_continue(victim);
        usleep(20000);
        atomic_store(fate->end, true);
        test_join(victim);
    } else {
        int status = test_join_status(victim);

        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
}
