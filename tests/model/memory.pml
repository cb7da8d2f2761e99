/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared memory as C11 promises it, for the models beside this file. Include it after defining
 *   PROCS      number of processes that store
 *   LOCATIONS  number of shared words
 *
 * A store first goes into a buffer of its process and reaches memory some time later, when the
 * process `memory` takes it out. Stores of one process may arrive in any order, with two limits:
 * those to the same word stay in order, and a release store arrives after everything before it.
 * (With -DFIFO every store arrives in order, as on x86.) A process sees its own stores at once.
 * A fence (sequentially consistent) and an atomic read-modify-write wait until the buffer is empty.
 *
 * Loads happen in program order and read one memory that all see alike. So this finds a missing
 * fence between a store and a load, and a missing release; it does not find a missing acquire.
 * docs/memory-model.md says for each acquire why it is there.
 */
#define BUFFER 5
#define RELAXED 0
#define RELEASE 1

typedef Buffer {
    byte used;
    byte at[BUFFER];
    byte value[BUFFER];
    bit release[BUFFER]
};

#define ROOM(p) (buffers[p].used < BUFFER)

byte mem[LOCATIONS];
Buffer buffers[PROCS];
hidden byte mi;

inline store(p, location, v, order)
{
    d_step {
        ROOM(p); /* a full buffer makes its process wait */
        buffers[p].at[buffers[p].used] = location;
        buffers[p].value[buffers[p].used] = v;
        buffers[p].release[buffers[p].used] = order;
        buffers[p].used++
    }
}

/* Not a step of its own where it is used inside atomic. */
inline load(p, location, result)
{
    d_step {
        result = mem[location];
        mi = 0;
        do
        :: mi < buffers[p].used ->
            if
            :: buffers[p].at[mi] == location -> result = buffers[p].value[mi]
            :: else
            fi;
            mi++
        :: else -> break
        od;
        mi = 0
    }
}

/* Takes entry i out of the buffer of p. Freed entries are cleared: fewer different states. */
inline arrive(p, i)
{
    mem[buffers[p].at[i]] = buffers[p].value[i];
    ON_ARRIVAL(buffers[p].at[i]);
    mi = i;
    do
    :: mi + 1 < buffers[p].used ->
        buffers[p].at[mi] = buffers[p].at[mi + 1];
        buffers[p].value[mi] = buffers[p].value[mi + 1];
        buffers[p].release[mi] = buffers[p].release[mi + 1];
        mi++
    :: else -> break
    od;
    buffers[p].used--;
    buffers[p].at[buffers[p].used] = 0;
    buffers[p].value[buffers[p].used] = 0;
    buffers[p].release[buffers[p].used] = 0;
    mi = 0
}

inline fence(p)
{
    d_step {
        do
        :: buffers[p].used > 0 -> arrive(p, 0)
        :: else -> break
        od
    }
}

#ifdef FIFO
#define PASSES(p, i, j) false
#else
#define PASSES(p, i, j) (buffers[p].at[i] != buffers[p].at[j])
#endif
#define MAY_ARRIVE_1(p) (buffers[p].used > 1 && !buffers[p].release[1] && PASSES(p, 1, 0))
#define MAY_ARRIVE_2(p)                                                                            \
    (buffers[p].used > 2 && !buffers[p].release[2] && PASSES(p, 2, 0) && PASSES(p, 2, 1))
#define MAY_ARRIVE_3(p)                                                                            \
    (buffers[p].used > 3 && !buffers[p].release[3] && PASSES(p, 3, 0) && PASSES(p, 3, 1) &&        \
     PASSES(p, 3, 2))
#define MAY_ARRIVE_4(p)                                                                            \
    (buffers[p].used > 4 && !buffers[p].release[4] && PASSES(p, 4, 0) && PASSES(p, 4, 1) &&        \
     PASSES(p, 4, 2) && PASSES(p, 4, 3))

/* One for each process that stores: what it has buffered reaches memory, also after its death. */
proctype memory(byte whose)
{
end:
    do
    :: d_step { buffers[whose].used > 0 -> arrive(whose, 0) }
    :: d_step { MAY_ARRIVE_1(whose) -> arrive(whose, 1) }
    :: d_step { MAY_ARRIVE_2(whose) -> arrive(whose, 2) }
    :: d_step { MAY_ARRIVE_3(whose) -> arrive(whose, 3) }
    :: d_step { MAY_ARRIVE_4(whose) -> arrive(whose, 4) }
    od
}
