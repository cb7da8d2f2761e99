/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file packet.h
 * The encoded stream beside the frames: access units as the source delivered them, in a ring of
 * their own that is shared read-only.
 *
 * A channel has up to CUFRAMES_MAX_STREAMS elementary streams (video, audio) in one ring. Packets
 * of all streams share one sequence of numbers, from 0, in the order in which they were published.
 * Time stamps are nanoseconds; a stream's own time base is in its description, and converting back
 * with rounding gives the source's numbers.
 *
 * What a reader gets is what the source has: H.264 and HEVC packets are in Annex B form (start
 * codes) or in length-prefixed form (avcC, hvcC), as cuframes_stream_t.packaging says, and the
 * extradata has the same form. The library does not convert between them.
 *
 * Threads: as publisher.h and subscriber.h say. A subscriber's frames and packets are read from
 * one thread at a time, or frames from one thread and packets from another.
 */
#ifndef CUFRAMES_PACKET_H
#define CUFRAMES_PACKET_H

#include <cuframes/base.h>
#include <cuframes/frame.h>
#include <cuframes/publisher.h>
#include <cuframes/stream.h>
#include <cuframes/subscriber.h>

CUFRAMES_BEGIN_DECLS

/** Packet flags. */
enum {
    CUFRAMES_PKT_FLAG_KEY = 1u << 0,           /**< decoding can start here */
    CUFRAMES_PKT_FLAG_CORRUPT = 1u << 1,       /**< the source reported damage */
    CUFRAMES_PKT_FLAG_DISCONTINUITY = 1u << 2, /**< time or content do not follow on */
    CUFRAMES_PKT_FLAG_LAST_IN_AU = 1u << 3,    /**< completes its access unit */
    /** Set by the reader: the first packet that this subscriber gets of a packet generation;
     *  ask for the streams' descriptions again. */
    CUFRAMES_PKT_FLAG_GENERATION = 1u << 4
};

/** The packet ring. Zero-initialise it; zero means the default. */
typedef struct cuframes_packet_ring_options {
    uint32_t ring_slots;      /**< packets that the ring has room for; 0 = 64, or see keep_ms */
    uint32_t data_size;       /**< bytes for their data; 0 = 8 MiB, or see keep_ms */
    uint32_t max_packet_size; /**< largest packet; 0 = 2 MiB (but at most half of data_size) */
    uint32_t codec_id;        /**< of the video stream of the one-stream calls */
    /** Not 0: choose ring_slots and data_size from the streams' own rate, so that about this many
     *  milliseconds, and at least two whole GOPs, are kept. The ring grows while it runs (readers
     *  follow by themselves) up to max_data_size. Sizes that are given are where it starts. */
    uint32_t keep_ms;
    uint32_t max_data_size; /**< with keep_ms: most bytes; 0 = 64 MiB */
    uint64_t _reserved[3];
} cuframes_packet_ring_options_t;

/** A packet to publish. Zero-initialise it. */
typedef struct cuframes_packet_desc {
    const void *data; /**< copied into the ring */
    size_t size;
    int64_t pts_ns;      /**< presentation time, CUFRAMES_NO_TIME = unknown */
    int64_t dts_ns;      /**< decoding time, CUFRAMES_NO_TIME = unknown */
    int64_t duration_ns; /**< 0 = unknown */
    int64_t capture_ns;  /**< CLOCK_REALTIME; used when capture_source is not UNKNOWN */
    cuframes_clock_source_t capture_source;
    uint32_t stream; /**< index into the streams */
    uint32_t flags;  /**< CUFRAMES_PKT_FLAG_… but GENERATION */
    uint32_t _pad;
    uint64_t _reserved[4];
} cuframes_packet_desc_t;

/* ---- publisher ---- */

