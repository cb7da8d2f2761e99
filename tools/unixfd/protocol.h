/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The messages of GStreamer's elements unixfdsink and unixfdsrc, as docs/unixfd.md describes them:
 * bytes in, bytes out, no I/O. Whatever is read is a stranger's and is checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuframes/cuframes.h>

enum unixfd_command {
    UNIXFD_NEW_BUFFER = 0,
    UNIXFD_RELEASE_BUFFER = 1,
    UNIXFD_CAPS = 2,
    UNIXFD_EOS = 3,
};

enum { UNIXFD_MEMORY_DEFAULT = 0, UNIXFD_MEMORY_DMABUF = 1 };

/* GstBufferFlags that both sides know. */
enum {
    UNIXFD_FLAG_DISCONT = 1u << 6,
    UNIXFD_FLAG_CORRUPTED = 1u << 8,
};

#define UNIXFD_HEADER_SIZE  8
#define UNIXFD_RELEASE_SIZE 16 /* with its header */
#define UNIXFD_NO_TIME      UINT64_MAX
#define UNIXFD_MAX_MEMORIES 16 /* of a GstBuffer */
/* Room for every message that this side makes. */
#define UNIXFD_MESSAGE_SIZE 1024

/* What caps say. 0/0 and zeros = not said. */
struct unixfd_picture {
    cuframes_format_t format;
    int32_t width, height;
    int32_t fps_num, fps_den;
    int32_t sar_num, sar_den;
    cuframes_color_t color;
};

/* A GstVideoMeta: where the planes are, counted from the buffer's first byte. */
struct unixfd_video {
    cuframes_format_t format;
    uint32_t width, height;
    uint32_t plane_count;
    uint64_t offset[CUFRAMES_MAX_PLANES];
    int32_t stride[CUFRAMES_MAX_PLANES];
};

struct unixfd_memory {
    uint64_t size;
    uint64_t offset;
};

struct unixfd_buffer {
    uint64_t id;
    uint64_t pts, dts, duration; /* CLOCK_MONOTONIC, nanoseconds; UNIXFD_NO_TIME = unknown */
    uint64_t offset, offset_end;
    uint32_t flags;
    uint8_t type;
    uint32_t memory_count;
    struct unixfd_memory memories[UNIXFD_MAX_MEMORIES];
    bool has_video;
    struct unixfd_video video;
    bool has_capture;
    uint64_t capture_ns; /* since 1970 */
};

struct unixfd_message {
    size_t size;
    uint8_t bytes[UNIXFD_MESSAGE_SIZE];
};

void unixfd_encode_caps(struct unixfd_message *message, const struct unixfd_picture *picture);
void unixfd_encode_eos(struct unixfd_message *message);
void unixfd_encode_release(struct unixfd_message *message, uint64_t id);
/* At most CUFRAMES_MAX_PLANES memories. */
void unixfd_encode_buffer(struct unixfd_message *message, const struct unixfd_buffer *buffer);

/* The header at `bytes`, of which there are at least UNIXFD_HEADER_SIZE. */
void unixfd_decode_header(const uint8_t *bytes, uint32_t *command, uint32_t *payload_size);
/* Payloads. False: it is not one; outputs are written on success only. */
bool unixfd_decode_release(const uint8_t *payload, size_t size, uint64_t *id);
bool unixfd_decode_buffer(const uint8_t *payload, size_t size, struct unixfd_buffer *buffer);

/* Caps as text. CUFRAMES_ERR_FORMAT for what no channel can have; `why` then says so. */
void unixfd_caps_text(const struct unixfd_picture *picture, char *text, size_t size);
int unixfd_caps_parse(const char *text, struct unixfd_picture *picture, const char **why);

/* GStreamer's number of a format (GstVideoFormat), 0 if it has none; and the way back. */
int32_t unixfd_format_number(cuframes_format_t format);
bool unixfd_format_from_number(int32_t number, cuframes_format_t *format);
