/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file frame.h
 * A frame: one picture in shared memory together with what is known about it.
 *
 * A `cuframes_frame_t` is handed out by cuframes_subscriber_next(). While it is held, the picture
 * and everything these functions return do not change. The accessors take no locks, make no
 * system calls, and may be called from any thread that can see the frame.
 */
#ifndef CUFRAMES_FRAME_H
#define CUFRAMES_FRAME_H

#include <cuframes/base.h>
#include <cuframes/format.h>

CUFRAMES_BEGIN_DECLS

typedef struct cuframes_frame cuframes_frame_t;

/** Where memory is. */
typedef enum cuframes_memory {
    CUFRAMES_MEMORY_AUTO = 0, /**< the GPU where there is one this library can use, else the host */
    CUFRAMES_MEMORY_HOST = 1,
    CUFRAMES_MEMORY_CUDA = 2
} cuframes_memory_t;

/** Frame flags. */
enum {
    /** Time or content do not follow the frame that this subscriber had before: the publisher
     *  said so of this frame, or of one in between that the subscriber did not get. */
    CUFRAMES_FRAME_DISCONTINUITY = 1u << 0,
    CUFRAMES_FRAME_CORRUPT = 1u << 1,    /**< the decoder reported damage */
    CUFRAMES_FRAME_GENERATION = 1u << 2, /**< first frame this subscriber sees of a generation */
    CUFRAMES_FRAME_KEY = 1u << 3,        /**< decoded from a key frame */
    CUFRAMES_FRAME_PACKET = 1u << 4,     /**< cuframes_frame_packet_seq() is known */
    /** Two fields, taken one after the other: the rows with even numbers, and the others. */
    CUFRAMES_FRAME_INTERLACED = 1u << 5,
    CUFRAMES_FRAME_TOP_FIELD_FIRST = 1u << 6 /**< of an interlaced one the even rows are older */
};

/** Where a capture time comes from. */
typedef enum cuframes_clock_source {
    CUFRAMES_CLOCK_UNKNOWN = 0,     /**< no capture time */
    CUFRAMES_CLOCK_RECEIVED = 1,    /**< this host's clock when the picture's data arrived */
    CUFRAMES_CLOCK_CAMERA = 2,      /**< the camera's clock, through RTCP sender reports */
    CUFRAMES_CLOCK_DEVICE = 3,      /**< the capture driver's time stamp (V4L2) */
    CUFRAMES_CLOCK_APPLICATION = 4, /**< the publisher's program set it */
    CUFRAMES_CLOCK_FILE = 5         /**< recorded in the file that is played */
} cuframes_clock_source_t;

/** Value of a time that is not known. */
#define CUFRAMES_NO_TIME INT64_MIN

/** One plane of a frame, as it is meant to be seen: crop applied, padding outside. */
typedef struct cuframes_plane {
    const void *data;   /**< first byte of the visible picture; host or device pointer */
    uint32_t pitch;     /**< bytes from one row to the next */
    uint32_t row_bytes; /**< bytes of one visible row */
    uint32_t rows;      /**< visible rows */
} cuframes_plane_t;

/**
 * Start of the slot's memory: a device pointer for frames in GPU memory, a host pointer for
 * frames in host memory (see cuframes_frame_memory()). Read-only.
 */
CUFRAMES_API void *cuframes_frame_cuda_ptr(const cuframes_frame_t *frame);
/** The same pointer under a name that does not mislead. */
CUFRAMES_API const void *cuframes_frame_data(const cuframes_frame_t *frame);
/** Bytes at cuframes_frame_data(). */
CUFRAMES_API size_t cuframes_frame_data_size(const cuframes_frame_t *frame);
/** HOST or CUDA: what the pointers of this frame are. */
CUFRAMES_API cuframes_memory_t cuframes_frame_memory(const cuframes_frame_t *frame);
/** Pixel format: that of the frame's generation. */
CUFRAMES_API cuframes_format_t cuframes_frame_format(const cuframes_frame_t *frame);
/** Visible size in pixels: the crop's. Either pointer may be NULL. */
CUFRAMES_API void cuframes_frame_size(const cuframes_frame_t *frame, int32_t *width,
                                      int32_t *height);
/** Bytes from one row to the next in plane 0. */
CUFRAMES_API int32_t cuframes_frame_pitch_y(const cuframes_frame_t *frame);
/** The same in plane 1; 0 for formats with one plane. */
CUFRAMES_API int32_t cuframes_frame_pitch_uv(const cuframes_frame_t *frame);
/** Number of planes. */
CUFRAMES_API int32_t cuframes_frame_plane_count(const cuframes_frame_t *frame);
/** Describes plane `index` into `plane`; INVALID_ARG if there is no such plane. */
CUFRAMES_API int cuframes_frame_plane(const cuframes_frame_t *frame, int32_t index,
                                      cuframes_plane_t *plane);
/** The layout of the channel's slots, valid as long as the frame. */
CUFRAMES_API const cuframes_layout_t *cuframes_frame_layout(const cuframes_frame_t *frame);
/** The visible rectangle inside the coded picture. */
CUFRAMES_API void cuframes_frame_crop(const cuframes_frame_t *frame, cuframes_rect_t *crop);

