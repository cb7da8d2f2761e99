/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoder and decoder of the wire protocol: exact bytes, and everything a peer can get wrong.
 */
#include <stdlib.h>

#include "harness/harness.h"

#include "format/format.h"
#include "wire_samples.h"

struct encoded {
    uint8_t bytes[CF_WIRE_MAX_MESSAGE + 8];
    size_t size;
    size_t fds;
};

static struct encoded encode_sample(enum cf_message_type type)
{
    struct encoded e = {.size = 0};
    struct cf_message message;

    e.fds = wire_sample(type, &message);
    e.size = cf_message_encode(&message, e.bytes);
    return e;
}

/* Decodes from memory that ends where the record ends, so that sanitizers see what is beyond. */
static int decode_exact(const uint8_t *bytes, size_t size, size_t fds, struct cf_message *message)
{
    uint8_t *copy = malloc(size ? size : 1);
    int err;

    CHECK(copy);
    memcpy(copy, bytes, size);
    err = cf_message_decode(copy, size, fds, message);
    free(copy);
    return err;
}

/* Refuses `bytes` and leaves the output alone. */
static void check_refused(const uint8_t *bytes, size_t size, size_t fds, const char *words)
{
    struct cf_message message, untouched;

    memset(&message, 0x5a, sizeof(message));
    memset(&untouched, 0x5a, sizeof(untouched));
    CHECK_ERR_SAYS(decode_exact(bytes, size, fds, &message), CUFRAMES_ERR_PROTOCOL, words);
    CHECK_MEM_EQ(&message, &untouched, sizeof(message));
}

static void put_le(uint8_t *p, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

TEST(what_is_encoded_decodes_to_the_same)
{
    for (size_t i = 0; i < WIRE_SAMPLES; i++) {
        struct encoded e = encode_sample(wire_sample_types[i]);
        struct cf_message sample, decoded;

        wire_sample(wire_sample_types[i], &sample);
        CHECK_OK(decode_exact(e.bytes, e.size, e.fds, &decoded));
        CHECK_EQ(decoded.type, wire_sample_types[i]);
        CHECK_MEM_EQ(&decoded, &sample, sizeof(sample));
    }
}

TEST(longest_values_fit)
{
    struct cf_message message = {.type = CF_MSG_REPORT_SUBSCRIBERS}, decoded;
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size;

    message.subscribers.count = CF_WIRE_REPORT_BATCH;
    for (size_t i = 0; i < CF_WIRE_REPORT_BATCH; i++)
        memset(message.subscribers.subscribers[i].name, '~', CUFRAMES_NAME_MAX);
    size = cf_message_encode(&message, bytes);
    CHECK_OK(decode_exact(bytes, size, 0, &decoded));
    CHECK_EQ(decoded.subscribers.count, CF_WIRE_REPORT_BATCH);
    CHECK(!decoded.subscribers.last);
    CHECK_EQ(strlen(decoded.subscribers.subscribers[CF_WIRE_REPORT_BATCH - 1].name),
             CUFRAMES_NAME_MAX);

    message = (struct cf_message){.type = CF_MSG_ERROR, .error.error = CUFRAMES_ERR_INTERNAL};
    memset(message.error.text, 'x', CF_WIRE_TEXT_SIZE - 1);
    size = cf_message_encode(&message, bytes);
    CHECK_OK(decode_exact(bytes, size, 0, &decoded));
    CHECK_EQ(strlen(decoded.error.text), CF_WIRE_TEXT_SIZE - 1);
}

TEST(limits_of_a_channel_fit)
{
    struct cf_message message = {.type = CF_MSG_ATTACHED}, decoded;
    struct cf_msg_attached *a = &message.attached;
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];

    wire_sample_attached(a, false);
    a->info.format = CUFRAMES_FORMAT_RGBA;
    a->info.width = a->info.height = CUFRAMES_MAX_DIMENSION;
    CHECK_OK(cuframes_layout_init(&a->info.layout, CUFRAMES_FORMAT_RGBA, CUFRAMES_MAX_DIMENSION,
                                  CUFRAMES_MAX_DIMENSION, 4096));
    a->info.slots = CUFRAMES_MAX_SLOTS;
    a->info.max_holds = CUFRAMES_MAX_SLOTS - 1;
    a->max_holds = CUFRAMES_MAX_SLOTS - 1;
    a->slot_stride = a->info.layout.size;
    a->frames_size = a->slot_stride * CUFRAMES_MAX_SLOTS;
    a->slot_offset = 0;
    CHECK_OK(decode_exact(bytes, cf_message_encode(&message, bytes), 3, &decoded));
    CHECK_EQ(decoded.attached.frames_size, UINT64_C(1) << 38);
}

