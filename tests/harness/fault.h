/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes one call of the library's table of system calls (src/base/sys.h) fail.
 *
 * Call test_fault_install() at the start of the test, before the library has threads. The counters
 * and the armed fault are the process's and may be used from any thread.
 */
#pragma once

#include <stdbool.h>

enum test_fault {
    TEST_FAULT_MEMFD_CREATE,
    TEST_FAULT_FALLOCATE,
    TEST_FAULT_MMAP,
    TEST_FAULT_ADD_SEALS,
    TEST_FAULT_GET_SEALS,
    TEST_FAULT_EVENTFD,
    TEST_FAULT_EPOLL_CREATE1,
    TEST_FAULT_EPOLL_CTL,
    TEST_FAULT_SOCKET,
    TEST_FAULT_SOCKETPAIR,
    TEST_FAULT_BIND,
    TEST_FAULT_LISTEN,
    TEST_FAULT_CONNECT,
    TEST_FAULT_ACCEPT4,
    TEST_FAULT_SENDMSG,
    TEST_FAULT_RECVMSG,
    TEST_FAULT_CALLOC,
    TEST_FAULT_COUNT
};

void test_fault_install(void);

/* The nth call (1 = the next) of this kind fails with `errnum`, once. 0 = a usual error of it. */
void test_fault_arm(enum test_fault call, unsigned nth, int errnum);
/* Disarms, and says whether the fault has happened. */
bool test_fault_disarm(void);
/* How often this kind was called since the fault was armed. */
unsigned test_fault_calls(enum test_fault call);
/* Name of the system call, and its usual error. */
const char *test_fault_name(enum test_fault call);
int test_fault_usual_error(enum test_fault call);
