/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packet ring: overwriting, publishing, copying out, waking (src/ring/packet_writer.c and
 * src/ring/packet_reader.c). Each step carries its label of the C comments.
 *
 * One writer and one reader: a reader stores nothing but its wish to be woken, so several do not
 * meet. The writer publishes LAST packets of one or two lines each, in every combination, into an
 * index of ENTRIES and a byte ring of LINES lines. With few entries the index wraps first, with few
 * lines the bytes do. It ends by closing the ring, or dies at any step (-DDEATHS). A reader's death
 * is not modelled: the writer loads nothing of the reader's but that wish, and never waits. Checked
 * in every state that can be reached:
 * - a packet that the reader accepts is the one it asked for: its entry, and each of its lines;
 * - what it accepted and what it reports as lost are together all that was published;
 * - it does not sleep for ever, neither while there is a packet for it nor after the end (spin
 *   reports a state that nobody can leave), also when the writer died;
 * - -DCOUNT: a packet of which nothing was overwritten is not reported as lost.
 *
 * As in frame_ring.pml, several C statements are one step where nothing that the other process does
 * in between could make a difference. The fence P2 is a release fence: what it orders here is what a
 * full one orders, because the writer loads nothing between it and its next release store. Loads
 * happen in program order (memory.pml), so that Q1 and Q4 need mutants of their own, which do the
 * loads in the order that a missing acquire would allow.
 *
 * The checks and the mutants are listed in run-packets.sh; a mutant's #ifdef says what it breaks.
 */
#ifndef ENTRIES
#define ENTRIES 2
#endif
#ifndef LINES
#define LINES 4
#endif
#ifndef LAST
#define LAST 5
#endif
#define MOST 2 /* lines of a packet: at most half of the ring */

#define PROCS 2
#define READER 0
#define WRITER 1

#define HEAD 0
#define OLDEST 1
#define WORD 2
#define WAITING 3
#define STATE 4
#define POSITION(n) (5 + (n) % ENTRIES)
#define SIZE(n) (5 + ENTRIES + (n) % ENTRIES)
#define LINE(p) (5 + 2 * ENTRIES + (p) % LINES)
#define LOCATIONS (5 + 2 * ENTRIES + LINES)

#define ON_ARRIVAL(location) skip
#include "memory.pml"

bool dead;     /* the writer */
bool finished; /* it has published all that it wanted to, and closed the ring */
bool sleeping; /* the reader, in cf_futex_wait() */

/* What is true, as opposed to what the reader is told. */
byte true_position[LAST];
byte true_size[LAST];

/* ---- writer ---- */

byte head, oldest, behind;

/* cf_packet_writer_oldest_beside() and cf_packet_writer_forget() for a packet of `size` lines. */
inline forget(size)
{
    d_step {
        do
#ifndef BYTES_ONLY
        :: head - oldest >= ENTRIES -> oldest++
#endif
#ifndef INDEX_ONLY
        :: oldest < head && behind + size - true_position[oldest] > LINES -> oldest++
#endif
        :: else -> break
        od
    };
    d_step {
        store(WRITER, OLDEST, oldest, RELEASE) /* P1 */
    };
#ifndef NO_FENCE_P2
    fence(WRITER) /* P2 */
#endif
}

#ifdef RELAXED_P5
#define P5_ORDER RELAXED
#else
#define P5_ORDER RELEASE
#endif

/* cf_packet_writer_put() */
inline put(size)
{
#ifndef OLDEST_LATE
    forget(size);
#endif
    d_step {
        true_position[head] = behind;
        true_size[head] = size;
        store(WRITER, LINE(behind), head, RELAXED); /* P3 */
        if
        :: size > 1 -> store(WRITER, LINE(behind + 1), head, RELAXED) /* P3 */
        :: else
        fi;
        store(WRITER, POSITION(head), behind, RELAXED); /* P4 */
        store(WRITER, SIZE(head), size, RELAXED)     /* P4 */
    };
#ifdef OLDEST_LATE
    fence(WRITER);
    forget(size);
#endif
    d_step {
        ROOM(WRITER);
        behind = behind + size;
        head++;
        store(WRITER, HEAD, head, P5_ORDER) /* P5 */
    }
}

/* cf_packet_writer_wake() */
inline wake(word)
{
    d_step { store(WRITER, WORD, word, RELEASE) }; /* P6 */
    atomic {
#ifndef NO_FENCE_P6
        fence(WRITER);
#endif
        load(WRITER, WAITING, value); /* P7 */
        if
        :: value != 0 -> sleeping = false
        :: else
        fi;
        value = 0
    }
}

