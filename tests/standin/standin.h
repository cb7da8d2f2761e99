/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stand-in for libcuda.so.1 on machines without a GPU, for tests only: what its parts share.
 *
 * Devices, contexts, streams and memory are kept in tables of this process, under one lock, which
 * is held for table work and never while an operation of a stream runs. Device memory is a memfd,
 * so that it can be exported. A device address is reserved and never readable by the processor, as
 * on a GPU; the operations of streams reach the memory through a second mapping (the alias), whose
 * protection is that which the program asked for with cuMemSetAccess().
 *
 * Numbers and structures are those of the driver's binary interface, under names of our own, and
 * declared here a second time on purpose: the library's own declarations are tested against them.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORTED    __attribute__((visibility("default")))
#define MAX_DEVICES 16
#define GRANULARITY ((size_t)2 << 20)

enum result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    PEER_ACCESS_UNSUPPORTED = 217,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    PEER_ACCESS_ALREADY_ENABLED = 704,
    PEER_ACCESS_NOT_ENABLED = 705,
    CONTEXT_IS_DESTROYED = 709,
    HOST_MEMORY_ALREADY_REGISTERED = 712,
    HOST_MEMORY_NOT_REGISTERED = 713,
    LAUNCH_FAILED = 719,
    NOT_PERMITTED = 800,
    NOT_SUPPORTED = 801,
    UNKNOWN = 999,
};

enum { READ_ACCESS = 1, WRITE_ACCESS = 3 };

struct location {
    int type; /* 1 = device */
    int id;
};

struct allocation {
    int type; /* 1 = pinned */
    int handle_types;
    struct location location;
    void *win32;
    uint8_t flags[8];
};

struct access {
    struct location location;
    int flags;
};

struct uuid {
    uint8_t bytes[16];
};

/* --- faults.c: what each call does first, and what the environment asks for ------------------- */

/* How the machine is that this library plays, read once from the environment: see README.md. */
struct machine {
    int devices;
    int version;
    bool peers, vmm, descriptors, registers, mig, mps;
    size_t memory; /* of each device, bytes */
    struct uuid uuids[MAX_DEVICES];
};

const struct machine *machine(void);

/* Counts a call and says how it must fail at once: not initialised, in a child of fork(), from a
 * host function, on a lost device, or as a test asked for. */
int enter(const char *call);
/* The same for a call that works before cuInit(). */
int enter_early(const char *call);
/* The same for the operations of streams, counted as "operation" and as their own kind. */
int enter_operation(const char *kind);

#define ENTER(call)                                                                                \
    do {                                                                                           \
        int entered = enter(#call);                                                                \
        if (entered)                                                                               \
            return entered;                                                                        \
    } while (0)

void set_initialized(void);
/* How long every operation of a stream takes at least, microseconds. */
unsigned operation_delay_us(void);
/* Set in threads that run host functions: CUDA must not be called from them. */
extern _Thread_local bool in_host_function;

/* --- devices.c ---------------------------------------------------------------------------------- */
bool is_device(int device);
/* The device that has this UUID, or -1. */
int device_of_uuid(const struct uuid *uuid);
bool can_reach(int device, int peer);

/* --- contexts.c --------------------------------------------------------------------------------- */
struct stream;

/* Never freed, so that a stale handle is told from a stranger's. */
struct context {
    struct context *next;
    int device;
    bool primary;
    unsigned retained;
    _Atomic bool alive;
    _Atomic int error;       /* sticky: of an operation that failed */
    bool peers[MAX_DEVICES]; /* cuCtxEnablePeerAccess */
    struct stream *streams;
    struct stream *null_stream, *thread_stream; /* the default ones */
};

/* The lock of all tables, and what is signalled when an operation is complete. */
extern pthread_mutex_t tables;
extern pthread_cond_t progress;

/* The calling thread's context, or why it cannot be used. The lock is held or not. */
int current_context(struct context **context);
/* Locked. */
struct context *all_contexts(void);
/* Ends a context's streams, waiting for their work. Locked. */
void end_streams(struct context *context);
/* Waits for all its streams; its error if it has one. Locked, but not while it waits. */
int wait_for_context(struct context *context);

/* --- streams.c ---------------------------------------------------------------------------------- */
#define MAX_PAYLOAD 192

/* An operation of a stream. `run` is called by the stream's thread, without the lock; what it
 * returns, unless SUCCESS, becomes the context's error, after which operations no longer run. */
struct operation {
    const char *kind;
    int (*run)(struct context *context, void *payload);
    /* Instead of `run` once the context has failed: for what must not be lost. NULL = nothing. */
    void (*skip)(struct context *context, void *payload);
};

/* A place in a stream: reached when that many operations are complete. */
struct place {
    struct stream *stream; /* referenced; NULL = nowhere, and so reached */
    uint64_t number;
};

/* All of these want the lock. */
int find_stream(void *handle, struct context *context, struct stream **stream);
int make_stream(struct context *context, bool blocking, struct stream **stream);
/* The handle is no stream any more; what was submitted is still done. */
void end_stream(struct stream *stream);
struct context *context_of_stream(const struct stream *stream);
struct place tail_of_stream(struct stream *stream);
void place_unref(struct place *place);
bool place_is_reached(const struct place *place);
void wait_for_place(const struct place *place);
/* Appends an operation; `after` (may be NULL) is one more place that it waits for. */
int append(struct stream *stream, const struct operation *operation, const void *payload,
           size_t size, const struct place *after);

unsigned count_streams(const struct context *context);
/* How many streams and events there are in all. */
unsigned count_stream_objects(void);

/* Takes the lock: appends to the stream of this handle, in the calling thread's context. */
int submit(void *handle, const struct operation *operation, const void *payload, size_t size);
/* The same on the NULL stream, and waits until it is done; the context's error if it has one. */
int submit_and_wait(const struct operation *operation, const void *payload, size_t size);

/* --- memory.c ----------------------------------------------------------------------------------- */
enum region_kind {
    REGION_MAPPED,     /* cuMemMap */
    REGION_DEVICE,     /* cuMemAlloc */
    REGION_PINNED,     /* cuMemAllocHost, cuMemHostAlloc */
    REGION_REGISTERED, /* cuMemHostRegister */
};

struct handle;

/* Memory that devices can reach. */
struct region {
    struct region *next;
    enum region_kind kind;
    uintptr_t start;
    size_t size;
    uint8_t *alias; /* where operations find it */
    int device;     /* whose memory it is; for host memory that of the context */
    struct context *context;
    struct handle *handle; /* mapped ones */
    uint8_t access[MAX_DEVICES];
};

/* The region of an address, or NULL. Locked. */
struct region *region_of(uint64_t address);
void add_region(struct region *region);
void remove_region(struct region *region);
/* Takes `size` bytes of a device's memory into account, or gives them back. Locked. */
int take_memory(int device, size_t size);
void give_memory(int device, size_t size);
/* An address range that nobody can touch; NULL when there is none. */
void *reserve_addresses(size_t size);

/* Where an operation on `device` finds `size` bytes at this address, if it has the access. Without
 * a region: INVALID_VALUE. With one that does not allow it: ILLEGAL_ADDRESS. Takes the lock. */
int device_memory(int device, uint64_t address, size_t size, int access, void **found);
/* The same, but an address without a region is the processor's. */
int any_memory(int device, uint64_t address, size_t size, int access, void **found);
