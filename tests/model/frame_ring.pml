/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frame protocol: reclaiming, publishing, holding, letting go (src/ring/writer.c and
 * src/ring/reader.c). Each step carries its label of the C comments and the function it is in.
 *
 * One publisher, two subscribers, three slots. Any process may die at any step (DEATHS of them in
 * one run). Subscriber 0 wants every frame in order, subscriber 1 the newest, or (-DTWO_IN_ORDER)
 * also every frame. Checked in every state that can be reached:
 * - the publisher never writes to a slot that an attached subscriber holds, and what a holder reads
 *   is the frame it asked for, complete, also after the publisher's death;
 * - drop policy: frames come in order, and what was received and what was reported as a gap are
 *   together all that was published; nothing that the publisher does waits for a subscriber;
 * - -DCOUNT_STEPS: an acquire ends after a fixed number of loads, whatever the subscribers do;
 * - -DPROGRESS: a subscriber's try to hold fails only if the publisher did something meanwhile, so
 *   one whose publisher is dead gets the newest frame at its first try;
 * - -DHOARD -DALONE: when the publisher has noticed that all subscribers died, every slot is free;
 * - -DWAIT, the wait policy: strict order loses nothing, and neither side sleeps for ever (spin
 *   reports a state that nobody can leave), whoever dies;
 * - -DWAIT -DHOARD: nor does the publisher, if subscriber 1 never lets go of the one slot it holds;
 * - -DWAIT -DIDLE -DSLOTS=2: nor if subscriber 1 lets go and then does nothing for ever;
 * - -DWAIT -DEVICT: the publisher may withdraw a subscriber's protection at any moment that it is
 *   in the way; the subscriber is told of it before it trusts what it read.
 *
 * Several C statements are one step here where nothing that another process does in between could
 * make a difference: a store and the fence after it (the store may take effect at any moment
 * before), a fence and the load after it (the buffered stores may take effect before), stores
 * without a load between them (what counts is when and in which order they take effect).
 *
 * The checks and the mutants are listed in run-ring.sh; a mutant's #ifdef says what it breaks.
 */
#ifndef SLOTS
#define SLOTS 3
#endif
#define READERS 2
#define PROCS 3 /* subscribers 0 and 1, then the publisher */
#define PUBLISHER 2
#ifndef FIRST
#define FIRST SLOTS /* frames in the ring at the start, 0 to SLOTS; strict order wants them all */
#endif
#ifndef LAST
#define LAST 5 /* the publisher ends when it has published this many in all */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

#define INVALID 255
#define REF(seq, slot) ((seq) * 4 + (slot))
#define REF_SEQ(ref) ((ref) / 4)
#define REF_SLOT(ref) ((ref) % 4)

/* The shared words. DATA stands for the picture and its metadata. */
#define SEQ(slot) (slot)
#define DATA(slot) (SLOTS + (slot))
#define NEWEST (2 * SLOTS)
#define HOLD(r, slot) (NEWEST + 1 + (r) * SLOTS + (slot))
#define CURSOR(r) (NEWEST + 1 + READERS * SLOTS + (r))
#define REVOKED(r) (CURSOR(READERS) + (r))
#define WAITS (REVOKED(READERS))
#define INDEX(seq) (WAITS + 1 + (seq))
#ifdef WAIT
#define LOCATIONS (WAITS + 1 + LAST)
#else
#define LOCATIONS (WAITS + 1)
#endif

/* Whether the publisher did something since that may make a subscriber's try fail. */
#ifdef PROGRESS
bool moved[READERS];
#define ON_ARRIVAL(location)                                                                       \
    if                                                                                             \
    :: (location) < SLOTS || (location) == NEWEST -> moved[0] = true; moved[1] = true              \
    :: else                                                                                        \
    fi
#define TRY_BEGINS(me) moved[me] = false
#define TRY_FAILED(me) assert(moved[me])
#else
#define ON_ARRIVAL(location) skip
#define TRY_BEGINS(me) skip
#define TRY_FAILED(me) skip
#endif

#include "memory.pml"

#define NOBODY READERS
#ifdef HEED_DETACHED
#define HEEDS(r) true
#else
#define HEEDS(r) attached[r]
#endif
#define NO_SLOT SLOTS

bool dead[PROCS];
byte deaths;
/* The peer table: the subscribers whose pages the publisher heeds. */
bool attached[READERS];
/* What is true, as opposed to what anybody knows: the slot that a subscriber may read. */
byte reading[READERS];
bool finished; /* the publisher has published all it wanted to */