/* What follows the end of a text in the sender's memory does not travel. */
TEST(rest_of_a_text_is_not_sent)
{
    struct cf_message message;
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    struct encoded clean = encode_sample(CF_MSG_ERROR);

    wire_sample(CF_MSG_ERROR, &message);
    memset(message.error.text + strlen(message.error.text) + 1, 's', 100);
    CHECK_EQ(cf_message_encode(&message, bytes), clean.size);
    CHECK_MEM_EQ(bytes, clean.bytes, clean.size);
}

TEST(every_truncation_is_refused)
{
    for (size_t i = 0; i < WIRE_SAMPLES; i++) {
        struct encoded e = encode_sample(wire_sample_types[i]);

        for (size_t size = 0; size < e.size; size++) {
            put_le(e.bytes + 8, e.size, 4);
            check_refused(e.bytes, size, e.fds, "cut short");
            /* A sender that means it. */
            put_le(e.bytes + 8, size, 4);
            check_refused(e.bytes, size, e.fds, size < CF_WIRE_HEADER_SIZE ? "cut short" : "size");
        }
    }
}

TEST(every_extension_is_refused)
{
    for (size_t i = 0; i < WIRE_SAMPLES; i++) {
        struct encoded e = encode_sample(wire_sample_types[i]);

        for (size_t more = 1; more <= 8; more++) {
            put_le(e.bytes + 8, e.size, 4);
            check_refused(e.bytes, e.size + more, e.fds, "cut short");
            put_le(e.bytes + 8, e.size + more, 4);
            check_refused(e.bytes, e.size + more, e.fds, "size");
        }
    }
}

/* Whatever one byte is changed to: refused, or a message that encodes to these bytes. */
TEST(every_changed_byte_is_refused_or_means_something, .timeout_s = 60)
{
    uint8_t again[CF_WIRE_MAX_MESSAGE];
    struct cf_message decoded;

    for (size_t i = 0; i < WIRE_SAMPLES; i++) {
        struct encoded e = encode_sample(wire_sample_types[i]);

        for (size_t at = 0; at < e.size; at++) {
            uint8_t good = e.bytes[at];

            for (int value = 0; value < 256; value++) {
                e.bytes[at] = (uint8_t)value;
                if (decode_exact(e.bytes, e.size, e.fds, &decoded) != CUFRAMES_OK)
                    continue;
                CHECK_EQ(cf_message_encode(&decoded, again), e.size);
                CHECK_MEM_EQ(again, e.bytes, e.size);
            }
            e.bytes[at] = good;
        }
    }
}

TEST(descriptors_that_do_not_belong_are_refused)
{
    struct cf_message message;

    for (size_t i = 0; i < WIRE_SAMPLES; i++) {
        struct encoded e = encode_sample(wire_sample_types[i]);

        for (size_t fds = 0; fds <= CF_WIRE_MAX_FDS; fds++) {
            if (fds == e.fds)
                CHECK_OK(decode_exact(e.bytes, e.size, fds, &message));
            else
                check_refused(e.bytes, e.size, fds, "descriptors");
        }
    }
}

TEST(number_of_descriptors_follows_the_wake_socket_flag)
{
    struct cf_message message = {.type = CF_MSG_ATTACHED}, decoded;
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size;

    wire_sample_attached(&message.attached, false);
    size = cf_message_encode(&message, bytes);
    CHECK_OK(decode_exact(bytes, size, 3, &decoded));
    check_refused(bytes, size, 4, "3 belong to it");
}

TEST(number_of_descriptors_follows_the_memories)
{
    struct cf_message message = {.type = CF_MSG_ATTACHED}, decoded;
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size;

    wire_sample_attached(&message.attached, true);
    message.attached.memory_count = (uint32_t)message.attached.info.slots;
    message.attached.frames_size =
        message.attached.slot_stride * (uint64_t)message.attached.info.slots;
    size = cf_message_encode(&message, bytes);
    CHECK_OK(decode_exact(bytes, size, 4 + message.attached.memory_count - 1, &decoded));
    check_refused(bytes, size, 4, "9 belong to it");
    /* Host memory is one. */
    message.attached.info.memory = CUFRAMES_MEMORY_HOST;
    memset(message.attached.info.gpu_uuid, 0, sizeof(message.attached.info.gpu_uuid));
    size = cf_message_encode(&message, bytes);
    check_refused(bytes, size, 9, "number of memories 6");
}

