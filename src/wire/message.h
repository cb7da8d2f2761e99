/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The messages of wire protocol 5, and their encoder and decoder. No I/O in here: bytes and
 * descriptor counts in, structures out, so that it can be tested and fuzzed without a socket.
 * docs/protocol.md has the same messages byte by byte.
 *
 * One message is one SOCK_SEQPACKET record: a header of 16 bytes, then the body. Numbers are
 * little-endian. Text fields have a fixed size and end with NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuframes/stats.h>
#include <cuframes/stream.h>

#define CF_WIRE_MAGIC       UINT32_C(0x35465543) /* "CUF5" */
#define CF_WIRE_VERSION     5
#define CF_WIRE_HEADER_SIZE 16
#define CF_WIRE_MAX_MESSAGE 4096
/* Most descriptors with one message. */
#define CF_WIRE_MAX_FDS   (4 + CUFRAMES_MAX_SLOTS - 1)
#define CF_WIRE_TEXT_SIZE 256
/* Most subscribers described in one message. */
#define CF_WIRE_REPORT_BATCH 16

enum cf_message_type {
    /* subscriber to publisher */
    CF_MSG_ATTACH = 1,         /* be a subscriber; answered by ATTACHED or ERROR */
    CF_MSG_ADOPTED = 2,        /* has mapped the generation that it was sent */
    CF_MSG_QUERY = 3,          /* answered by REPORT and REPORT_SUBSCRIBERS, then closed */
    CF_MSG_WATCH = 4,          /* keep the connection: its hang-up means that the channel is gone */
    CF_MSG_PACKETS_ENABLE = 5, /* a subscriber wants packets; answered by PACKETS */
    CF_MSG_PACKETS_ADOPTED = 6, /* has taken what PACKETS, PACKET_RING or STREAMS brought */
    /* publisher to subscriber */
    CF_MSG_ATTACHED = 16,   /* with descriptors, see enum cf_attached_fd */
    CF_MSG_GENERATION = 17, /* the same body: a newer generation */
    CF_MSG_ERROR = 18,      /* the connection is closed after it */
    CF_MSG_REPORT = 19,
    CF_MSG_REPORT_SUBSCRIBERS = 20,
    CF_MSG_PACKETS = 21,     /* with descriptors, see enum cf_packets_fd */
    CF_MSG_PACKET_RING = 22, /* a larger ring; with one descriptor */
    CF_MSG_STREAMS = 23,     /* a packet generation; with the descriptor of its parameter memory */
    CF_MSG_REPORT_STREAMS = 24,
};

/* Order of the descriptors of ATTACHED and GENERATION. The second and further descriptors of frame
 * memory follow at the end. */
enum cf_attached_fd {
    CF_FD_CONTROL = 0,     /* control memory: ring/layout.h */
    CF_FD_FRAMES = 1,      /* frame memory */
    CF_FD_HOLDS = 2,       /* this subscriber's hold page */
    CF_FD_WAKE_SOCKET = 3, /* only with CF_ATTACH_WAKE_SOCKET; in ATTACHED alone */
    CF_FD_COUNT = 4,
};

/* Order of the descriptors of PACKETS. */
enum cf_packets_fd {
    CF_PACKETS_FD_RING = 0,        /* the packet ring: ring/packet_layout.h */
    CF_PACKETS_FD_PAGE = 1,        /* this subscriber's packet page */
    CF_PACKETS_FD_WAKE_SOCKET = 2, /* only with CF_PACKETS_WAKE_SOCKET */
    CF_PACKETS_FD_COUNT = 3,
};

enum {
    CF_ATTACH_WAKE_SOCKET = 1u << 0,  /* wants a socket to be woken by */
    CF_ATTACH_PACKETS_ONLY = 1u << 1, /* wants no frames */
};

enum {
    CF_PACKETS_WAKE_SOCKET = 1u << 0, /* wants a socket to be woken by */
    CF_PACKETS_WAIT = 1u << 1,        /* shall be answered when there is a packet ring */
};

