/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file publisher.h
 * A publisher owns a channel: its slots, its name, and the list of who reads it.
 *
 * Frames reach subscribers in two steps. A slot is acquired: from then on it is the caller's to
 * write, and nobody reads it. Then it is published: from then on nobody writes it until every
 * subscriber that holds it has let go. No call makes the publisher wait for a subscriber unless
 * the wait policy was chosen.
 *
 * Threads: all functions of one publisher may be called from any thread, except that destroy must
 * be the last. A library thread per publisher answers subscribers that come and go.
 *
 * After fork() the child must not use a publisher it inherited: every call but destroy returns
 * CUFRAMES_ERR_INVALID_ARG there, and destroy frees the child's copy without touching the channel.
 */
#ifndef CUFRAMES_PUBLISHER_H
#define CUFRAMES_PUBLISHER_H

#include <cuframes/base.h>
#include <cuframes/error.h>
#include <cuframes/format.h>
#include <cuframes/frame.h>
#include <cuframes/stats.h>

CUFRAMES_BEGIN_DECLS

typedef struct cuframes_publisher cuframes_publisher_t;

/** A slot in the hands of the publishing program. */
typedef struct cuframes_buffer cuframes_buffer_t;

typedef enum cuframes_ownership {
    CUFRAMES_OWNERSHIP_LIBRARY = 0, /**< the library allocates the slots */
    CUFRAMES_OWNERSHIP_EXTERNAL = 1 /**< the caller's own device buffers (GPU memory) */
} cuframes_ownership_t;

/** Publisher flags. */
enum {
    /** No socket in the runtime directory: subscribers come by cuframes_publisher_add_client(). */
    CUFRAMES_PUBLISHER_NO_SOCKET = 1u << 0,
    /** A channel without frames: packets alone (packet.h). Width, height and format may be 0,
     *  what else is said of frames is ignored, and acquire returns INVALID_ARG. */
    CUFRAMES_PUBLISHER_PACKETS_ONLY = 1u << 1,
    /** GPU memory: use the calling thread's current CUDA context, and its device, instead of the
     *  primary context of `cuda_device`. It must outlive the publisher and its buffers. */
    CUFRAMES_PUBLISHER_CURRENT_CONTEXT = 1u << 2
};

/** How to make a channel. Zero-initialise it; zero means the default everywhere. */
typedef struct cuframes_publisher_config {
    const char *key; /**< 1 to 63 characters of A-Z a-z 0-9 _ - */
    int32_t width;   /**< visible width in pixels, 1 to CUFRAMES_MAX_DIMENSION */
    int32_t height;  /**< visible height in pixels */
    cuframes_format_t format;
    cuframes_ownership_t ownership;
    int32_t ring_size; /**< slots, 2 to 64; 0 = CUFRAMES_DEFAULT_SLOTS */
    cuframes_policy_t policy;
    int32_t consumer_ack_timeout_ms; /**< wait policy: 0 = 200, below 0 = wait for ever */
    int32_t cuda_device; /**< GPU memory: CUDA's index; see cuframes_gpu_find() for names */

    cuframes_memory_t memory;
    uint32_t flags;          /**< CUFRAMES_PUBLISHER_… */
    int32_t max_subscribers; /**< 0 = CUFRAMES_MAX_SUBSCRIBERS */
    /** Most frames one subscriber may hold. 0 = slots - 2 (but at least 1), so that one greedy
     *  subscriber cannot stop the channel. At most slots - 1. */
    int32_t max_holds;
    /** Permission bits of the socket, 0 = 0600; with allowed_users 0666. */
    uint32_t socket_mode;
    const char *socket_group; /**< name or number of the socket's group; NULL = the process's */
    const char *runtime_dir;  /**< NULL = cuframes_runtime_dir() */
    /** Where the planes are; NULL = packed. Copied. Must leave room for width x height. */
    const cuframes_layout_t *layout;
    int32_t fps_num, fps_den;    /**< nominal frame rate, 0/0 = unknown */
    int32_t sar_num, sar_den;    /**< shape of a pixel, 0/0 = unknown */
    cuframes_color_t color;      /**< colour of frames that do not say otherwise */
    uint32_t allowed_user_count; /**< at most CUFRAMES_MAX_ALLOWED_USERS */
    /** Numbers of the users that may connect through the socket's name, as this process sees them
     *  (SO_PEERCRED); NULL = whoever the socket's permissions let through. This process's user and
     *  root may always. A user without a number in this user namespace is 65534. Connections that
     *  are handed to cuframes_publisher_add_client() are not checked. Copied. */
    const uint32_t *allowed_users;
    uint64_t _reserved[7];
} cuframes_publisher_config_t;