#ifdef TWO_IN_ORDER
#define IN_ORDER(r) true
#else
#define IN_ORDER(r) ((r) == 0)
#endif

#ifdef WAIT
bool locked;   /* the publisher's lock: its table of peers */
bool sleeping; /* the publisher, in cf_futex_wait_any() */
/* The word `ack` of a page has changed since the publisher read it. */
bool acked[READERS];
bool listed[READERS];
#define STOPPED(r) (mem[REVOKED(r)] != 0) /* the publisher heeds it no more */
#else
#define STOPPED(r) false
#endif

/* ---- publisher ---- */

byte slot_seq[SLOTS]; /* struct cf_writer_slot: what the publisher knows of its slots */
byte newest_slot = NO_SLOT;
byte next_seq;

#ifdef COUNT_STEPS
byte steps; /* loads of the acquire under way */
#define STEP_LIMIT 8 /* slots it may take x looks x subscribers */
#define STEP steps++; assert(steps <= STEP_LIMIT)
#else
#define STEP skip
#endif

/* find_blocker() and cf_writer_blocks(): who needs `slot`. Each load is a step. */
inline find_blocker(slot)
{
    blocker = NOBODY;
    r = 0;
    do
    :: r < READERS && blocker == NOBODY ->
#ifdef WAIT
        /* unread() */
        atomic {
            if
            :: HEEDS(r) && IN_ORDER(r) ->
                load(PUBLISHER, CURSOR(r), value);
                if
#ifndef NO_UNREAD
                :: value <= slot_seq[slot] -> blocker = r
#endif
                :: else
                fi
            :: else
            fi;
            value = 0
        };
#endif
        /* W3, holds() */
        atomic {
            if
            :: HEEDS(r) ->
                load(PUBLISHER, HOLD(r, slot), value);
                STEP;
                if
                :: value != 0 -> blocker = r
                :: else
                fi
            :: else
            fi;
            value = 0;
            r++
        }
    :: else -> break
    od;
    r = 0
}

/* reclaim(): `got` or a blocker. */
inline reclaim(slot)
{
    find_blocker(slot);
    if
    :: blocker == NOBODY ->
        atomic {
#ifndef NO_INVALIDATE
            store(PUBLISHER, SEQ(slot), INVALID, RELAXED); /* W1 */
#endif
#ifndef NO_FENCE_W2
            fence(PUBLISHER) /* W2 */
#endif
        };
#ifndef NO_SECOND_LOOK
        find_blocker(slot);
#endif
        if
        :: blocker == NOBODY -> got = slot
        :: else ->
            store(PUBLISHER, SEQ(slot), slot_seq[slot], RELEASE) /* W4 */
        fi
    :: else
    fi
}

/* The oldest published slot that is younger than `after` and not the newest. */
inline next_candidate(after)
{
    d_step {
        candidate = NO_SLOT;
        r = 0;
        do
        :: r < SLOTS ->
            if
#ifdef RECLAIM_NEWEST
            :: slot_seq[r] != INVALID &&
#else
            :: slot_seq[r] != INVALID && r != newest_slot &&
#endif
                (after == INVALID || slot_seq[r] > after) &&
                (candidate == NO_SLOT || slot_seq[r] < slot_seq[candidate]) -> candidate = r
            :: else
            fi;
            r++
        :: else -> break
        od;
        r = 0
    }
}

/* cf_writer_acquire() */
inline acquire()
{
    got = NO_SLOT;
    d_step {
#ifdef COUNT_STEPS
        steps = 0;
#endif
        r = 0;
        do
        :: r < SLOTS && got == NO_SLOT ->
            if
            :: slot_seq[r] == INVALID -> got = r
            :: else
            fi;
            r++
        :: else -> break
        od;
        r = 0
    };
    after = INVALID;
    do
    :: got == NO_SLOT ->
        next_candidate(after);
        if
#ifdef BUSY_WAIT
        :: candidate == NO_SLOT -> after = INVALID
#else
        :: candidate == NO_SLOT -> break
#endif
        :: else ->
            reclaim(candidate);
            after = slot_seq[candidate]
        fi
    :: else -> break
    od;
    if
    :: got != NO_SLOT -> slot_seq[got] = INVALID
    :: else
    fi;
    after = 0;
    candidate = 0;
    blocker = 0;
    value = 0
}

