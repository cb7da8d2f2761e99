/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file subscriber.h
 * A subscriber reads a channel's frames in place.
 *
 * Threads: next, fd, info and destroy of one subscriber from one thread at a time; the calls for
 * packets (packet.h) from that thread or from one other; release and the accessors of a frame
 * from any thread. After fork() the child must not use a subscriber it
 * inherited: every call but destroy and release returns CUFRAMES_ERR_INVALID_ARG there.
 */
#ifndef CUFRAMES_SUBSCRIBER_H
#define CUFRAMES_SUBSCRIBER_H

#include <cuframes/base.h>
#include <cuframes/error.h>
#include <cuframes/frame.h>
#include <cuframes/stats.h>

CUFRAMES_BEGIN_DECLS

typedef struct cuframes_subscriber cuframes_subscriber_t;

/** Subscriber flags. */
enum {
    /** When the publisher goes away, `next` waits for the next one and attaches again. */
    CUFRAMES_SUBSCRIBER_RECONNECT = 1u << 0,
    /** Make cuframes_subscriber_fd() available: one more descriptor on each side. */
    CUFRAMES_SUBSCRIBER_POLL = 1u << 1,
    /** Take copies of the frames where they cannot be read in place: through pinned host memory,
     *  complete when `next` returns, counted in the statistics. Without it, the attachment is
     *  refused with the reason. */
    CUFRAMES_SUBSCRIBER_STAGED = 1u << 3,
    /** Read in the calling thread's current CUDA context, and on its device, instead of the primary
     *  context of `cuda_device`. It must outlive the subscriber and its frames. */
    CUFRAMES_SUBSCRIBER_CURRENT_CONTEXT = 1u << 4,
    /** Keep the descriptor of the frames' memory, for cuframes_frame_fd(): one descriptor more for
     *  each generation. */
    CUFRAMES_SUBSCRIBER_FRAME_FD = 1u << 8,
    /** Packets alone (packet.h): no frame memory is sent or mapped, and the publisher does not
     *  count it among the readers of frames. `next` returns NOT_FOUND. */
    CUFRAMES_SUBSCRIBER_PACKETS_ONLY = 1u << 2
};

/** How to wait for a publisher. Zero-initialise it; zero means the default. */
typedef struct cuframes_connect_options {
    /** Asked while cuframes_subscriber_create() waits, at least every 50 ms, by the thread that waits;
     *  not 0 ends the wait with WOULD_BLOCK. NULL = nobody is asked. */
    int (*stop)(void *user);
    void *user; /**< for `stop` */
    /** Longest wait for the answer of a publisher that is there but says nothing (a process that is
     *  stopped), milliseconds; then TIMEOUT. 0 = what connect_timeout_ms allows. */
    int32_t answer_timeout_ms;
    uint32_t _pad;
    uint64_t _reserved[4];
} cuframes_connect_options_t;

/** How to subscribe. Zero-initialise it; zero means the default everywhere. The layout is ABI. */
typedef struct cuframes_subscriber_config {
    const char *key;
    const char
        *consumer_name; /**< 1 to 63 printable characters, unique in the channel; NULL = made up */
    int mode;           /**< cuframes_subscriber_mode_t */
    /** The GPU that reads frames in GPU memory: CUDA's index (cuframes_gpu_find() gives it for a
     *  name), or CUFRAMES_GPU_OF_FRAMES. Another GPU than the frames' reads them in place where it
     *  has peer access. */
    int32_t cuda_device;
    /** How long to wait for a publisher and its answer. Below 0: for ever. 0: not at all, NOT_FOUND at
     *  once where there is none; one that is there has a second to answer, then TIMEOUT. Above 0: so
     *  many milliseconds for both together, then TIMEOUT. */
    int32_t connect_timeout_ms;
    uint32_t flags; /**< CUFRAMES_SUBSCRIBER_… */
    uint32_t
        max_holds; /**< frames it wants to hold at once; 0 = as many as the channel grants, at most 4 */
    float max_fps;  /**< give at most so many frames a second; 0 = all */
    uint32_t every; /**< give every n-th frame by sequence number; 0 and 1 = all */
    uint32_t
        memory; /**< cuframes_memory_t: what shall read them, CPU (HOST) or GPU; AUTO = what is there */
    const char *runtime_dir;                   /**< NULL = the default */
    const cuframes_connect_options_t *connect; /**< borrowed during create; NULL = the defaults */
} cuframes_subscriber_config_t;

