/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This is where the points lead in the library that is compiled for these tests. */
#define CF_POINTS

#include "points.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/point.h"
#include "harness/harness.h"

static const struct point points[] = {
#define POINT(side, name, when) {side, name, when},
#include "points.def"
#undef POINT
};

static const char *armed;
static int armed_nth, armed_signal;
/* Shared with forks; any thread of theirs counts. */
static atomic_int *visits;

const struct point *point_next(enum point_side side, const struct point *previous)
{
    const struct point *end = points + sizeof(points) / sizeof(points[0]);

    for (const struct point *p = previous ? previous + 1 : points; p < end; p++)
        if (p->side == side)
            return p;
    return NULL;
}

void point_reset(void)
{
    if (!visits) {
        visits =
            mmap(NULL, sizeof(*visits), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(visits != MAP_FAILED);
    }
    atomic_store(visits, 0);
}

void point_arm(const char *name, int nth, int signal)
{
    armed_nth = nth;
    armed_signal = signal;
    armed = name;
}

int point_visits(void)
{
    return atomic_load(visits);
}

void cf_point(const char *name)
{
    if (armed && strcmp(name, armed) == 0 && atomic_fetch_add(visits, 1) + 1 == armed_nth)
        kill(getpid(), armed_signal);
}
