/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file stats.h
 * What a channel is, and what publishers and subscribers count.
 */
#ifndef CUFRAMES_STATS_H
#define CUFRAMES_STATS_H

#include <cuframes/base.h>
#include <cuframes/format.h>
#include <cuframes/frame.h>
#include <cuframes/gpu.h>

CUFRAMES_BEGIN_DECLS

typedef enum cuframes_policy {
    CUFRAMES_POLICY_DROP_OLDEST = 0, /**< never wait for a subscriber */
    CUFRAMES_POLICY_STRICT_WAIT = 1  /**< wait for subscribers in strict order, up to a limit */
} cuframes_policy_t;

typedef enum cuframes_subscriber_mode {
    CUFRAMES_MODE_NEWEST_ONLY = 0, /**< each call gives the newest frame not yet given */
    CUFRAMES_MODE_STRICT_ORDER = 1 /**< each call gives the next frame in order */
} cuframes_subscriber_mode_t;

/** How a subscriber gets at the frames. */
typedef enum cuframes_access {
    CUFRAMES_ACCESS_UNKNOWN = 0,    /**< not attached yet */
    CUFRAMES_ACCESS_IN_PLACE = 1,   /**< where they are: in host memory, or on their own GPU */
    CUFRAMES_ACCESS_PEER = 2,       /**< in place from another GPU, over NVLink or PCIe */
    CUFRAMES_ACCESS_REGISTERED = 3, /**< a GPU reads host memory in place, over PCIe */
    CUFRAMES_ACCESS_STAGED = 4      /**< each frame is copied for it (CUFRAMES_SUBSCRIBER_STAGED) */
} cuframes_access_t;

/** "in place", "peer", "registered", "staged"; "unknown" for what is none of them. Static. */
CUFRAMES_API const char *cuframes_access_name(cuframes_access_t access);

/** Remarks on a channel. */
enum {
    /** There is a GPU, and CUFRAMES_MEMORY_AUTO chose host memory because the GPU cannot share its
     *  memory; the publisher's log says why. */
    CUFRAMES_CHANNEL_GPU_UNUSED = 1u << 0,
    /** It has a packet ring (packet.h). */
    CUFRAMES_CHANNEL_PACKETS = 1u << 1,
    /** It has no frames: size, format, memory, slots and layout are 0. */
    CUFRAMES_CHANNEL_PACKETS_ONLY = 1u << 2
};

/** What a channel is. */
typedef struct cuframes_channel_info {
    char key[CUFRAMES_KEY_MAX + 1];
    cuframes_format_t format;
    int32_t width;  /**< visible, pixels */
    int32_t height; /**< visible, pixels */
    cuframes_memory_t memory;
    cuframes_policy_t policy;
    int32_t slots;
    uint32_t generation;
    int32_t fps_num; /**< nominal frame rate as a fraction; 0/0 = unknown or variable */
    int32_t fps_den;
    int32_t sar_num; /**< shape of a pixel, width to height; 0/0 = unknown (square) */
    int32_t sar_den;
    cuframes_color_t color; /**< what frames have that do not say otherwise */
    int32_t ack_timeout_ms; /**< wait policy: how long the publisher waits; below 0 = for ever */
    int32_t max_holds;      /**< most frames that one subscriber may hold */
    int64_t pid; /**< publisher's process as this process sees it; 0 = another PID namespace */
    cuframes_layout_t layout;
    uint8_t gpu_uuid[CUFRAMES_GPU_UUID_SIZE]; /**< whose memory the frames are in; 0 = the host's */
    uint32_t notes;                           /**< CUFRAMES_CHANNEL_… */
    uint32_t stream_count;                    /**< elementary streams in the packet ring */
    uint64_t _reserved[5];
} cuframes_channel_info_t;

/** What a publisher counts since it was created. */
typedef struct cuframes_publisher_stats {
    uint64_t published;   /**< frames announced */
    uint64_t dropped;     /**< frames that found no free slot (drop policy) */
    uint64_t copied;      /**< frames that the publishing program says it copied into their slot */
    uint64_t evicted;     /**< subscribers evicted (wait policy) */
    uint64_t refused;     /**< connections refused */
    uint64_t waited_ns;   /**< time spent waiting for subscribers (wait policy), nanoseconds */
    uint64_t generations; /**< generations so far, 1 for a channel that never changed */
    uint32_t subscribers; /**< attached now; who reads packets alone counts when they are granted */
    uint32_t slots_held;  /**< slots that some subscriber holds now */
    int64_t
        newest_ns; /**< when the newest frame was announced (CLOCK_MONOTONIC); CUFRAMES_NO_TIME = none */
    uint64_t newest_seq;        /**< its sequence number; 0 if there is none */
    double fps;                 /**< measured over the newest frames; 0 when unknown */
    uint32_t pending;           /**< frames published that wait for their stream to be announced */
    uint32_t packets_kept;      /**< packets that can be read now */
    uint64_t packets;           /**< packets published */
    uint64_t packet_bytes;      /**< bytes of those */
    uint64_t packet_ring_bytes; /**< room for packets' bytes now; 0 = no packet ring */
    int64_t packet_kept_ns;     /**< time between the oldest and the newest of those kept */
    uint32_t frame_subscribers; /**< attached now, those who read packets alone not counted */
    uint32_t _pad;
    uint64_t _reserved[2];
} cuframes_publisher_stats_t;

/** What a subscriber counts since it was created; reconnects do not reset it. */
typedef struct cuframes_subscriber_stats {
    uint64_t received;          /**< frames given to the program */
    uint64_t missed;            /**< frames it was to get and did not: too late for them */
    uint64_t skipped;           /**< frames left out on request (every, max_fps) */
    uint64_t timeouts;          /**< calls that ended without a frame */
    uint64_t reconnects;        /**< times it attached again */
    uint64_t generations;       /**< changes of generation it followed */
    uint32_t held;              /**< frames held now */
    uint32_t max_holds;         /**< granted */
    uint64_t publisher_dropped; /**< frames that the publisher had no free slot for */
    uint64_t staged;            /**< frames that were copied for it (staged access) */
    cuframes_access_t access;   /**< how it gets at the frames */
    uint32_t _pad;
    uint64_t packets_received; /**< packets given to the program */
    uint64_t packets_lost;     /**< packets overwritten before they were read */
    uint64_t _reserved[3];
} cuframes_subscriber_stats_t;

/** What a subscriber reads. */
enum { CUFRAMES_READS_FRAMES = 1u << 0, CUFRAMES_READS_PACKETS = 1u << 1 };

/** How a publisher sees one of its subscribers. Counters are the subscriber's own words. */
typedef struct cuframes_subscriber_info {
    char name[CUFRAMES_NAME_MAX + 1];
    cuframes_subscriber_mode_t mode;
    uint32_t held;            /**< slots it holds now */
    uint64_t received;        /**< frames it says it got */
    uint64_t missed;          /**< frames it says it missed */
    uint64_t lag;             /**< newest sequence number + 1 less the next one it wants */
    int64_t pid;              /**< as the publisher sees it; 0 = another PID namespace */
    uint32_t uid;             /**< as the publisher sees it */
    cuframes_access_t access; /**< how it says that it gets at the frames */
    uint32_t reads;           /**< CUFRAMES_READS_… */
    uint32_t _pad;
    uint64_t packets_received; /**< packets it says it got */
    uint64_t packets_lost;     /**< packets it says it lost */
    uint64_t _reserved[1];
} cuframes_subscriber_info_t;

CUFRAMES_END_DECLS

#endif
