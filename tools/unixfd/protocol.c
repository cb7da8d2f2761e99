/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unixfd/protocol.h"

#include <endian.h>
#include <string.h>

#define BUFFER_SIZE   56 /* of a new-buffer payload before its memories */
#define MEMORY_SIZE   16
#define UNIX_TIME     "timestamp/x-unix"
#define VIDEO_META    "GstVideoMeta"
#define TIME_META     "GstReferenceTimestampMeta"
#define META_OVERHEAD 10 /* size, length of the name, NUL, version */

static void put(struct unixfd_message *message, const void *bytes, size_t size)
{
    memcpy(message->bytes + message->size, bytes, size);
    message->size += size;
}

/* Structures are in the machine's byte order, serialized metas in little-endian. */
static void put_u32(struct unixfd_message *message, uint32_t value)
{
    put(message, &value, sizeof(value));
}

static void put_u64(struct unixfd_message *message, uint64_t value)
{
    put(message, &value, sizeof(value));
}

static void put_le32(struct unixfd_message *message, uint32_t value)
{
    put_u32(message, htole32(value));
}

static void put_le64(struct unixfd_message *message, uint64_t value)
{
    put_u64(message, htole64(value));
}

static void begin(struct unixfd_message *message, enum unixfd_command command)
{
    message->size = 0;
    put_u32(message, command);
    put_u32(message, 0);
}

static void finish(struct unixfd_message *message)
{
    uint32_t payload = (uint32_t)(message->size - UNIXFD_HEADER_SIZE);

    memcpy(message->bytes + 4, &payload, sizeof(payload));
}

void unixfd_encode_caps(struct unixfd_message *message, const struct unixfd_picture *picture)
{
    char text[512];

    unixfd_caps_text(picture, text, sizeof(text));
    begin(message, UNIXFD_CAPS);
    put(message, text, strlen(text) + 1);
    finish(message);
}

void unixfd_encode_eos(struct unixfd_message *message)
{
    begin(message, UNIXFD_EOS);
}

void unixfd_encode_release(struct unixfd_message *message, uint64_t id)
{
    begin(message, UNIXFD_RELEASE_BUFFER);
    put_u64(message, id);
    finish(message);
}

/* Total size, length of the name, name with NUL, version 0. */
static void put_meta_header(struct unixfd_message *message, const char *name, size_t payload)
{
    size_t length = strlen(name);

    put_le32(message, (uint32_t)(META_OVERHEAD + length + payload));
    put_le32(message, (uint32_t)length);
    put(message, name, length + 1);
    put(message, "", 1);
}

static void put_video(struct unixfd_message *message, const struct unixfd_video *video)
{
    put_meta_header(message, VIDEO_META, 36 + (size_t)16 * video->plane_count);
    put_le32(message, 0); /* flags */
    put_le32(message, (uint32_t)unixfd_format_number(video->format));
    put_le32(message, video->width);
    put_le32(message, video->height);
    put_le32(message, video->plane_count);
    for (uint32_t i = 0; i < video->plane_count; i++)
        put_le64(message, video->offset[i]);
    for (uint32_t i = 0; i < video->plane_count; i++)
        put_le32(message, (uint32_t)video->stride[i]);
    /* Padding at the four sides, alignment of each plane's rows: not said. */
    for (uint32_t i = 0; i < 4 + video->plane_count; i++)
        put_le32(message, 0);
}

static void put_capture(struct unixfd_message *message, uint64_t capture_ns)
{
    put_meta_header(message, TIME_META, 16 + sizeof(UNIX_TIME));
    put_le64(message, capture_ns);
    put_le64(message, UNIXFD_NO_TIME); /* duration */
    put(message, UNIX_TIME, sizeof(UNIX_TIME));
}

void unixfd_encode_buffer(struct unixfd_message *message, const struct unixfd_buffer *buffer)
{
    const uint16_t metas = (uint16_t)(buffer->has_video + buffer->has_capture);
    const uint8_t memories = (uint8_t)buffer->memory_count;

    begin(message, UNIXFD_NEW_BUFFER);
    put_u64(message, buffer->id);
    put_u64(message, buffer->pts);
    put_u64(message, buffer->dts);
    put_u64(message, buffer->duration);
    put_u64(message, buffer->offset);
    put_u64(message, buffer->offset_end);
    put_u32(message, buffer->flags);
    put(message, &buffer->type, 1);
    put(message, &memories, 1);
    put(message, &metas, sizeof(metas));
    for (uint32_t i = 0; i < buffer->memory_count; i++) {
        put_u64(message, buffer->memories[i].size);
        put_u64(message, buffer->memories[i].offset);
    }
    if (buffer->has_video)
        put_video(message, &buffer->video);
    if (buffer->has_capture)
        put_capture(message, buffer->capture_ns);
    finish(message);
}

/* ---- decoding ---- */

struct cursor {
    const uint8_t *at;
    size_t left;
    bool short_of; /* more was asked for than there is */
};