TEST(other_versions_are_named)
{
    struct encoded e = encode_sample(CF_MSG_ATTACH);

    put_le(e.bytes + 4, 4, 2);
    check_refused(e.bytes, e.size, 0, "version 4");
    check_refused(e.bytes, e.size, 0, "version 5");
    put_le(e.bytes + 4, 6, 2);
    check_refused(e.bytes, e.size, 0, "version 6");
    check_refused(e.bytes, e.size, 0, "version 5");
    /* A later version may be longer, and its header is another one. */
    check_refused(e.bytes, 6, 0, "version 6");
    memcpy(e.bytes, "CUF4", 4);
    check_refused(e.bytes, e.size, 0, "CUF4");
    check_refused(e.bytes, 4, 0, "another version of cuframes");
}

TEST(strangers_get_a_sentence)
{
    const char http[] = "GET / HTTP/1.1\r\nHost: camera\r\n\r\n";
    const uint8_t noise[32] = {0x16, 0x03, 0x01, 0x02};
    uint8_t zero[64] = {0};

    check_refused((const uint8_t *)http, sizeof(http) - 1, 0, "text (\"GET ");
    check_refused(noise, sizeof(noise), 0, "16 03 01 02");
    check_refused(zero, sizeof(zero), 0, "00 00 00 00");
    check_refused(noise, 3, 0, "cut short");
    check_refused(noise, 0, 0, "cut short");
}

/* Offsets of docs/protocol.md. */
enum {
    BODY = CF_WIRE_HEADER_SIZE,
    INFO = BODY,
    LAYOUT = INFO + 120,
    GRANT = INFO + 232,
    STATS = INFO + 232,
    SUBSCRIBER = 136,
    STREAM = 160,
};

