/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the harness share among themselves; not for tests.
 */
#pragma once

enum {
    TEST_EXIT_PASSED = 0,
    TEST_EXIT_FAILED = 1,
    TEST_EXIT_SKIPPED = 77,
};

/* How many times slower than usual this build is (sanitizers). */
int test_slowness(void);

void test_set_runtime_dir(const char *path);
/* Fails if there is a file in the runtime directory that the test did not declare. */
void test_runtime_dir_check(void);