static void get(struct cursor *cursor, void *value, size_t size)
{
    if (cursor->left < size) {
        cursor->short_of = true;
        memset(value, 0, size);
        return;
    }
    memcpy(value, cursor->at, size);
    cursor->at += size;
    cursor->left -= size;
}

static uint64_t get_u64(struct cursor *cursor)
{
    uint64_t value;

    get(cursor, &value, sizeof(value));
    return value;
}

static uint32_t get_u32(struct cursor *cursor)
{
    uint32_t value;

    get(cursor, &value, sizeof(value));
    return value;
}

static uint32_t get_le32(struct cursor *cursor)
{
    return le32toh(get_u32(cursor));
}

static uint64_t get_le64(struct cursor *cursor)
{
    return le64toh(get_u64(cursor));
}

void unixfd_decode_header(const uint8_t *bytes, uint32_t *command, uint32_t *payload_size)
{
    memcpy(command, bytes, sizeof(*command));
    memcpy(payload_size, bytes + 4, sizeof(*payload_size));
}

bool unixfd_decode_release(const uint8_t *payload, size_t size, uint64_t *id)
{
    if (size != UNIXFD_RELEASE_SIZE - UNIXFD_HEADER_SIZE)
        return false;
    memcpy(id, payload, sizeof(*id));
    return true;
}

/* False for a video meta that cannot be; one of a format that no channel has is left out. */
static bool decode_video(struct cursor *meta, struct unixfd_buffer *buffer)
{
    struct unixfd_video video = {0};
    uint32_t number;
    bool known;

    get_le32(meta); /* flags */
    number = get_le32(meta);
    video.width = get_le32(meta);
    video.height = get_le32(meta);
    video.plane_count = get_le32(meta);
    if (meta->short_of || video.plane_count > CUFRAMES_MAX_PLANES)
        return false;
    for (uint32_t i = 0; i < video.plane_count; i++)
        video.offset[i] = get_le64(meta);
    for (uint32_t i = 0; i < video.plane_count; i++)
        video.stride[i] = (int32_t)get_le32(meta);
    known = unixfd_format_from_number((int32_t)number, &video.format);
    if (meta->short_of)
        return false;
    if (known) {
        buffer->video = video;
        buffer->has_video = true;
    }
    return true;
}

static bool decode_capture(struct cursor *meta, struct unixfd_buffer *buffer)
{
    uint64_t capture_ns = get_le64(meta);

    get_le64(meta); /* duration */
    if (meta->short_of)
        return false;
    /* Other clocks than wall-clock time are none of our business. */
    if (meta->left >= sizeof(UNIX_TIME) && !memcmp(meta->at, UNIX_TIME, sizeof(UNIX_TIME)) &&
        capture_ns <= INT64_MAX) {
        buffer->capture_ns = capture_ns;
        buffer->has_capture = true;
    }
    return true;
}

static bool name_is(const char *name, size_t length, const uint8_t *at)
{
    return strlen(name) == length && !memcmp(name, at, length + 1);
}

static bool decode_meta(struct cursor *cursor, struct unixfd_buffer *buffer)
{
    const uint8_t *start = cursor->at;
    uint32_t total = get_le32(cursor);
    uint32_t length = get_le32(cursor);
    struct cursor payload;
    const uint8_t *name = cursor->at;
    uint8_t version;

    if (cursor->short_of || total < META_OVERHEAD || length > total - META_OVERHEAD ||
        total - 8 > cursor->left || name[length] != '\0')
        return false;
    version = name[length + 1];
    payload = (struct cursor){.at = name + length + 2, .left = total - META_OVERHEAD - length};
    cursor->left -= total - 8;
    cursor->at = start + total;
    if (version != 0)
        return true;
    if (name_is(VIDEO_META, length, name))
        return decode_video(&payload, buffer);
    if (name_is(TIME_META, length, name))
        return decode_capture(&payload, buffer);
    return true;
}

bool unixfd_decode_buffer(const uint8_t *payload, size_t size, struct unixfd_buffer *buffer)
{
    struct cursor cursor = {.at = payload, .left = size};
    struct unixfd_buffer made = {0};
    uint8_t memory_count;
    uint16_t meta_count;

    made.id = get_u64(&cursor);
    made.pts = get_u64(&cursor);
    made.dts = get_u64(&cursor);
    made.duration = get_u64(&cursor);
    made.offset = get_u64(&cursor);
    made.offset_end = get_u64(&cursor);
    made.flags = get_u32(&cursor);
    get(&cursor, &made.type, sizeof(made.type));
    get(&cursor, &memory_count, sizeof(memory_count));
    get(&cursor, &meta_count, sizeof(meta_count));
    if (cursor.short_of || memory_count > UNIXFD_MAX_MEMORIES)
        return false;
    made.memory_count = memory_count;
    for (uint32_t i = 0; i < made.memory_count; i++) {
        made.memories[i].size = get_u64(&cursor);
        made.memories[i].offset = get_u64(&cursor);
    }
    for (uint32_t i = 0; i < meta_count && !cursor.short_of; i++)
        if (!decode_meta(&cursor, &made))
            return false;
    if (cursor.short_of)
        return false;
    *buffer = made;
    return true;
}