static const struct bad_field {
    enum cf_message_type type;
    size_t at;
    size_t bytes;
    uint64_t value;
    const char *words;
} bad_fields[] = {
    /* header */
    {CF_MSG_QUERY, 6, 2, 0, "type 0"},
    {CF_MSG_QUERY, 6, 2, 7, "type 7"},
    {CF_MSG_QUERY, 6, 2, 15, "type 15"},
    {CF_MSG_QUERY, 6, 2, 25, "type 25"},
    {CF_MSG_QUERY, 6, 2, 0xffff, "type 65535"},
    {CF_MSG_QUERY, 8, 4, UINT32_MAX, "cut short"},
    {CF_MSG_QUERY, 12, 4, 1, "reserved"},
    /* ATTACH */
    {CF_MSG_ATTACH, BODY, 1, ' ', "name"},
    {CF_MSG_ATTACH, BODY, 1, 0x1b, "name"},
    {CF_MSG_ATTACH, BODY + 1, 1, 0x80, "name"},
    {CF_MSG_ATTACH, BODY + 1, 1, 0, "text without an end"},
    {CF_MSG_ATTACH, BODY + 63, 1, 'x', "text without an end"},
    {CF_MSG_ATTACH, BODY + 64, 4, 2, "mode 2"},
    {CF_MSG_ATTACH, BODY + 72, 4, 4, "flags 4"},
    {CF_MSG_ATTACH, BODY + 76, 4, 3, "memory 3"},
    /* the channel's description */
    {CF_MSG_ATTACHED, INFO, 1, '/', "key"},
    {CF_MSG_ATTACHED, INFO + 63, 1, 'x', "text without an end"},
    {CF_MSG_ATTACHED, INFO + 64, 4, CUFRAMES_FORMAT_COUNT, "format 10"},
    {CF_MSG_ATTACHED, INFO + 64, 4, UINT32_MAX, "format -1"},
    {CF_MSG_ATTACHED, INFO + 68, 4, 0, "0x481"},
    {CF_MSG_ATTACHED, INFO + 68, 4, 705, "coded size"},
    {CF_MSG_ATTACHED, INFO + 72, 4, UINT32_MAX, "641x-1"},
    {CF_MSG_ATTACHED, INFO + 76, 4, 0, "memory 0"},
    {CF_MSG_ATTACHED, INFO + 76, 4, 3, "memory 3"},
    {CF_MSG_ATTACHED, INFO + 80, 4, 2, "policy 2"},
    {CF_MSG_ATTACHED, INFO + 84, 4, 1, "slots 1"},
    {CF_MSG_ATTACHED, INFO + 84, 4, 65, "slots 65"},
    {CF_MSG_ATTACHED, INFO + 84, 4, UINT32_MAX, "slots"},
    {CF_MSG_ATTACHED, INFO + 92, 4, 0, "frame rate"},
    {CF_MSG_ATTACHED, INFO + 96, 4, UINT32_MAX, "frame rate"},
    {CF_MSG_ATTACHED, INFO + 100, 4, UINT32_MAX, "pixel shape"},
    {CF_MSG_ATTACHED, INFO + 104, 4, 0, "pixel shape"},
    {CF_MSG_ATTACHED, INFO + 111, 1, 3, "colour range 3"},
    {CF_MSG_ATTACHED, INFO + 116, 4, 0, "most holds 0"},
    {CF_MSG_ATTACHED, INFO + 116, 4, 6, "most holds 6"},
    {CF_MSG_ATTACHED, LAYOUT, 4, 640, "coded size"},
    {CF_MSG_ATTACHED, LAYOUT + 4, 4, 1 << 30, "coded size"},
    {CF_MSG_ATTACHED, LAYOUT + 8, 4, 3, "planes"},
    {CF_MSG_ATTACHED, LAYOUT + 12, 4, 1, "reserved"},
    {CF_MSG_ATTACHED, LAYOUT + 16, 8, 1051235, "plane 1"},
    {CF_MSG_ATTACHED, LAYOUT + 16, 8, UINT64_MAX, "limit"},
    {CF_MSG_ATTACHED, LAYOUT + 24, 8, UINT64_MAX - 1, "plane 0"},
    {CF_MSG_ATTACHED, LAYOUT + 32, 4, 1406, "plane 0"},
    {CF_MSG_ATTACHED, LAYOUT + 36, 4, UINT32_MAX, "plane 0"},
    {CF_MSG_ATTACHED, LAYOUT + 40, 8, 701085, "plane 1"},
    {CF_MSG_ATTACHED, LAYOUT + 48, 4, 1409, "multiples"},
    {CF_MSG_ATTACHED, LAYOUT + 56, 8, 1, "plane 2"},
    {CF_MSG_ATTACHED, INFO + 76, 4, 1, "host memory has a GPU"},
    {CF_MSG_ATTACHED, INFO + 224, 4, 8, "notes 8"},
    /* the grant */
    {CF_MSG_ATTACHED, GRANT, 1, 0, "text without an end"},
    {CF_MSG_ATTACHED, GRANT, 8, 0, "name"},
    {CF_MSG_ATTACHED, GRANT, 1, ' ', "name"},
    {CF_MSG_ATTACHED, GRANT + 64, 4, 0, "granted holds 0"},
    {CF_MSG_ATTACHED, GRANT + 64, 4, 5, "granted holds 5"},
    {CF_MSG_ATTACHED, INFO + 224, 4, 0, "number of streams 2"},
    {CF_MSG_ATTACHED, INFO + 224, 4, 6, "has none"},
    {CF_MSG_ATTACHED, INFO + 228, 4, 9, "number of streams 9"},
    {CF_MSG_ATTACHED, GRANT + 68, 4, 3, "offers frames"},
    {CF_MSG_ATTACHED, GRANT + 68, 4, 2, "offers frames"},
    {CF_MSG_ATTACHED, GRANT + 68, 4, 4, "flags 4"},
    {CF_MSG_GENERATION, GRANT + 68, 4, CF_ATTACH_WAKE_SOCKET, "flags 1"},
    {CF_MSG_ATTACHED, GRANT + 72, 8, 0, "control memory size 0"},
    {CF_MSG_ATTACHED, GRANT + 72, 8, (1 << 20) + 1, "control memory size"},
    {CF_MSG_ATTACHED, GRANT + 80, 8, 6336527, "do not fit"},
    {CF_MSG_ATTACHED, GRANT + 80, 8, (UINT64_C(1) << 46) + 1, "frame memory size"},
    {CF_MSG_ATTACHED, GRANT + 88, 8, 1052656, "apart"},
    {CF_MSG_ATTACHED, GRANT + 88, 8, 1056769, "slot stride"},
    {CF_MSG_ATTACHED, GRANT + 88, 8, UINT64_C(1) << 63, "do not fit"},
    {CF_MSG_ATTACHED, GRANT + 96, 8, UINT64_C(1) << 58, "sequence number"},
    {CF_MSG_ATTACHED, GRANT + 104, 8, 4128, "do not fit"},
    {CF_MSG_ATTACHED, GRANT + 112, 4, 0, "number of memories 0"},
    {CF_MSG_ATTACHED, GRANT + 112, 4, 2, "number of memories 2"},
    {CF_MSG_ATTACHED, GRANT + 112, 4, 6, "number of memories 6"},
    {CF_MSG_ATTACHED, GRANT + 116, 4, 1, "reserved"},
    {CF_MSG_ATTACHED, GRANT + 104, 8, 8, "slot offset 8"},
    {CF_MSG_ATTACHED, GRANT + 104, 8, UINT64_MAX - 15, "do not fit"},
    /* ADOPTED */
    {CF_MSG_ADOPTED, BODY + 4, 4, 5, "access 5"},
    /* ERROR */
    {CF_MSG_ERROR, BODY, 4, 0, "error number 0"},
    {CF_MSG_ERROR, BODY, 4, 1, "error number 1"},
    {CF_MSG_ERROR, BODY, 4, (uint32_t)-1001, "error number"},
    {CF_MSG_ERROR, BODY + 4, 1, 0x1b, "control character"},
    {CF_MSG_ERROR, BODY + 4, 1, 0x7f, "control character"},
    {CF_MSG_ERROR, BODY + 4, 1, '\n', "control character"},
    {CF_MSG_ERROR, BODY + 4 + 255, 1, 'x', "text without an end"},
    /* REPORT */
    {CF_MSG_REPORT, INFO + 84, 4, 65, "slots 65"},
    {CF_MSG_REPORT, STATS + 56, 4, 257, "number of subscribers 257"},
    {CF_MSG_REPORT, STATS + 60, 4, 65, "held slots 65"},
    {CF_MSG_REPORT, STATS + 128, 4, 257, "readers of frames 257"},
    {CF_MSG_REPORT, STATS + 120, 8, UINT64_MAX, "time of kept packets"},
    {CF_MSG_REPORT, STATS + 80, 8, UINT64_C(0x7ff0000000000000), "frame rate"},
    {CF_MSG_REPORT, STATS + 80, 8, UINT64_C(0x7ff8000000000001), "frame rate"},
    {CF_MSG_REPORT, STATS + 80, 8, UINT64_C(0xbff0000000000000), "frame rate"},
    {CF_MSG_REPORT, STATS + 132, 4, 1, "reserved"},
    /* REPORT_SUBSCRIBERS */
    {CF_MSG_REPORT_SUBSCRIBERS, BODY, 4, 1, "size"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY, 4, 3, "size"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY, 4, 17, "size"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY, 4, UINT32_MAX, "size"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY + 4, 4, 2, "size"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY + 8, 8, 0, "name"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY + 8 + 64, 4, 2, "mode 2"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY + 8 + 68, 4, 65, "holds 65"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY + 8 + 96, 8, UINT64_MAX, "process number"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY + 8 + 108, 4, 5, "access 5"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY + 8 + 112, 4, 4, "kind of reader 4"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY + 8 + 116, 4, 1, "reserved"},
    {CF_MSG_REPORT_SUBSCRIBERS, BODY + 8 + SUBSCRIBER + 64, 4, 2, "mode 2"},
    /* PACKETS_ENABLE, PACKETS, PACKET_RING, STREAMS */
    {CF_MSG_PACKETS_ENABLE, BODY, 4, 4, "flags 4"},
    {CF_MSG_PACKETS, BODY, 4, 0, "flags 1"},
    {CF_MSG_PACKETS, BODY + 4, 4, 2, "flags 2"},
    {CF_MSG_PACKETS, BODY + 8, 8, 0, "packet ring size 0"},
    {CF_MSG_PACKETS, BODY + 8, 8, UINT64_C(5) << 32, "packet ring size"},
    {CF_MSG_PACKETS, BODY + 20, 4, 1, "reserved"},
    {CF_MSG_PACKET_RING, BODY, 4, 0, "packet ring 0"},
    {CF_MSG_PACKET_RING, BODY + 4, 4, 1, "flags 1"},
    {CF_MSG_PACKET_RING, BODY + 16, 4, 1, "packet ring 4"},
    {CF_MSG_STREAMS, BODY, 4, 0, "size of its streams"},
    {CF_MSG_STREAMS, BODY + 4, 4, 15, "size of its streams 15"},
    {CF_MSG_STREAMS, BODY + 4, 4, 40000, "size of its streams 40000"},
    /* REPORT_STREAMS */
    {CF_MSG_REPORT_STREAMS, BODY, 4, 1, "size"},
    {CF_MSG_REPORT_STREAMS, BODY, 4, 3, "size"},
    {CF_MSG_REPORT_STREAMS, BODY, 4, 9, "size"},
    {CF_MSG_REPORT_STREAMS, BODY + 4, 4, 1, "reserved"},
    {CF_MSG_REPORT_STREAMS, BODY + 8, 4, 3, "stream 0 has type 3"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 8, 1, 0x1b, "codec name"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 8, 1, ' ', "codec name"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 8 + 31, 1, 'x', "text without an end"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + STREAM + 40, 8, UINT64_MAX, "codec name"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 52, 4, 3, "packaging 3"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 56, 4, 0, "time base"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 60, 4, UINT32_MAX, "time base"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 72, 8, UINT64_MAX, "bit rate -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 80, 4, UINT32_MAX, "width -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 84, 4, UINT32_MAX, "height -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 88, 4, 0, "frame rate"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 100, 4, 0, "pixel shape"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 107, 1, 3, "colour range 3"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 108, 4, UINT32_MAX, "video delay -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + STREAM + 112, 4, UINT32_MAX, "sample rate -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + STREAM + 116, 4, UINT32_MAX, "number of channels -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + STREAM + 128, 4, UINT32_MAX, "samples in a packet -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + STREAM + 132, 4, UINT32_MAX, "initial padding -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + STREAM + 136, 4, UINT32_MAX, "trailing padding -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + STREAM + 140, 4, UINT32_MAX, "seek pre-roll -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + STREAM + 144, 4, UINT32_MAX, "block alignment -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + STREAM + 148, 4, UINT32_MAX, "bits in a sample -1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 152, 4, 1, "extradata 1"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 152, 4, 4097, "4097 bytes of extradata"},
    {CF_MSG_REPORT_STREAMS, BODY + 8 + 156, 4, 1, "reserved"},
};

