/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Faults on demand, for tests in the process that has loaded the stand-in: the functions are found
 * with dlsym() in the library "libcuda.so.1"; a real driver has none of them. Any thread, at any
 * time. What the environment can ask for is in README.md.
 */
#pragma once

/* The nth call from now (1 = the next) of this function returns `result`, once. A call is named as
 * it is exported; "operation" is any operation of a stream, "copy", "kernel", "write", "host" are
 * those of a kind: they fail when they run, and the error is then their context's. */
void standin_fail(const char *call, unsigned nth, int result);
/* Every call from now on returns `result`, as on a GPU that has fallen off the bus; 0 = it is back. */
void standin_lose(int result);
/* Every operation of a stream takes so long at least. */
void standin_delay(unsigned microseconds);
/* How often the call was made so far. */
unsigned standin_calls(const char *call);
/* What there is now: allocations, mappings, address ranges, streams, events, contexts. */
unsigned standin_objects(void);