proctype writer()
{
    byte value;
    {
        do
        :: head < LAST ->
            if
            :: put(1)
            :: put(2)
            fi;
            wake(head)
        :: else -> break
        od;
        /* cf_packet_writer_end() */
        store(WRITER, STATE, 1, RELEASE);
        wake(LAST + 1);
        finished = true
    } unless { dead }
}

/* ---- reader ---- */

#define WRITER_GONE ((finished || dead) && buffers[WRITER].used == 0)

/* cf_packet_reader_prepare_wait() and _sleep(). A reader looks at the connection now and then, which
 * tells it of the writer's death. */
inline wait_for_news()
{
#ifndef WORD_LATE
    load(READER, WORD, seen);
#endif
    atomic {
        store(READER, WAITING, 1, RELAXED);
#ifndef NO_FENCE_Q6
        fence(READER) /* Q6 */
#endif
    };
#ifdef NO_LOOK
    value = 0;
#else
    load(READER, HEAD, value);
    load(READER, STATE, closed);
#endif
#ifdef WORD_LATE
    load(READER, WORD, seen);
#endif
    if
    :: value > wanted || closed != 0
    :: else ->
        atomic {
            if
            :: mem[WORD] == seen -> sleeping = true
            :: else
            fi
        };
        atomic { !sleeping || dead -> sleeping = false }
    fi;
    d_step { store(READER, WAITING, 0, RELAXED); value = 0; seen = 0; closed = 0 }
}

/* cf_packet_reader_look(): `gone`, or the entry. */
inline look()
{
#ifdef ENTRY_FIRST
    /* A missing acquire at Q1: the entry as it was before. */
    load(READER, POSITION(wanted), position);
    load(READER, SIZE(wanted), size);
#endif
    load(READER, HEAD, value); /* Q1 */
    if
    :: value <= wanted -> news = false
    :: value > wanted && value - wanted > ENTRIES -> gone = true
    :: else ->
#ifdef CHECK_FIRST
        /* A missing fence Q4: the check before what it is about. */
        load(READER, OLDEST, checked);
#endif
#ifndef ENTRY_FIRST
        load(READER, POSITION(wanted), position); /* Q2 */
        load(READER, SIZE(wanted), size);         /* Q2 */
#endif
#ifndef CHECK_FIRST
        load(READER, OLDEST, checked); /* Q5 */
#endif
#ifndef NO_CHECK_OF_ENTRY
        gone = checked > wanted;
#endif
        checked = 0
    fi;
    value = 0
}

/* cf_packet_reader_copy() */
inline copy()
{
#ifdef CHECK_FIRST
    load(READER, OLDEST, checked);
#endif
    load(READER, LINE(position), value); /* Q3 */
    torn = torn || value != wanted;
    if
    :: size > 1 ->
        load(READER, LINE(position + 1), value); /* Q3 */
        torn = torn || value != wanted
    :: else
    fi;
#ifndef CHECK_FIRST
    load(READER, OLDEST, checked); /* Q5 */
#endif
#ifndef NO_CHECK_OF_BYTES
    gone = checked > wanted;
#endif
    checked = 0;
    value = 0
}

proctype reader()
{
    byte value, checked, seen, closed, wanted, position, size, accepted, lost;
    bool news, gone, torn;
    {
        do
        ::  d_step { news = true; gone = false; torn = false };
            look();
            if
            :: !news && WRITER_GONE && mem[HEAD] <= wanted -> break
            :: !news && !(WRITER_GONE && mem[HEAD] <= wanted) -> wait_for_news()
            :: news && !gone ->
                assert(position == true_position[wanted] && size == true_size[wanted]);
                copy();
                if
                :: !gone ->
                    d_step {
                        assert(!torn);
                        accepted++;
                        wanted++
                    }
                :: else
                fi
            :: else
            fi;
            if
            :: gone ->
                atomic {
                    load(READER, OLDEST, value);
#ifdef COUNT
                    assert(value > wanted);
#endif
                    if
                    :: value > wanted -> lost = lost + value - wanted; wanted = value
                    :: else
                    fi;
                    value = 0
                }
            :: else
            fi;
            d_step { position = 0; size = 0 }
        od;
        assert(!finished || accepted + lost == LAST)
    }
}

proctype death()
{
    if
    :: d_step { !finished -> dead = true }
    :: finished
    fi
}

init
{
    atomic {
#ifdef DEATHS
        run death();
#endif
        run memory(READER);
        run memory(WRITER);
        run reader();
        run writer()
    }
}