TEST(fields_out_of_their_range_are_refused)
{
    for (size_t i = 0; i < sizeof(bad_fields) / sizeof(bad_fields[0]); i++) {
        const struct bad_field *bad = &bad_fields[i];
        struct encoded e = encode_sample(bad->type);

        put_le(e.bytes + bad->at, bad->value, bad->bytes);
        check_refused(e.bytes, e.size, e.fds, bad->words);
    }
}

/* 0/0 is "unknown" for fractions, a channel may have no key, a subscriber no name. */
TEST(values_that_mean_nothing_known_are_fine)
{
    struct encoded attach = encode_sample(CF_MSG_ATTACH);
    struct encoded attached = encode_sample(CF_MSG_ATTACHED);
    struct cf_message decoded;

    memset(attach.bytes + BODY, 0, 64);
    put_le(attach.bytes + BODY + 68, UINT32_MAX, 4);
    CHECK_OK(decode_exact(attach.bytes, attach.size, attach.fds, &decoded));
    CHECK_EQ(decoded.attach.name[0], 0);
    CHECK_EQ(decoded.attach.max_holds, UINT32_MAX);
    memset(attached.bytes + INFO, 0, 64);
    memset(attached.bytes + INFO + 92, 0, 16);
    CHECK_OK(decode_exact(attached.bytes, attached.size, attached.fds, &decoded));
    CHECK_EQ(decoded.attached.info.fps_den, 0);
}