#define WRITES(slot)                                                                               \
    assert(!(reading[0] == slot && !STOPPED(0)) && !(reading[1] == slot && !STOPPED(1)))

#ifdef RELAXED_W5
#define W5_ORDER RELAXED
#else
#define W5_ORDER RELEASE
#endif
#ifdef RELAXED_W6
#define W6_ORDER RELAXED
#else
#define W6_ORDER RELEASE
#endif

/* The program fills the slot, then cf_writer_publish(). */
inline publish()
{
    d_step {
        WRITES(got);
        store(PUBLISHER, DATA(got), next_seq, RELAXED);
        store(PUBLISHER, SEQ(got), next_seq, W5_ORDER); /* W5 */
#ifdef WAIT
        store(PUBLISHER, INDEX(next_seq), REF(next_seq, got), RELEASE); /* W6 */
#endif
        store(PUBLISHER, NEWEST, REF(next_seq, got), W6_ORDER) /* W6 */
    };
    fence(PUBLISHER); /* W7, wake(); what it is for is in wakeup.pml */
    d_step {
        slot_seq[got] = next_seq;
        newest_slot = got;
        next_seq++;
        got = 0
    }
}

#ifdef WAIT

/* sleep_for_slot() (src/channel/wait.c): for each slot that could not be had, one subscriber
 * in its way; their ack words are read, then it is looked whether they are still in the way. */
inline list_blockers()
{
    d_step {
        listed[0] = false;
        listed[1] = false;
        after = INVALID;
        again = false
    };
#ifdef ACK_AFTER_LOOK
    list_each_blocker();
    read_acks()
#else
    /* The acks of those that are not listed do not matter. */
    read_acks();
    list_each_blocker()
#endif
}

inline read_acks()
{
    d_step { acked[0] = false; acked[1] = false } /* W10 */
}

inline list_each_blocker()
{
    do
    :: next_candidate(after);
        if
        :: candidate == NO_SLOT -> break
        :: else
        fi;
        find_blocker(candidate); /* W10 */
        if
        :: blocker == NOBODY -> again = true; break
        :: else -> listed[blocker] = true
        fi;
#ifdef ONE_BLOCKER
        break;
#endif
        after = slot_seq[candidate]
    od;
    after = 0;
    candidate = 0;
    value = 0
}

#define ACK_UNCHANGED(r) (!listed[r] || !acked[r])

/* cf_futex_wait_any(): the kernel compares and goes to sleep in one step. */
inline sleep()
{
    atomic {
        locked = false;
        if
        :: ACK_UNCHANGED(0) && ACK_UNCHANGED(1) -> sleeping = true
        :: else
        fi
    };
    atomic { !sleeping && !locked -> locked = true }
}

#define WAKE(r)                                                                                    \
    if                                                                                             \
    :: listed[r] -> sleeping = false                                                               \
    :: else                                                                                        \
    fi

/* cf_hold_page_revoke() and cf_clients_detach(), under the lock. */
inline detach(who)
{
#ifndef REVOKE_LATE
    atomic { store(PUBLISHER, REVOKED(who), 1, RELAXED); fence(PUBLISHER) }; /* W11 */
#endif
    d_step {
        attached[who] = false;
        acked[who] = true;
        WAKE(who)
    }
}

/* cf_wait_for_slot() (src/channel/wait.c) */
inline wait_for_slot()
{
    do
    ::  atomic {
            store(PUBLISHER, WAITS, 1, RELAXED); /* W9, cf_writer_set_waiting() */
#ifndef NO_FENCE_W9
            fence(PUBLISHER)
#endif
        };
        acquire();
        if
        :: got != NO_SLOT -> break
        :: else
        fi;
        list_blockers();
        if
        :: again
#ifdef EVICT
        /* The timeout has passed. */
        :: !again && listed[0] && attached[0] -> detach(0)
        :: !again && listed[1] && attached[1] -> detach(1)
#endif
        :: !again -> sleep()
        fi
    od;
    atomic { store(PUBLISHER, WAITS, 0, RELAXED); fence(PUBLISHER) } /* W9 */
}

inline withdraw(who)
{
    d_step {
        attached[who] = false;
#ifndef NO_WAKE_AT_DEATH
        acked[who] = true;
        WAKE(who);
#endif
        locked = false;
        who = 0
    }
}

/* The service thread sees the hang-up of a dead subscriber's socket: cf_clients_detach(). Its word
 * `progress`, on which every sleeper sleeps too, does here what the page's ack does elsewhere. */