/** What is known about a frame. Zero-initialise it, then set pts_ns and capture_ns. */
typedef struct cuframes_frame_meta {
    int64_t pts_ns;     /**< presentation time, nanoseconds; CUFRAMES_NO_TIME = unknown */
    int64_t capture_ns; /**< CLOCK_REALTIME; used when capture_source is not UNKNOWN */
    cuframes_clock_source_t capture_source;
    uint32_t flags;         /**< CUFRAMES_FRAME_DISCONTINUITY, _CORRUPT, _KEY, _PACKET */
    cuframes_color_t color; /**< each 0 = the channel's */
    uint32_t copies; /**< copies the program made to fill the slot; counted in the statistics */
    cuframes_rect_t crop;  /**< visible rectangle; all 0 = the channel's width x height at 0,0 */
    const void *user_data; /**< copied; NULL = none */
    uint32_t user_size;    /**< bytes, at most CUFRAMES_MAX_USER_DATA */
    uint32_t _pad;
    uint64_t packet_seq; /**< packet it was decoded from; used with CUFRAMES_FRAME_PACKET */
    uint64_t _reserved[3];
} cuframes_frame_meta_t;

/**
 * Makes a channel and opens it for subscribers. `config` and what it points to are only read
 * during the call. Errors: INVALID_ARG; FORMAT (a layout that does not fit); ALREADY_EXISTS
 * (the key has a live publisher); PERMISSION or IO (the runtime directory); OUT_OF_MEMORY (all
 * memory of the slots is reserved here, so that none can run out later); CUDA (GPU memory was
 * asked for and cannot be had).
 */
CUFRAMES_API int cuframes_publisher_create(const cuframes_publisher_config_t *config,
                                           cuframes_publisher_t **publisher);

/**
 * Closes the channel. Frames that wait for their streams are announced first, for at most two
 * seconds; what is not done then is never announced, and its memory is freed when it is. Its subscribers see DISCONNECTED once they have read what they were given,
 * frames they hold stay valid, the socket's name is removed. Buffers still referenced stay
 * writable memory until their last unref. NULL is fine.
 */
CUFRAMES_API int cuframes_publisher_destroy(cuframes_publisher_t *publisher);

/**
 * The plain pair: acquire gives the start of a free slot, publish announces it. One slot at a
 * time: a second acquire without publish gives the same slot again (after a reconfigure, one of
 * the new generation). A publish that fails gives the slot back unused.
 *
 * acquire returns WOULD_BLOCK under the drop policy when every slot is held by somebody: the
 * frame is counted as dropped; go on with the next. Under the wait policy it waits for the
 * subscribers in the way, evicts them after consumer_ack_timeout_ms, and succeeds.
 *
 * publish: `stream` is a CUstream (cudaStream_t) for channels in GPU memory, of any context of the
 * process; the call does not wait for it. The frame is announced when all work that is in the
 * stream now is done, and after every frame published before. NULL is the legacy default stream of
 * the channel's context (the primary context of its device, which the runtime API uses): it covers
 * the work of all its streams but those made non-blocking. If the GPU work fails, the channel has
 * failed: nothing more is announced, subscribers get CUDA with the reason, and so does every later
 * call but destroy. A stream that is not valid only fails the call. For host memory `stream` must
 * be NULL (INVALID_ARG otherwise: finish the work first). `pts_ns` as in cuframes_frame_meta_t.
 * INVALID_ARG without an acquired slot.
 */
CUFRAMES_API int cuframes_publisher_acquire(cuframes_publisher_t *publisher, void **ptr);
/** The other half of the pair, see cuframes_publisher_acquire(). */
CUFRAMES_API int cuframes_publisher_publish(cuframes_publisher_t *publisher, void *stream,
                                            int64_t pts_ns);

/**
 * A channel over the caller's own device buffers: `count` pointers to memory of `frame_size` bytes
 * each on the GPU of the channel, announced with publish_external. They are shared in place if they
 * are 2 to 64 in memory that the driver can export (made by cuMemCreate() with
 * CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, mapped as a whole), at equal distances of a multiple of
 * 16 bytes in one allocation, or each at the same place of an allocation of its own, all of one
 * size; then they are the slots. Any others are copied on the GPU, once for each frame, which the
 * log says when the channel is made and the statistics count (`copied`). The buffers stay the
 * caller's, and must outlive the publisher. INVALID_ARG; errors as create.
 */
CUFRAMES_API int cuframes_publisher_create_external(const cuframes_publisher_config_t *config,
                                                    void **ptrs, int32_t count, size_t frame_size,
                                                    cuframes_publisher_t **publisher);
/**
 * Announces one of those buffers as publish does, behind the work of `stream`. In place, a buffer is
 * the caller's to write when acquire has given it; one that it did not ask for may be in the hands
 * of a subscriber, or be the newest frame: then the call returns WOULD_BLOCK, the frame is dropped,
 * and what a subscriber was reading has been overwritten by the program. Where frames are copied,
 * `ptr` is the caller's again when the work that is in `stream` after the call is done; errors then
 * also as acquire.
 */
CUFRAMES_API int cuframes_publisher_publish_external(cuframes_publisher_t *publisher, void *ptr,
                                                     void *stream, int64_t pts_ns);