/** Sequence number: 0 for a channel's first frame, +1 for each published frame. */
CUFRAMES_API uint64_t cuframes_frame_seq(const cuframes_frame_t *frame);
/** Frames of the channel that this subscriber was to get and did not since its frame before. */
CUFRAMES_API uint64_t cuframes_frame_missed(const cuframes_frame_t *frame);
/** Presentation time in nanoseconds on the publisher's time line; CUFRAMES_NO_TIME if unknown. */
CUFRAMES_API int64_t cuframes_frame_pts_ns(const cuframes_frame_t *frame);
/** When the frame was announced, CLOCK_MONOTONIC in nanoseconds. */
CUFRAMES_API int64_t cuframes_frame_published_ns(const cuframes_frame_t *frame);
/**
 * When the picture was taken, nanoseconds since 1970 on CLOCK_REALTIME, CUFRAMES_NO_TIME if
 * unknown. `source` (may be NULL) says where the time comes from.
 */
CUFRAMES_API int64_t cuframes_frame_capture_ns(const cuframes_frame_t *frame,
                                               cuframes_clock_source_t *source);
/** CUFRAMES_FRAME_… flags. */
CUFRAMES_API uint32_t cuframes_frame_flags(const cuframes_frame_t *frame);
/**
 * Number of the packet that the frame was decoded from (cuframes_packet_seq()) into `seq`;
 * NOT_FOUND when the publisher did not say.
 */
CUFRAMES_API int cuframes_frame_packet_seq(const cuframes_frame_t *frame, uint64_t *seq);
/** How to read its colours: the frame's own, or the channel's. */
CUFRAMES_API void cuframes_frame_color(const cuframes_frame_t *frame, cuframes_color_t *color);
/** Generation of the channel: changes with its geometry, format or memory. */
CUFRAMES_API uint32_t cuframes_frame_generation(const cuframes_frame_t *frame);
/**
 * The publisher's own bytes for this frame (detections, say), at most CUFRAMES_MAX_USER_DATA;
 * `size` receives how many. NULL if there are none. Valid while the frame is held.
 */
CUFRAMES_API const void *cuframes_frame_user_data(const cuframes_frame_t *frame, size_t *size);

/**
 * Copies the visible picture into host memory of the caller's, wherever the frame is: its planes one
 * behind the other without gaps, in the cuframes_calc_frame_size() bytes of the frame's format and
 * size. `size` is the room at `target`: INVALID_ARG if that is less. From GPU memory the GPU copies,
 * beside other work of the program, and the call returns when that has ended; a program that wants
 * every frame in host memory subscribes with CUFRAMES_SUBSCRIBER_STAGED, which goes through pinned
 * memory and is faster. CUDA; OUT_OF_MEMORY. Any thread.
 */
CUFRAMES_API int cuframes_frame_copy_to_host(const cuframes_frame_t *frame, void *target,
                                             size_t size);

/**
 * The descriptor of the memory that the frame lies in, for programs that pass frames on to others
 * which do not know this library: byte `*offset` of it is where cuframes_frame_data() points. Lent,
 * and open while the frame is held; duplicate it to keep it. It can be mapped for reading only, and
 * whoever has it can read every slot of the channel at any time: only the hold keeps this one from
 * being written again.
 *
 * Returns the descriptor or a negative error: INVALID_ARG when the subscriber was made without
 * CUFRAMES_SUBSCRIBER_FRAME_FD; FORMAT for a frame that is not in host memory. Any thread.
 */
CUFRAMES_API int cuframes_frame_fd(const cuframes_frame_t *frame, uint64_t *offset);

/**
 * Whether the hold still protects the frame: CUFRAMES_OK, or CUFRAMES_ERR_EVICTED when the
 * publisher has evicted this subscriber, after which the picture may be overwritten at any time; or
 * DISCONNECTED, PROTOCOL, OUT_OF_MEMORY when the publisher lives and has ended the connection for
 * that reason, with the same effect. Ask after the last read of a frame that was held for long on a
 * channel with the wait policy.
 */
CUFRAMES_API int cuframes_frame_check(const cuframes_frame_t *frame);

/**
 * Gives the frame back. Any thread, also after its subscriber was destroyed: the memory stays
 * mapped and the hold counts until the last frame is released. NULL is fine.
 */
CUFRAMES_API int cuframes_frame_release(cuframes_frame_t *frame);

/**
 * Gives the frame back when all work that is in `stream` now (a CUstream or cudaStream_t of any
 * context of the process; NULL = the legacy default stream of the context that the frame is read
 * in) is done: kernels that read it may still be under way. Returns at once; the frame must not be
 * used for more work. Where the device can, the stream itself tells the publisher, without a wake-up
 * of this process; else a thread of the library waits for it. After the subscriber was destroyed the
 * call waits for the stream. A frame whose pointers are host pointers takes no stream (INVALID_ARG;
 * NULL is release). CUDA if the stream is not valid: the frame is held as before. Any thread. NULL
 * frame is fine. Not for frames of a callback (async.h), which the library releases.
 */
CUFRAMES_API int cuframes_frame_release_stream(cuframes_frame_t *frame, void *stream);

CUFRAMES_END_DECLS

#endif
