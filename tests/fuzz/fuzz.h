/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fuzz target: one function that takes hostile bytes, and some honest ones to start from.
 *
 * Each target is built twice: with replay.c, as a test that every compiler builds, which tries
 * the honest inputs and a fixed series of changed ones; and, with -Dfuzz=true and clang, as a
 * libFuzzer program.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Largest input. */
#define FUZZ_SIZE 8192

/* The name is libFuzzer's. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes the index-th honest input (FUZZ_SIZE bytes of room) and returns its size; 0 = no more. */
size_t fuzz_seed(unsigned index, uint8_t *data);

/* Not assert(): it must be there in every build. */
#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
