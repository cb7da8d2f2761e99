/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the tables of plots are written. */
#pragma once

#include "publisher.h"

/* A value of `bytes` bytes at `at` in a message or memory, which readers must refuse. */
#define FIELD(plot, who, place, at, bytes, number)                                                 \
    {                                                                                              \
        .name = plot, .readers = who, .refused = true, .where = place, .offset = at,               \
        .width = bytes, .value = (uint64_t)(number)                                                \
    }
/* The same, which readers may live with. */
#define ODD_FIELD(plot, who, place, at, bytes, number)                                             \
    {                                                                                              \
        .name = plot, .readers = who, .where = place, .offset = at, .width = bytes,                \
        .value = (uint64_t)(number)                                                                \
    }
/* A function at that place; what it does must be refused. */
#define ACT(plot, who, place, function)                                                            \
    {                                                                                              \
        .name = plot, .readers = who, .refused = true, .where = place, .act = function             \
    }
#define ODD_ACT(plot, who, place, function)                                                        \
    {                                                                                              \
        .name = plot, .readers = who, .where = place, .act = function                              \
    }
#define NO_MORE_PLOTS                                                                              \
    {                                                                                              \
        .name = NULL                                                                               \
    }