proctype service()
{
    byte who = 0;
end:
    do
    :: atomic { !locked && !dead[PUBLISHER] && dead[0] && attached[0] -> who = 0; locked = true };
        withdraw(who)
    :: atomic { !locked && !dead[PUBLISHER] && dead[1] && attached[1] -> who = 1; locked = true };
        withdraw(who)
    od
}

#endif

proctype publisher()
{
    byte r, value, blocker, got, candidate, after;
#ifdef WAIT
    bool again;
#endif
    {
        do
        :: next_seq < LAST ->
#ifdef WAIT
            atomic { !locked -> locked = true };
            acquire();
            if
            :: got == NO_SLOT -> wait_for_slot()
            :: else
            fi;
            locked = false;
#else
            /* The hang-up of a dead subscriber's socket may have been seen by now or not. */
            if
            :: dead[0] -> attached[0] = false
            :: dead[1] -> attached[1] = false
            :: true
            fi;
            acquire();
#ifdef ALONE
            /* Nobody is left: what the dead held is free. */
            assert(got != NO_SLOT || attached[0] || attached[1]);
#endif
#endif
            if
            :: got != NO_SLOT ->
                publish();
#ifdef REVOKE_LATE
                d_step {
                    mem[REVOKED(0)] = !attached[0];
                    mem[REVOKED(1)] = !attached[1]
                }
#endif
            :: else /* the frame is dropped */
            fi
        :: else -> break
        od;
        finished = true
    } unless { dead[PUBLISHER] }
}

/* ---- subscriber ---- */

#define PUBLISHER_GONE (finished || (dead[PUBLISHER] && buffers[PUBLISHER].used == 0))
#define NEWS(r, wanted) (mem[NEWEST] != INVALID && REF_SEQ(mem[NEWEST]) >= wanted)

/* notify_publisher(): R8. */
inline notify_publisher(me)
{
#ifdef WAIT
    atomic {
#ifndef NO_FENCE_R8
        fence(me);
#endif
        load(me, WAITS, value);
        if
        :: value != 0 -> acked[me] = true; WAKE(me)
        :: else
        fi;
        value = 0
    }
#else
    skip
#endif
}

/* hold(): `held` or not. */
inline hold(me)
{
    atomic {
        store(me, HOLD(me, slot), 1, RELAXED); /* R2 */
#ifndef NO_FENCE_R3
        fence(me) /* R3 */
#endif
    };
    atomic {
        load(me, SEQ(slot), value); /* R4 */
#ifdef NO_RECHECK
        value = seq;
#endif
        held = (value == seq);
        if
        :: held -> reading[me] = slot
        :: else -> TRY_FAILED(me)
        fi;
        value = 0
    };
    if
    :: held
    :: else ->
        store(me, HOLD(me, slot), 0, RELEASE); /* R6 after a try that failed */
        notify_publisher(me)
    fi
}

/* What the program does with the picture: R5, at any moment while it holds the frame. */
inline read_picture(me)
{
#ifdef LET_GO_EARLY
    store(me, HOLD(me, slot), 0, RELEASE);
#endif
    atomic { load(me, DATA(slot), value); check_picture(me) }
}

#ifdef EVICT
/* cf_reader_revoked() tells after the reads whether they were protected. */
inline check_picture(me)
{
    if
    :: value != seq -> torn = true
    :: else
    fi;
    value = 0
}
#else
inline check_picture(me)
{
    assert(value == seq);
    value = 0
}
#endif

/* cf_reader_let_go() */
inline let_go(me)
{
    d_step {
        ROOM(me);
        reading[me] = NO_SLOT;
        store(me, HOLD(me, slot), 0, RELEASE); /* R6 */
        held = false;
        seq = 0;
        slot = 0
    };
    notify_publisher(me)
}

/* R1 of cf_reader_hold_newest(). */
inline find_newest(me)
{
    atomic {
        TRY_BEGINS(me);
        load(me, NEWEST, value);
        seq = REF_SEQ(value);
        slot = REF_SLOT(value);
        value = 0
    }
}

/* R1 of cf_reader_hold_next(): the slot that the index names, else one found by looking at all. The
 * search goes for the oldest; any slot with a frame that is late enough is a guess as good as that
 * for what is checked here, and its loads at different moments make no other guesses possible. */