/**
 * The handle-based pair: any number of slots may be acquired at once, and published in any order.
 * The caller owns one reference; further ones are for those who go on reading the slot after it
 * is published (a decoder with its reference pictures). The slot is written by nobody, and reused
 * by nobody, until the last reference is gone. Errors as cuframes_publisher_acquire().
 */
CUFRAMES_API int cuframes_publisher_acquire_buffer(cuframes_publisher_t *publisher,
                                                   cuframes_buffer_t **buffer);

/**
 * Announces the buffer with `meta` (NULL = nothing known) and, if `seq` is not NULL, tells its
 * sequence number, which follows the order of the publish calls. It does not take the caller's
 * reference; one that waits for its stream keeps one more. A buffer can be published once:
 * ALREADY_EXISTS the second time. A buffer of an earlier generation is refused with FORMAT once
 * a newer generation has been announced. INVALID_ARG for a crop outside the coded picture or
 * user data that is too long; then nothing was published. Under the wait policy the first frame of
 * a new generation waits, as acquire does, until the subscribers in order have been sent the
 * generation before.
 */
CUFRAMES_API int cuframes_publisher_publish_buffer(cuframes_publisher_t *publisher,
                                                   cuframes_buffer_t *buffer, void *stream,
                                                   const cuframes_frame_meta_t *meta,
                                                   uint64_t *seq);

/** Adds a reference, and returns the buffer. Any thread. */
CUFRAMES_API cuframes_buffer_t *cuframes_buffer_ref(cuframes_buffer_t *buffer);
/** Drops one; the last one of an unpublished buffer gives the slot back unused. NULL is fine. */
CUFRAMES_API void cuframes_buffer_unref(cuframes_buffer_t *buffer);
/** Start of the slot's memory. Writable until the buffer is published. */
CUFRAMES_API void *cuframes_buffer_data(cuframes_buffer_t *buffer);
/** The layout of this buffer's generation, valid as long as the reference. */
CUFRAMES_API const cuframes_layout_t *cuframes_buffer_layout(const cuframes_buffer_t *buffer);
/** Start of one plane (no crop), and its pitch in bytes unless NULL; NULL if there is no such plane. */
CUFRAMES_API void *cuframes_buffer_plane(cuframes_buffer_t *buffer, int32_t plane, uint32_t *pitch);
/**
 * Copies `size` bytes of host memory to `offset` in the slot, wherever that is: for GPU memory in
 * the order of `stream` (NULL for host memory). The copy is complete on return. INVALID_ARG if it
 * does not fit, or the buffer is published; CUDA.
 */
CUFRAMES_API int cuframes_buffer_write(cuframes_buffer_t *buffer, size_t offset, const void *data,
                                       size_t size, void *stream);
/** Generation the buffer belongs to. */
CUFRAMES_API uint32_t cuframes_buffer_generation(const cuframes_buffer_t *buffer);

/**
 * Says that no frames come for a while: who attaches from now on gets none of those that were
 * published before, but waits for the next, as on a channel that has just been made. For a program
 * that publishes only while somebody reads. Subscribers that are attached keep what they have. The
 * next frame ends it.
 */
CUFRAMES_API int cuframes_publisher_pause(cuframes_publisher_t *publisher);

/**
 * Prepares a new generation: from now on slots are acquired with the new size, format, layout
 * and number of slots. The fields key, ownership, policy, max_subscribers, runtime_dir, flags and
 * socket_… of `config` are ignored. Subscribers see the change with the first frame that is
 * published from the new memory; buffers of the old generation may be published until then.
 * Errors as create; on error the channel goes on as it was.
 */
CUFRAMES_API int cuframes_publisher_reconfigure(cuframes_publisher_t *publisher,
                                                const cuframes_publisher_config_t *config);

/**
 * Serves a connection that was made elsewhere: `fd` is one end of a connected SOCK_SEQPACKET Unix
 * socket whose other end is with a subscriber (cuframes_subscriber_create_from_fd()). The
 * descriptor is consumed, also on failure.
 */
CUFRAMES_API int cuframes_publisher_add_client(cuframes_publisher_t *publisher, int fd);

/** The CUDA context (a CUcontext) that the channel's next frames are in; NULL for host memory. */
CUFRAMES_API void *cuframes_publisher_cuda_context(cuframes_publisher_t *publisher);

/** What the channel is now. */
CUFRAMES_API int cuframes_publisher_info(cuframes_publisher_t *publisher,
                                         cuframes_channel_info_t *info);
/** What it has counted. */
CUFRAMES_API int cuframes_publisher_stats(cuframes_publisher_t *publisher,
                                          cuframes_publisher_stats_t *stats);
/**
 * Describes up to `capacity` attached subscribers into `list` and returns how many there are
 * (which can be more), or a negative error. `list` may be NULL if `capacity` is 0.
 */
CUFRAMES_API int cuframes_publisher_subscribers(cuframes_publisher_t *publisher,
                                                cuframes_subscriber_info_t *list, int32_t capacity);

CUFRAMES_END_DECLS

#endif