/*
 * The bytes themselves, as docs/protocol.md has them. A change here is a change of the protocol:
 * it needs another version number. "*n" stands for n bytes of 0.
 */
static const struct golden {
    enum cf_message_type type;
    size_t size;
    const char *hex;
} golden[] = {
    {CF_MSG_ATTACH, 96,
     "43554635 05000100 60000000 00000000 64657465 63746f72 *56 01000000 02000000 01000000 "
     "02000000"},
    {CF_MSG_ADOPTED, 24, "43554635 05000200 18000000 00000000 04030201 03000000"},
    {CF_MSG_QUERY, 16, "43554635 05000300 10000000 00000000"},
    {CF_MSG_WATCH, 16, "43554635 05000400 10000000 00000000"},
    {CF_MSG_ATTACHED, 368,
     "43554635 05001000 70010000 00000000 63616d2d 31000000 *56 06000000 81020000 "
     "e1010000 02000000 01000000 06000000 03000000 30750000 e9030000 04000000 03000000 "
     "09081002 ffffffff 04000000 c0020000 f0010000 02000000 00000000 00101000 00000000 "
     "00010000 00000000 80050000 f0010000 00ad0a00 00000000 84050000 f9000000 *32 "
     "a0a1a2a3 a4a5a6a7 a8a9aaab acadaeaf 03000000 02000000 64657465 63746f72 *56 "
     "02000000 01000000 00200000 00000000 10c06000 00000000 00201000 00000000 efcdab89 "
     "67452301 10000000 00000000 01000000 00000000"},
    {CF_MSG_GENERATION, 368,
     "43554635 05001100 70010000 00000000 63616d2d 31000000 *56 06000000 81020000 "
     "e1010000 02000000 01000000 06000000 03000000 30750000 e9030000 04000000 03000000 "
     "09081002 ffffffff 04000000 c0020000 f0010000 02000000 00000000 00101000 00000000 "
     "00010000 00000000 80050000 f0010000 00ad0a00 00000000 84050000 f9000000 *32 "
     "a0a1a2a3 a4a5a6a7 a8a9aaab acadaeaf 03000000 02000000 64657465 63746f72 *56 "
     "02000000 00000000 00200000 00000000 10c06000 00000000 00201000 00000000 efcdab89 "
     "67452301 10000000 00000000 01000000 00000000"},
    {CF_MSG_ERROR, 276,
     "43554635 05001200 14010000 00000000 f4ffffff 74686520 6368616e 6e656c20 69732066 "
     "756c6c00 *236"},
    {CF_MSG_REPORT, 384,
     "43554635 05001300 80010000 00000000 63616d2d 31000000 *56 06000000 81020000 e1010000 "
     "02000000 01000000 06000000 03000000 30750000 e9030000 04000000 03000000 09081002 "
     "ffffffff 04000000 c0020000 f0010000 02000000 00000000 00101000 00000000 00010000 "
     "00000000 80050000 f0010000 00ad0a00 00000000 84050000 f9000000 *32 a0a1a2a3 a4a5a6a7 "
     "a8a9aaab acadaeaf 03000000 02000000 11111111 11111111 02000000 00000000 03000000 "
     "00000000 04000000 00000000 05000000 00000000 66666666 66666666 07000000 00000000 "
     "00010000 09000000 00000000 00000080 0b000000 00000000 00000000 00803d40 0c000000 "
     "0e000000 12121212 12121212 13131313 13131313 00008000 00000000 00286bee 00000000 "
     "c8000000 00000000"},
    {CF_MSG_REPORT_SUBSCRIBERS, 296,
     "43554635 05001400 28010000 00000000 02000000 01000000 64657465 63746f72 *60 01000000 "
     "02000000 00000000 ffffffff ffffffff 04000000 00000000 05000000 00000000 e8030000 "
     "02000000 01000000 *20 7265636f 72646572 *56 01000000 40000000 03000000 00000000 02000000 "
     "00000000 01000000 *12 ffffffff 04000000 03000000 00000000 34120000 00000000 05000000 "
     "00000000"},
    {CF_MSG_PACKETS_ENABLE, 20, "43554635 05000500 14000000 00000000 03000000"},
    {CF_MSG_PACKETS_ADOPTED, 16, "43554635 05000600 10000000 00000000"},
    {CF_MSG_PACKETS, 40,
     "43554635 05001500 28000000 00000000 03000000 01000000 80108000 00000000 04030201 "
     "00000000"},
    {CF_MSG_PACKET_RING, 40, "43554635 05001600 28000000 00000000 04000000 00000000 80200001 *12"},
    {CF_MSG_STREAMS, 24, "43554635 05001700 18000000 00000000 04030201 73010000"},
    {CF_MSG_REPORT_STREAMS, 344,
     "43554635 05001800 58010000 00000000 02000000 00000000 00000000 1b000000 68323634 *36 "
     "61766331 02000000 01000000 905f0100 64000000 29000000 00093d00 00000000 80070000 "
     "38040000 30750000 e9030000 04000000 03000000 01020301 02000000 *48 01000000 02500100 "
     "61616300 *28 656e6700 *20 9dffffff 9dffffff *40 80bb0000 06000000 00000000 0f060000 "
     "00040000 40080000 05000000 06000000 07000000 10000000 00000000 00000000"},
};