inline find_next(me)
{
    atomic {
        TRY_BEGINS(me);
        slot = NO_SLOT;
#ifdef WAIT
        load(me, INDEX(wanted), value);
        if
        :: value != INVALID && REF_SEQ(value) == wanted ->
            slot = REF_SLOT(value);
            load(me, SEQ(slot), seq)
        :: else
        fi;
        value = 0;
#endif
        if
        :: slot != NO_SLOT && seq == wanted
        :: else ->
            if
            :: slot = 0
            :: slot = 1
#if SLOTS > 2
            :: slot = 2
#endif
            fi;
            load(me, SEQ(slot), seq);
            if
            :: seq == INVALID || seq < wanted -> slot = NO_SLOT
            :: else
            fi
        fi
    }
}

proctype subscriber(byte me)
{
    byte value, slot, seq, wanted;
    bool held;
#ifdef EVICT
    bool torn;
#endif
    {
        do
        :: NEWS(me, wanted) ->
            if
            :: IN_ORDER(me) -> find_next(me)
            :: else -> find_newest(me)
            fi;
#ifdef CURSOR_EARLY
            store(me, CURSOR(me), wanted + 1, RELEASE);
#endif
            if
            :: slot != NO_SLOT -> hold(me)
            :: else -> held = false
            fi;
            if
            :: held ->
                d_step {
                    ROOM(me);
                    assert(seq >= wanted);
#if defined(WAIT) && !defined(EVICT)
                    assert(!IN_ORDER(me) || seq == wanted);
#endif
                    /* The program is told of a gap of seq - wanted frames. */
                    wanted = seq + 1;
#ifdef WAIT
                    if
                    :: IN_ORDER(me) -> store(me, CURSOR(me), wanted, RELEASE) /* R7 */
                    :: else
                    fi
#endif
                };
#ifdef WAIT
                if
                :: IN_ORDER(me) -> notify_publisher(me)
                :: else
                fi;
#endif
                read_picture(me);
#ifdef EVICT
                atomic {
                    load(me, REVOKED(me), value);
                    assert(!torn || value != 0);
                    torn = false
                };
                if
                :: value != 0 -> value = 0; break
                :: else
                fi;
#endif
                let_go(me);
#ifdef IDLE
                if
                :: !IN_ORDER(me) ->
end_idle:           false
                :: true
                fi
#endif
            :: else -> d_step { seq = 0; slot = 0 }
            fi
        :: PUBLISHER_GONE && !NEWS(me, wanted) -> break
        od;
        /* Every frame was received or reported as missed. */
        assert(!finished || wanted == next_seq || STOPPED(me))
    } unless { dead[me] };
    d_step {
        reading[me] = NO_SLOT
    }
}

/* ---- the rest ---- */

proctype death()
{
end:
    do
    :: d_step { deaths < DEATHS && !dead[0] -> dead[0] = true; reading[0] = NO_SLOT; deaths++ }
    :: d_step { deaths < DEATHS && !dead[1] -> dead[1] = true; reading[1] = NO_SLOT; deaths++ }
#ifndef PUBLISHER_LIVES
    :: d_step { deaths < DEATHS && !dead[PUBLISHER] && !finished ->
            dead[PUBLISHER] = true; deaths++ }
#endif
    od
}

init
{
    byte i;
    atomic {
        do
        :: i < SLOTS ->
            slot_seq[i] = (i < FIRST -> i : INVALID);
            mem[SEQ(i)] = slot_seq[i];
            mem[DATA(i)] = slot_seq[i];
            i++
        :: else -> break
        od;
        next_seq = FIRST;
        newest_slot = (FIRST > 0 -> FIRST - 1 : NO_SLOT);
        mem[NEWEST] = (FIRST > 0 -> REF(FIRST - 1, FIRST - 1) : INVALID);
#ifdef WAIT
        i = 0;
        do
        :: i < LAST -> mem[INDEX(i)] = (i < FIRST -> REF(i, i) : INVALID); i++
        :: else -> break
        od;
        run service();
#endif
        reading[0] = NO_SLOT;
        reading[1] = NO_SLOT;
        attached[0] = true;
        attached[1] = true;
        i = 0;
#if DEATHS > 0
        run death();
#endif
        run memory(0);
        run memory(1);
        run memory(PUBLISHER);
        run subscriber(0);
#ifdef HOARD
        /* It holds the first frame and never does anything again; -DALONE: it is dead. */
        mem[HOLD(1, 0)] = 1;
#ifdef ALONE
        dead[1] = true;
#else
        reading[1] = 0;
#endif
#else
        run subscriber(1);
#endif
        run publisher();
    }
}