/**
 * Attaches to a channel. Errors: INVALID_ARG; NOT_FOUND or TIMEOUT (no publisher, or no answer, see
 * connect_timeout_ms); WOULD_BLOCK (connect->stop said so); ALREADY_EXISTS (the name is in use); TOO_MANY (the channel is full, or
 * max_holds is more than it grants); NOT_FOUND also for a channel of packets alone, unless
 * CUFRAMES_SUBSCRIBER_PACKETS_ONLY is set; PERMISSION; PROTOCOL (another version, memory that is not
 * sealed, a description that does not add up); FORMAT (the frames are in GPU memory and the CPU is
 * to read them: see CUFRAMES_SUBSCRIBER_STAGED); CUDA (a GPU is to read them and cannot: another
 * GPU without access, one that this process does not see, no driver; the sentence says what to do).
 */
CUFRAMES_API int cuframes_subscriber_create(const cuframes_subscriber_config_t *config,
                                            cuframes_subscriber_t **subscriber);

/**
 * The same over a connection that was made elsewhere: `fd` is a connected SOCK_SEQPACKET Unix
 * socket whose other end is with a publisher. It is consumed, also on failure. `config->key` may
 * be NULL; connect_timeout_ms bounds the publisher's answer (0 and below = 5 s: the connection may be
 * on its way to it). A subscriber
 * made this way cannot reconnect: the flag is refused with INVALID_ARG.
 */
CUFRAMES_API int cuframes_subscriber_create_from_fd(const cuframes_subscriber_config_t *config,
                                                    int fd, cuframes_subscriber_t **subscriber);

/**
 * Detaches. Frames not yet released stay valid, and are released with cuframes_frame_release().
 * NULL is fine.
 */
CUFRAMES_API int cuframes_subscriber_destroy(cuframes_subscriber_t *subscriber);

/**
 * Holds the next frame and gives it to `frame`, to be released with cuframes_subscriber_release()
 * or one of the functions of frame.h. A frame's contents are complete when it is given, copies
 * (staged access) included, so that no stream has to wait for anything: `stream` is not used and may
 * be NULL. Frames that were given back behind a stream count as held until its work is done; when no
 * more may be held the call waits for them.
 *
 * timeout_ms: below 0 waits for ever; 0 returns WOULD_BLOCK when there is nothing; above 0
 * returns TIMEOUT. Other errors: TOO_MANY (as many frames are held as were granted; release one);
 * DISCONNECTED (the publisher closed or died, and reconnect is off); EVICTED (told once; with
 * reconnect the next call attaches again; may take 50 ms longer, for the publisher's reason); PROTOCOL (the publisher says what cannot be).
 */
CUFRAMES_API int cuframes_subscriber_next(cuframes_subscriber_t *subscriber, void *stream,
                                          cuframes_frame_t **frame, int32_t timeout_ms);

/** Gives a frame back; the same as cuframes_frame_release(). NULL frame is fine. */
CUFRAMES_API int cuframes_subscriber_release(cuframes_subscriber_t *subscriber,
                                             cuframes_frame_t *frame);

/**
 * A descriptor that polls readable when next(…, 0) has something to say: a frame, or that the
 * publisher is gone; with packets enabled also when next_packet(…, 0) has. It is the
 * subscriber's: do not read, write or close it. After it polls readable call next(…, 0), and
 * next_packet(…, 0) where packets are enabled, until each returns WOULD_BLOCK, which also re-arms
 * it; before the first poll, too. It stays the same through reconnects. INVALID_ARG without CUFRAMES_SUBSCRIBER_POLL.
 *
 * It does not tell when a stream has given a frame back. While as many frames are held as were granted
 * (`held` and `max_holds` of the statistics) and one of them is on its way back behind a stream's work
 * (cuframes_frame_release_stream()), next(…, 0) returns WOULD_BLOCK without re-arming: do not poll
 * then, but call next with a timeout of some milliseconds, which waits for the stream, until it
 * returns something else than TIMEOUT or fewer are held.
 */
CUFRAMES_API int cuframes_subscriber_fd(cuframes_subscriber_t *subscriber);

/** What the channel is now, as this subscriber sees it. */
CUFRAMES_API int cuframes_subscriber_info(cuframes_subscriber_t *subscriber,
                                          cuframes_channel_info_t *info);
/** Any thread. */
CUFRAMES_API int cuframes_subscriber_stats(cuframes_subscriber_t *subscriber,
                                           cuframes_subscriber_stats_t *stats);
/** How it gets at the frames now; UNKNOWN before it was attached. Any thread. */
CUFRAMES_API cuframes_access_t cuframes_subscriber_access(const cuframes_subscriber_t *subscriber);
/** The name it is known by at the publisher; valid until destroy. */
CUFRAMES_API const char *cuframes_subscriber_name(const cuframes_subscriber_t *subscriber);

CUFRAMES_END_DECLS

#endif
