/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The barrier of a group: src/group/barrier.c, whose comments name the steps B1 to B8.
 *
 * Three ranks pass BARRIERS barriers, one after the other, and leave. Up to DEATHS of them die, at
 * any step or never. The hub, which lives, breaks the group at the first death or leave that it
 * notices, as late as it likes.
 *
 * Checked:
 * - nobody passes a barrier that not all have entered;
 * - nobody sleeps for ever (spin reports a state that nobody can leave): neither when a barrier is
 *   completed nor after a death;
 * - a barrier that somebody passed before the group was broken is passed by all who live;
 * - without a death nobody is told that the group is broken, and nobody counts wrong.
 *
 * A rank's stores, and its relaxed additions to `sleepers`, reach memory some time later, when the
 * process `memory` carries them out; a release store comes after everything before it, a fence and
 * an acquire-release addition wait until nothing is outstanding. Nothing is expected of the kernel
 * but that a futex compares and falls asleep in one step: its own fences are not counted on. As
 * loads happen in order, a missing acquire is not found here.
 *
 * The periodic look (CF_BARRIER_LOOK_MS) is there with -DLOOK only, and helps only once the hub has
 * woken everybody: a lost wake-up of a barrier that completes is found in both variants.
 */
#define RANKS 3
#ifndef BARRIERS
#define BARRIERS 2
#endif
#ifndef DEATHS
#define DEATHS 0
#endif

#ifdef EARLY_GENERATION
#define ENOUGH (RANKS - 1)
#else
#define ENOUGH RANKS
#endif

/* The board. */
byte generation;
byte arrived;
byte sleepers;
bool broken;

/* What a rank did and memory does not show yet. */
bool late_reset[RANKS];
bool late_generation[RANKS];
byte new_generation[RANKS];
bool late_add[RANKS];
bool late_subtract[RANKS];

/* The kernel's. */
bool asleep[RANKS];
bool dead[RANKS];
bool left[RANKS];

/* What the checks need to know. */
byte entered[BARRIERS];
byte most_passed;
byte passed_when_broken;
byte deaths;
bool hub_done;

#define NOTHING_LATE(me)                                                                           \
    (!late_reset[me] && !late_generation[me] && !late_add[me] && !late_subtract[me])

proctype memory(byte me)
{
end:
    do
    :: d_step { late_reset[me] -> arrived = 0; late_reset[me] = false }
#ifdef RELAXED_B4
    :: d_step { late_generation[me] -> generation = new_generation[me];
                late_generation[me] = false; new_generation[me] = 0 }
#else
    :: d_step { late_generation[me] && !late_reset[me] && !late_add[me] && !late_subtract[me] ->
                generation = new_generation[me];
                late_generation[me] = false; new_generation[me] = 0 }
#endif
    :: d_step { late_add[me] -> sleepers++; late_add[me] = false }
    :: d_step { late_subtract[me] && !late_add[me] -> sleepers--; late_subtract[me] = false }
    od
}

inline load_generation(me, value)
{
    d_step {
        if
        :: late_generation[me] -> value = new_generation[me]
        :: else -> value = generation
        fi
    }
}

inline wake_all()
{
    d_step { asleep[0] = false; asleep[1] = false; asleep[2] = false }
}

/* cf_barrier_enter() */
inline enter()
{
    load_generation(me, mine); /* B1 */
    /* B2 */
    d_step {
        NOTHING_LATE(me) ->
        before = arrived;
        arrived++;
        entered[k]++;
        assert(before < RANKS)
    }
    if
    :: before + 1 < ENOUGH -> result = UNDECIDED
    :: else ->
#ifdef RESET_LATE
        d_step { late_generation[me] = true; new_generation[me] = mine + 1 }
        d_step { NOTHING_LATE(me) -> late_reset[me] = true }
#else
        d_step {
#ifndef NO_RESET
            late_reset[me] = true; /* B3 */
#endif
            late_generation[me] = true; /* B4 */
            new_generation[me] = mine + 1
        }
#endif
        /* wake_sleepers() */
        atomic {
#ifndef NO_FENCE_B5
            NOTHING_LATE(me); /* B5 */
#endif
            now = sleepers
        }
        if
        :: now != 0 -> wake_all()
        :: else
        fi;
        d_step { now = 0; result = PASSED }
    fi;
    before = 0
}

/* sleep_a_while() */
inline sleep_a_while()
{
    d_step { !late_add[me] && !late_subtract[me] -> late_add[me] = true }
    atomic {
#ifndef NO_FENCE_B6
        NOTHING_LATE(me); /* B6 */
#endif
        load_generation(me, now) /* B7 */
    }
    if
    :: now != mine
    :: now == mine ->
        if
        :: broken
        :: !broken ->
            /* B8 */
#ifdef NO_VALUE_CHECK
            asleep[me] = true;
#else
            d_step {
                if
                :: generation == mine -> asleep[me] = true
                :: else
                fi
            }
#endif
            if
            :: !asleep[me]
#ifdef LOOK
            :: asleep[me] && hub_done -> asleep[me] = false
#endif
            fi
        fi
    fi;
    late_subtract[me] = true
}

/* What cf_barrier_wait() does after each sleep. */
inline judge()
{
#ifdef GENERATION_FIRST
    load_generation(me, now);
    was_broken = broken;
#else
    was_broken = broken;
    load_generation(me, now);
#endif
    atomic {
        if
        :: now != mine -> result = PASSED
        :: now == mine && was_broken -> result = BROKEN
        :: now == mine && !was_broken
        fi;
        now = 0;
        was_broken = false
    }
}

mtype = { UNDECIDED, PASSED, BROKEN };

inline barrier()
{
    if
    :: broken -> result = BROKEN
    :: !broken ->
        enter();
        do
        :: result == UNDECIDED ->
            sleep_a_while();
            judge()
        :: result != UNDECIDED -> break
        od
    fi
}

proctype rank(byte me)
{
    byte k, mine, before, now;
    bool was_broken;
    mtype result;

    {
        do
        :: k < BARRIERS ->
            result = UNDECIDED;
            barrier();
            atomic {
                if
                :: result == PASSED ->
                    assert(entered[k] == RANKS);
                    k++;
                    if
                    :: most_passed < k -> most_passed = k
                    :: else
                    fi
                :: else ->
                    assert(deaths > 0);
                    assert(passed_when_broken <= k);
                    k = BARRIERS
                fi;
                mine = 0
            }
        :: k == BARRIERS -> break
        od;
        atomic { left[me] = true; k = 0; result = 0 }
    } unless {
        d_step {
            dead[me] ->
            k = 0; mine = 0; before = 0; now = 0; was_broken = false; result = 0;
            asleep[me] = false
        }
    }
}

/* cf_hub_end(), cf_board_break() */
proctype hub()
{
    byte seen;

    dead[0] || dead[1] || dead[2] || left[0] || left[1] || left[2];
    d_step { broken = true; passed_when_broken = most_passed }
    seen = sleepers;
    if
    :: seen != 0 -> wake_all()
    :: else
    fi;
    hub_done = true
}

/* As the ranks are alike, it does not matter which of them die. */
proctype killer()
{
end:
    do
    :: d_step { deaths < DEATHS && !left[deaths] -> dead[deaths] = true; deaths++ }
    od
}

init
{
    atomic {
        run memory(0);
        run memory(1);
        run memory(2);
        run rank(0);
        run rank(1);
        run rank(2);
        run hub();
        run killer()
    }
}