static size_t parse_hex(const char *hex, uint8_t *bytes)
{
    size_t size = 0;
    int used;

    for (; *hex; hex += used) {
        unsigned value;

        used = 1;
        if (sscanf(hex, "*%u%n", &value, &used) == 1) {
            memset(bytes + size, 0, value);
            size += value;
        } else if (*hex != ' ') {
            CHECK_EQ(sscanf(hex, "%2x%n", &value, &used), 1);
            bytes[size++] = (uint8_t)value;
        }
    }
    return size;
}

TEST(bytes_are_those_of_the_document)
{
    CHECK_EQ(sizeof(golden) / sizeof(golden[0]), WIRE_SAMPLES);
    for (size_t i = 0; i < WIRE_SAMPLES; i++) {
        struct encoded e = encode_sample(golden[i].type);
        uint8_t bytes[CF_WIRE_MAX_MESSAGE];

        CHECK_EQ(parse_hex(golden[i].hex, bytes), golden[i].size);
        CHECK_EQ(e.size, golden[i].size);
        for (size_t at = 0; at < e.size; at++)
            if (e.bytes[at] != bytes[at])
                FAIL("type %d: byte %zu is %02x instead of %02x", (int)golden[i].type, at,
                     e.bytes[at], bytes[at]);
    }
}

