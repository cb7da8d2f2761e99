/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unixfd/place.h"

#include <cuframes/frame.h>

/* A place so late or early means that the publisher's time line has jumped. */
#define MOST_DELAY_NS 1000000000
/* What part of a frame's delay the anchor gives in to, for clocks that run apart. */
#define GIVE_IN 256

void place_init(struct place *place)
{
    *place = (struct place){.last = INT64_MIN};
}

void place_reset(struct place *place)
{
    place->anchored = false;
}

/* Moves the anchor for a frame that belongs `offset` after its pts. */
static void follow(struct place *place, int64_t offset)
{
    int64_t delay;

    if (place->anchored && !__builtin_sub_overflow(offset, place->offset, &delay) && delay > 0 &&
        delay < MOST_DELAY_NS)
        place->offset += delay / GIVE_IN;
    else
        place->offset = offset;
    place->anchored = true;
}

int64_t place_of(struct place *place, int64_t pts_ns, int64_t published_ns)
{
    int64_t at = published_ns;
    int64_t offset;

    if (pts_ns != CUFRAMES_NO_TIME && !__builtin_sub_overflow(published_ns, pts_ns, &offset)) {
        follow(place, offset);
        at = pts_ns + place->offset;
    }
    if (place->last != INT64_MIN && at <= place->last)
        at = place->last + 1;
    place->last = at;
    return at;
}