struct cf_msg_attach {
    char name[CUFRAMES_NAME_MAX + 1]; /* empty = the publisher makes one up */
    uint32_t mode;                    /* cuframes_subscriber_mode_t */
    uint32_t max_holds;               /* 0 = as many as are granted, at most 4 */
    uint32_t flags;                   /* CF_ATTACH_… */
    uint32_t memory;                  /* cuframes_memory_t it can read; AUTO = any */
};

struct cf_msg_adopted {
    uint32_t generation;
    uint32_t access; /* cuframes_access_t: how it reads that generation */
};

struct cf_msg_attached {
    cuframes_channel_info_t info;     /* pid is not sent: the receiver takes it from the socket */
    char name[CUFRAMES_NAME_MAX + 1]; /* as granted */
    uint32_t max_holds;               /* granted */
    uint32_t flags;                   /* CF_ATTACH_WAKE_SOCKET if that descriptor is there;
                                       * CF_ATTACH_PACKETS_ONLY: no descriptors, and 0 below */
    uint64_t control_size;            /* bytes of control memory to map */
    uint64_t frames_size;             /* bytes of frame memory to map */
    uint64_t slot_stride;             /* bytes from one slot's frame to the next */
    uint64_t first_seq;               /* where an in-order subscriber begins */
    uint64_t slot_offset;             /* bytes of frame memory before the first slot's frame */
    uint32_t memory_count;            /* descriptors of frame memory: 1, or one for each slot */
};

struct cf_msg_error {
    int32_t error; /* cuframes_error_t */
    char text[CF_WIRE_TEXT_SIZE];
};

struct cf_msg_report {
    cuframes_channel_info_t info;
    cuframes_publisher_stats_t stats;
};

struct cf_msg_report_subscribers {
    uint32_t count; /* at most CF_WIRE_REPORT_BATCH */
    bool last;      /* no more follow */
    cuframes_subscriber_info_t subscribers[CF_WIRE_REPORT_BATCH];
};

struct cf_msg_packets_enable {
    uint32_t flags; /* CF_PACKETS_… */
};

/* PACKETS and PACKET_RING. */
struct cf_msg_packets {
    uint32_t
        number; /* of the ring; 0 = the channel has none, the rest is 0 and without descriptors */
    uint32_t flags;       /* PACKETS: CF_PACKETS_WAKE_SOCKET if that descriptor is there */
    uint64_t memory_size; /* bytes of the ring's memory to map */
    uint32_t generation;  /* PACKETS: newest packet generation, announced by a STREAMS; 0 = none */
};

struct cf_msg_streams {
    uint32_t generation; /* packet generation */
    uint32_t size;       /* bytes of its parameter memory */
};

struct cf_msg_report_streams {
    uint32_t count;
    cuframes_stream_t streams[CUFRAMES_MAX_STREAMS]; /* without extradata */
};

struct cf_message {
    enum cf_message_type type;
    union {
        struct cf_msg_attach attach;
        struct cf_msg_adopted adopted;
        struct cf_msg_attached attached; /* ATTACHED and GENERATION */
        struct cf_msg_error error;
        struct cf_msg_report report;
        struct cf_msg_report_subscribers subscribers;
        struct cf_msg_packets_enable packets_enable;
        struct cf_msg_packets packets; /* PACKETS and PACKET_RING */
        struct cf_msg_streams streams;
        struct cf_msg_report_streams report_streams;
    };
};

/* Encodes into `bytes` (CF_WIRE_MAX_MESSAGE of them) and returns the length. The message is this
 * program's own and must be in order: asserted, not checked. */
size_t cf_message_encode(const struct cf_message *message, uint8_t *bytes);

/*
 * Decodes one record that came with `fd_count` descriptors. PROTOCOL with a sentence when it is
 * not a message of this version, when a field is out of its range (unknown format or memory, a
 * layout that does not fit its size, slots or counts above the limits, text without NUL, sizes
 * whose products overflow), or when the number of descriptors does not fit the type. Another
 * version of cuframes is named as such. `message` is written on success only.
 */
int cf_message_decode(const uint8_t *bytes, size_t size, size_t fd_count,
                      struct cf_message *message);

/* Whether a description that came from a peer adds up: every slot inside frames_size, the visible
 * picture inside the coded one, planes inside a slot. Called by the decoder. */
int cf_attached_check(const struct cf_msg_attached *attached);