/* The same bytes in the document: a block of "TYPE size" and the words. */
static bool document_has(FILE *document, const struct golden *g)
{
    static const char *const names[] = {
        [CF_MSG_ATTACH] = "ATTACH",
        [CF_MSG_ADOPTED] = "ADOPTED",
        [CF_MSG_QUERY] = "QUERY",
        [CF_MSG_WATCH] = "WATCH",
        [CF_MSG_ATTACHED] = "ATTACHED",
        [CF_MSG_GENERATION] = "GENERATION",
        [CF_MSG_ERROR] = "ERROR",
        [CF_MSG_REPORT] = "REPORT",
        [CF_MSG_REPORT_SUBSCRIBERS] = "REPORT_SUBSCRIBERS",
        [CF_MSG_PACKETS_ENABLE] = "PACKETS_ENABLE",
        [CF_MSG_PACKETS_ADOPTED] = "PACKETS_ADOPTED",
        [CF_MSG_PACKETS] = "PACKETS",
        [CF_MSG_PACKET_RING] = "PACKET_RING",
        [CF_MSG_STREAMS] = "STREAMS",
        [CF_MSG_REPORT_STREAMS] = "REPORT_STREAMS",
    };
    char head[64], line[256], hex[2048] = "";
    uint8_t bytes[CF_WIRE_MAX_MESSAGE], expected[CF_WIRE_MAX_MESSAGE];

    snprintf(head, sizeof(head), "%s %zu\n", names[g->type], g->size);
    rewind(document);
    while (fgets(line, sizeof(line), document))
        if (strcmp(line, head) == 0)
            break;
    while (fgets(line, sizeof(line), document) && strncmp(line, "```", 3) != 0) {
        line[strcspn(line, "\n")] = ' ';
        strncat(hex, line, sizeof(hex) - strlen(hex) - 1);
    }
    parse_hex(g->hex, expected);
    return parse_hex(hex, bytes) == g->size && memcmp(bytes, expected, g->size) == 0;
}

TEST(document_has_the_same_bytes)
{
    FILE *document = fopen(SOURCE_ROOT "/docs/protocol.md", "re");

    CHECK(document);
    for (size_t i = 0; i < WIRE_SAMPLES; i++)
        if (!document_has(document, &golden[i]))
            FAIL("docs/protocol.md has other bytes for type %d", (int)golden[i].type);
    fclose(document);
}
