/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes one call of libc fail, whichever part of the program makes it: the linker sends every call
 * of interpose.def here (`--wrap`). Any thread; arm and disarm are for one thread.
 */
#pragma once

#include <stdbool.h>

/* A fault: a call, and an error that it can fail with. They are numbered from 0. */
unsigned interpose_faults(void);
const char *interpose_call(unsigned fault);
int interpose_errno(unsigned fault);

/* The nth call from now on (1 = the next) fails, once. */
void interpose_arm(unsigned fault, unsigned nth);
/* Disarms, and says whether it has happened. */
bool interpose_disarm(void);

/* How often a fault's call was made since the process began. */
unsigned interpose_calls(unsigned fault);

/* How many blocks of memory were allocated through the wrapped calls and not freed. */
long interpose_live_blocks(void);
