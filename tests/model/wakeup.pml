/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a subscriber sleeps until there is a frame, and how the publisher wakes it: prepare_wait(),
 * sleep and end_wait in src/ring/reader.c, wake() and cf_writer_end() in src/ring/writer.c.
 *
 * One publisher, which publishes FRAMES frames and closes the ring, and two subscribers, each of
 * which sleeps on the futex or on its descriptor as it likes, anew each time. Sleeps have no
 * timeout here. Checked: no subscriber sleeps for ever (spin reports a state that nobody can
 * leave), and one that sees the end of the ring has seen the last frame.
 */
#ifndef FRAMES
#define FRAMES 2
#endif
#define READERS 2
#define PROCS 3
#define PUBLISHER 2

/* The shared words; frame n is NEWEST = n + 1. */
#define NEWEST 0
#define STATE 1
#define WAKE 2
#define WAITING(r) (3 + (r))
#define LOCATIONS (3 + READERS)

#define ON_ARRIVAL(location) skip
#include "memory.pml"

#define FUTEX 1
#define DESCRIPTOR 2

/* The kernel's: who sleeps on the word, and whose descriptor has something to read. */
bool sleeping[READERS];
bool readable[READERS];

inline look_at_waiting(r)
{
    atomic {
        load(PUBLISHER, WAITING(r), value); /* W8 */
        if
        :: value == DESCRIPTOR -> readable[r] = true
        :: value == FUTEX -> all = true
        :: else
        fi;
        value = 0
    }
}

/* wake() */
inline wake()
{
    /* W7 */
#ifdef RELAXED_W7
    store(PUBLISHER, WAKE, wakes + 1, RELAXED);
#else
    store(PUBLISHER, WAKE, wakes + 1, RELEASE);
#endif
    wakes++;
#ifndef NO_FENCE_WAKE
    fence(PUBLISHER);
#endif
    look_at_waiting(0);
    look_at_waiting(1);
    if
    :: all -> d_step { sleeping[0] = false; sleeping[1] = false; all = false }
    :: else
    fi
}

proctype publisher()
{
    byte value, wakes, n;
    bool all;

    do
    :: n < FRAMES ->
        n++;
        store(PUBLISHER, NEWEST, n, RELEASE); /* W6, cf_writer_publish() */
        wake()
    :: else -> break
    od;
    store(PUBLISHER, STATE, 1, RELEASE); /* cf_writer_end() */
    wake()
}

proctype subscriber(byte me)
{
    byte value, how, word, seen;
    bool news, ended;

    do
    ::  /* cf_reader_state() before the look, so that the last frame is not missed. */
        load(me, STATE, ended);
        load(me, NEWEST, value);
        if
        :: value > seen -> seen = value
        :: value == seen && ended -> break
        :: value == seen && !ended ->
            if
            :: how = FUTEX
            :: how = DESCRIPTOR
            fi;
#ifndef CLEAR_LATE
            readable[me] = false;
#endif
            /* R9, cf_reader_prepare_wait() */
#ifndef WORD_LATE
            load(me, WAKE, word);
#endif
            store(me, WAITING(me), how, RELAXED);
#ifndef NO_FENCE_R9
            fence(me);
#endif
#ifdef NO_LOOK
            news = false;
#else
            load(me, NEWEST, value);
            news = (value > seen);
            load(me, STATE, value);
            news = news || value != 0;
#endif
#ifdef WORD_LATE
            load(me, WAKE, word);
#endif
#ifdef CLEAR_LATE
            readable[me] = false;
#endif
            /* R10, cf_reader_sleep() or poll() */
            if
            :: news
            :: !news && how == FUTEX ->
                d_step {
                    if
                    :: mem[WAKE] == word -> sleeping[me] = true
                    :: else
                    fi
                };
                !sleeping[me]
            :: !news && how == DESCRIPTOR -> readable[me]
            fi;
            store(me, WAITING(me), 0, RELAXED) /* cf_reader_end_wait() */
        fi;
        d_step { value = 0; news = false; ended = false; how = 0; word = 0 }
    od;
    assert(seen == FRAMES)
}

init
{
    atomic {
        run memory(0);
        run memory(1);
        run memory(PUBLISHER);
        run subscriber(0);
        run subscriber(1);
        run publisher();
    }
}
