/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine that is played, and faults on demand: what the environment says, what a test asks
 * for, and what every call does before anything else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "standin.h"

#define MAX_CALLS  160
#define MAX_FAULTS 16
#define NAME_SIZE  48

struct counter {
    char call[NAME_SIZE];
    unsigned count;
};

struct fault {
    char call[NAME_SIZE]; /* empty = free */
    unsigned left;
    int result;
};

static struct {
    pthread_mutex_t lock;
    struct counter counters[MAX_CALLS];
    struct fault faults[MAX_FAULTS];
    unsigned calls_until_lost; /* 0 = never */
    int lost;                  /* what every call returns */
    unsigned delay_us;
    bool initialized, forked;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct machine played;
static pthread_once_t once = PTHREAD_ONCE_INIT;

_Thread_local bool in_host_function;

static long number_of(const char *name, long otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtol(text, NULL, 0) : otherwise;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to 32 hex digits, dashes between them, as nvidia-smi prints them; what is missing is zero. */
static const char *read_uuid(const char *text, struct uuid *uuid)
{
    memset(uuid, 0, sizeof(*uuid));
    if (strncmp(text, "GPU-", 4) == 0)
        text += 4;
    for (int digit = 0; *text && *text != ','; text++)
        if (hex_digit(*text) >= 0 && digit < 32) {
            uuid->bytes[digit / 2] |= (uint8_t)(hex_digit(*text) << (digit % 2 ? 0 : 4));
            digit++;
        }
    return *text == ',' ? text + 1 : text;
}

static void name_devices(void)
{
    const char *text = getenv("STANDIN_UUIDS");

    for (int i = 0; i < MAX_DEVICES; i++) {
        memcpy(played.uuids[i].bytes, "stand-in device", 15);
        played.uuids[i].bytes[15] = (uint8_t)i;
        if (text && *text)
            text = read_uuid(text, &played.uuids[i]);
    }
}

/* CUDA_VISIBLE_DEVICES as the driver has it, for numbers: which devices, and in which order. */
static void choose_devices(void)
{
    const char *text = getenv("CUDA_VISIBLE_DEVICES");
    struct uuid all[MAX_DEVICES];
    int chosen = 0;

    if (!text)
        return;
    memcpy(all, played.uuids, sizeof(all));
    while (*text && chosen < MAX_DEVICES) {
        char *end;
        long device = strtol(text, &end, 10);

        /* The first that is none ends the list. */
        if (end == text || device < 0 || device >= played.devices)
            break;
        played.uuids[chosen++] = all[device];
        text = *end == ',' ? end + 1 : end;
    }
    played.devices = chosen;
}

/* "CALL:NTH=RESULT", several with commas between them. */
static void read_faults(void)
{
    const char *text = getenv("STANDIN_FAULTS");

    while (text && *text) {
        char call[NAME_SIZE];
        unsigned nth;
        int result;

        if (sscanf(text, "%47[^:]:%u=%d", call, &nth, &result) != 3) {
            fprintf(stderr, "stand-in: STANDIN_FAULTS is CALL:NTH=RESULT, not \"%s\"\n", text);
            abort();
        }
        standin_fail(call, nth, result);
        text = strchr(text, ',');
        text += text ? 1 : 0;
    }
}

static void after_fork(void)
{
    pthread_mutex_init(&state.lock, NULL);
    state.forked = state.initialized;
}

static void read_environment(void)
{
    long devices = number_of("STANDIN_DEVICES", 1);

    played.devices = devices < 0 ? 0 : devices > MAX_DEVICES ? MAX_DEVICES : (int)devices;
    played.version = (int)number_of("STANDIN_VERSION", 13000);
    played.peers = number_of("STANDIN_PEERS", 1);
    played.vmm = number_of("STANDIN_VMM", 1);
    played.descriptors = played.vmm && number_of("STANDIN_DESCRIPTORS", 1);
    played.registers = number_of("STANDIN_REGISTER", 1);
    played.mig = number_of("STANDIN_MIG", 0);
    played.mps = number_of("STANDIN_MPS", 0);
    played.memory = (size_t)number_of("STANDIN_MEMORY_MIB", 4096) << 20;
    name_devices();
    choose_devices();
    state.delay_us = (unsigned)number_of("STANDIN_DELAY_US", 0);
    state.calls_until_lost = (unsigned)number_of("STANDIN_LOST_AFTER", 0);
    read_faults();
    pthread_atfork(NULL, NULL, after_fork);
}

const struct machine *machine(void)
{
    pthread_once(&once, read_environment);
    return &played;
}

/* Finds or makes; NULL when the table is full, which only makes counts wrong. */
static struct counter *counter_of(const char *call)
{
    for (int i = 0; i < MAX_CALLS; i++) {
        struct counter *counter = &state.counters[i];

        if (!counter->call[0])
            snprintf(counter->call, sizeof(counter->call), "%s", call);
        if (strcmp(counter->call, call) == 0)
            return counter;
    }
    return NULL;
}

static int due_fault(const char *call)
{
    for (int i = 0; i < MAX_FAULTS; i++) {
        struct fault *fault = &state.faults[i];

        if (strcmp(fault->call, call) != 0 || --fault->left > 0)
            continue;
        fault->call[0] = '\0';
        return fault->result;
    }
    return SUCCESS;
}

/* Locked. */
static int count_call(const char *call)
{
    struct counter *counter = counter_of(call);

    if (counter)
        counter->count++;
    return due_fault(call);
}

static int count_and_lose(const char *call)
{
    int result = count_call(call);

    if (state.calls_until_lost && --state.calls_until_lost == 0)
        state.lost = UNKNOWN;
    return state.lost ? state.lost : result;
}

int enter_early(const char *call)
{
    int result;

    machine();
    pthread_mutex_lock(&state.lock);
    result = count_and_lose(call);
    pthread_mutex_unlock(&state.lock);
    return result;
}

int enter(const char *call)
{
    int result;

    machine();
    pthread_mutex_lock(&state.lock);
    result = !state.initialized || state.forked ? NOT_INITIALIZED
             : in_host_function                 ? NOT_PERMITTED
                                                : count_and_lose(call);
    pthread_mutex_unlock(&state.lock);
    return result;
}

int enter_operation(const char *kind)
{
    int result, of_kind;

    pthread_mutex_lock(&state.lock);
    result = count_call("operation");
    of_kind = count_call(kind);
    result = state.lost ? state.lost : result ? result : of_kind;
    pthread_mutex_unlock(&state.lock);
    return result;
}

void set_initialized(void)
{
    pthread_mutex_lock(&state.lock);
    state.initialized = true;
    pthread_mutex_unlock(&state.lock);
}

unsigned operation_delay_us(void)
{
    unsigned delay;

    pthread_mutex_lock(&state.lock);
    delay = state.delay_us;
    pthread_mutex_unlock(&state.lock);
    return delay;
}

/* --- for tests ---------------------------------------------------------------------------------- */
EXPORTED void standin_fail(const char *call, unsigned nth, int result)
{
    pthread_mutex_lock(&state.lock);
    for (int i = 0; i < MAX_FAULTS; i++)
        if (!state.faults[i].call[0]) {
            snprintf(state.faults[i].call, sizeof(state.faults[i].call), "%s", call);
            state.faults[i].left = nth;
            state.faults[i].result = result;
            break;
        }
    pthread_mutex_unlock(&state.lock);
}

EXPORTED void standin_lose(int result)
{
    pthread_mutex_lock(&state.lock);
    state.lost = result;
    pthread_mutex_unlock(&state.lock);
}

EXPORTED void standin_delay(unsigned microseconds)
{
    pthread_mutex_lock(&state.lock);
    state.delay_us = microseconds;
    pthread_mutex_unlock(&state.lock);
}

EXPORTED unsigned standin_calls(const char *call)
{
    unsigned count = 0;

    pthread_mutex_lock(&state.lock);
    for (int i = 0; i < MAX_CALLS; i++)
        if (strcmp(state.counters[i].call, call) == 0)
            count = state.counters[i].count;
    pthread_mutex_unlock(&state.lock);
    return count;
}