/**
 * Gives the channel a packet ring. `options` may be NULL. ALREADY_EXISTS the second time;
 * INVALID_ARG for sizes that do not fit together; OUT_OF_MEMORY. With options->codec_id the
 * channel has one video stream of that codec; else it has none until
 * cuframes_publisher_set_streams().
 */
CUFRAMES_API int cuframes_publisher_enable_packets(cuframes_publisher_t *publisher,
                                                   const cuframes_packet_ring_options_t *options);

/**
 * Describes the elementary streams: all of them, at any time. The first call and every later one
 * begins a packet generation: subscribers get no packet of the generation before after the first
 * of the new one, and see CUFRAMES_PKT_FLAG_GENERATION on that. Copied. `count` is 1 to
 * CUFRAMES_MAX_STREAMS. Descriptions that are equal to those in force change nothing.
 * NO_PACKET_RING without cuframes_publisher_enable_packets().
 */
CUFRAMES_API int cuframes_publisher_set_streams(cuframes_publisher_t *publisher,
                                                const cuframes_stream_t *streams, int32_t count);

/** Publishes one packet, and tells its number if `seq` is not NULL. Never waits for a subscriber.
 *  NO_PACKET_RING; PACKET_OVERSIZED (nothing published, the ring goes on); INVALID_ARG (no such
 *  stream, empty packet). */
CUFRAMES_API int cuframes_publisher_send_packet(cuframes_publisher_t *publisher,
                                                const cuframes_packet_desc_t *packet,
                                                uint64_t *seq);

/** The one-stream calls: extradata of stream 0 (copied, at most CUFRAMES_MAX_EXTRADATA bytes). */
CUFRAMES_API int cuframes_publisher_set_codec_extradata(cuframes_publisher_t *publisher,
                                                        const void *extradata, size_t size);
/** And a packet of stream 0; `data` is copied, times are nanoseconds. Errors as
 *  cuframes_publisher_send_packet(). */
CUFRAMES_API int cuframes_publisher_publish_packet(cuframes_publisher_t *publisher,
                                                   const void *data, size_t size, int64_t pts_ns,
                                                   int64_t dts_ns, uint32_t flags);

/* ---- subscriber ---- */

typedef struct cuframes_packet cuframes_packet_t;

/** Where a subscriber begins. */
typedef enum cuframes_packet_start {
    CUFRAMES_PACKETS_FROM_NEWEST_KEY = 0, /**< the newest key frame: at once, nothing old */
    CUFRAMES_PACKETS_FROM_OLDEST_KEY = 1, /**< the oldest key frame that is kept */
    /** The youngest key frame that is at least pre_roll_ms old, else the oldest kept. */
    CUFRAMES_PACKETS_FROM_PRE_ROLL = 2
} cuframes_packet_start_t;

/** How to read packets. Zero-initialise it. */
typedef struct cuframes_packet_options {
    cuframes_packet_start_t start;
    uint32_t pre_roll_ms;
    /** Bit i: give packets of stream i; 0 = all. */
    uint32_t streams;
    /** Longest wait for the publisher's answer, milliseconds; 0 = 1000, below 0 = for ever. */
    int32_t timeout_ms;
    uint64_t _reserved[4];
} cuframes_packet_options_t;

/**
 * Begins to read packets. Key frames are those of the first video stream; without one every
 * packet is a start. NOT_FOUND when the publisher has no packets (with
 * CUFRAMES_SUBSCRIBER_RECONNECT, too). ALREADY_EXISTS the second time. TIMEOUT when the publisher
 * does not answer (options->timeout_ms); the call may then be made again, and goes on waiting for the
 * same answer.
 */
CUFRAMES_API int cuframes_subscriber_enable_packets(cuframes_subscriber_t *subscriber);
/** The same with options (NULL = the same as zeros). */
CUFRAMES_API int cuframes_subscriber_enable_packets_from(cuframes_subscriber_t *subscriber,
                                                         const cuframes_packet_options_t *options);

/**
 * Copies the next packet out of the ring and gives it to `packet`, to be released with
 * cuframes_subscriber_release_packet(). Any number may be out; they stay valid after destroy.
 *
 * timeout_ms as cuframes_subscriber_next(). Other errors: PACKET_OVERRUN, once, when the ring has
 * overwritten packets before they were read: cuframes_last_error() has the count, reading goes on
 * at a key frame, and cuframes_packet_lost() of that one has the count too; DISCONNECTED and
 * EVICTED as there; OUT_OF_MEMORY; NO_PACKET_RING before enable_packets.
 */
CUFRAMES_API int cuframes_subscriber_next_packet(cuframes_subscriber_t *subscriber,
                                                 cuframes_packet_t **packet, int32_t timeout_ms);
/** Frees a packet. NULL is fine. `subscriber` may be NULL. Any thread. */
CUFRAMES_API int cuframes_subscriber_release_packet(cuframes_subscriber_t *subscriber,
                                                    cuframes_packet_t *packet);

/** Number of streams of the generation of the newest packet given (before the first packet: of
 *  the generation that it will have); a negative error before that is known. */
CUFRAMES_API int32_t cuframes_subscriber_stream_count(cuframes_subscriber_t *subscriber);
/** Describes stream `index`. Its extradata is valid until the next packet call of the subscriber. */
CUFRAMES_API int cuframes_subscriber_stream(cuframes_subscriber_t *subscriber, int32_t index,
                                            cuframes_stream_t *stream);
/** Codec and extradata of stream 0; NO_CODEC_PARAMS until the publisher has set them. Lent as
 *  above. Either pointer may be NULL. */
CUFRAMES_API int cuframes_subscriber_get_codec_params(cuframes_subscriber_t *subscriber,
                                                      uint32_t *codec_id, const void **extradata,
                                                      size_t *size);

/** The packet's bytes; `size` of them, followed by 64 bytes of zero for decoders that read ahead. */
CUFRAMES_API const void *cuframes_packet_data(const cuframes_packet_t *packet);
/** How many bytes those are. */
CUFRAMES_API size_t cuframes_packet_size(const cuframes_packet_t *packet);
/** Presentation time, nanoseconds; CUFRAMES_NO_TIME if unknown. */
CUFRAMES_API int64_t cuframes_packet_pts(const cuframes_packet_t *packet);
/** Decoding time, nanoseconds; CUFRAMES_NO_TIME if unknown. */
CUFRAMES_API int64_t cuframes_packet_dts(const cuframes_packet_t *packet);
/** Nanoseconds; 0 if unknown. */
CUFRAMES_API int64_t cuframes_packet_duration(const cuframes_packet_t *packet);
/** When it was taken, as cuframes_frame_capture_ns(). */
CUFRAMES_API int64_t cuframes_packet_capture_ns(const cuframes_packet_t *packet,
                                                cuframes_clock_source_t *source);
/** When it was published, CLOCK_MONOTONIC. */
CUFRAMES_API int64_t cuframes_packet_published_ns(const cuframes_packet_t *packet);
/** CUFRAMES_PKT_FLAG_… flags. */
CUFRAMES_API uint32_t cuframes_packet_flags(const cuframes_packet_t *packet);
/** Number in the channel's sequence of packets, from 0. */
CUFRAMES_API uint64_t cuframes_packet_seq(const cuframes_packet_t *packet);
/** Index of its stream. */
CUFRAMES_API uint32_t cuframes_packet_stream(const cuframes_packet_t *packet);
/** Packet generation: changes with the streams' descriptions. */
CUFRAMES_API uint32_t cuframes_packet_generation(const cuframes_packet_t *packet);
/** Packets (of streams that were asked for or not) lost by an overrun just before this one. */
CUFRAMES_API uint64_t cuframes_packet_lost(const cuframes_packet_t *packet);

CUFRAMES_END_DECLS

#endif
