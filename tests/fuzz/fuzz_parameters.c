/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A camera's parameter sets, in its packets and beside them, as the ingester follows them.
 *
 * Input: the codec, how its NAL units are put together, the extradata that the stream begins with
 * (a word of size, then bytes), then packets (flags, a word of size, then bytes). However they lie,
 * what is found lies within its memory, comparing is what its header says, and a key frame that is
 * honest is still understood after all of them.
 */
#include <libavutil/log.h>
#include <libavutil/mem.h>

#include "parameter_sets.h"
#include "script.h"

enum { MOST_PACKETS = 16, MOST_ROOM = 2 * FUZZ_SIZE + 2, WIDTH = 64, HEIGHT = 48 };
enum { FLAG_KEY = 1, FLAG_BESIDE = 2 };

/* ---- honest key frames of 64x48, made for this test; the parameter sets and where they lie ---- */

static const uint8_t h264[] = {0x00, 0x00, 0x00, 0x01, 0x67, 0x42, 0xc0, 0x0a, 0xda, 0x11, 0xec,
                               0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x03, 0x00,
                               0x83, 0xc4, 0x89, 0xa8, 0x00, 0x00, 0x00, 0x01, 0x68, 0xce, 0x0f,
                               0xc8, 0x00, 0x00, 0x01, 0x65, 0x88, 0x84, 0x3a, 0x26, 0x28, 0x0c,
                               0x9c, 0x9c, 0x9d, 0x75, 0xd7, 0x5d, 0x75, 0xd7, 0x5e};
static const uint8_t hevc[] = {
    0x00, 0x00, 0x00, 0x01, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03,
    0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e, 0x95, 0x98, 0x09, 0x00, 0x00,
    0x00, 0x01, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03,
    0x00, 0x00, 0x03, 0x00, 0x1e, 0xa0, 0x20, 0x83, 0x16, 0x59, 0x59, 0xae, 0x4c, 0xaf, 0x01,
    0x68, 0x08, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00, 0x03, 0x00, 0x08, 0x40, 0x00, 0x00,
    0x00, 0x01, 0x44, 0x01, 0xc1, 0x73, 0xd0, 0x89, 0x00, 0x00, 0x01, 0x28, 0x01, 0xaf, 0x13,
    0x80, 0xf7, 0x91, 0xc7, 0xfe, 0x3d, 0xd1, 0x6f, 0xdf, 0x05, 0x06, 0x60};
static const uint8_t av1[] = {0x12, 0x00, 0x0a, 0x0a, 0x00, 0x00, 0x00, 0x02, 0xaf,
                              0xf7, 0x9f, 0xff, 0x30, 0x08, 0x32, 0x0b, 0x10, 0x00,
                              0xc0, 0x00, 0x00, 0x02, 0x80, 0x00, 0x00, 0x09, 0xac};

static const struct codec {
    enum AVCodecID id;
    const uint8_t *frame;
    size_t size, sets_at, sets_size;
} codecs[] = {
    {AV_CODEC_ID_H264, h264, sizeof(h264), 0, 34},
    {AV_CODEC_ID_HEVC, hevc, sizeof(hevc), 0, 83},
    {AV_CODEC_ID_AV1, av1, sizeof(av1), 2, 12},
    {AV_CODEC_ID_MJPEG, h264, sizeof(h264), 0, 34}, /* of which the stream says nothing */
};
enum { CODECS = sizeof(codecs) / sizeof(codecs[0]) };

struct stream {
    const struct codec *codec;
    cuframes_packaging_t packaging;
    struct parameter_sets sets;
    uint8_t *extradata; /* ends with its memory, for sanitizers to watch */
    size_t size;
};

static uint8_t *copy_exactly(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    FUZZ_REQUIRE(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

/* A word, then as many bytes as it says and there are. */
static const uint8_t *take_bytes(struct script *script, size_t *size)
{
    size_t wanted = take_word(script), left = (size_t)(script->end - script->at);
    const uint8_t *bytes = script->at;

    *size = wanted < left ? wanted : left;
    script->at += *size;
    return bytes;
}

/* ---- comparing ---- */

static size_t start_code(const uint8_t *bytes, size_t at, size_t size)
{
    while (at + 3 <= size && (bytes[at] || bytes[at + 1] || bytes[at + 2] != 1))
        at++;
    return at + 3 <= size ? at : size;
}

/* Whether there is a NAL unit with anything in it from the start code at `at` on. */
static bool has_unit(const uint8_t *bytes, size_t at, size_t size)
{
    while (at < size) {
        size_t next = start_code(bytes, at + 3, size);

        for (at += 3; at < next; at++)
            if (bytes[at])
                return true;
    }
    return false;
}

/* The same NAL units twice over, with zeros between, are the same parameters; as bytes they are not. */
static void check_doubled(const struct stream *stream)
{
    const size_t first = start_code(stream->extradata, 0, stream->size);
    const size_t part = stream->size - first;
    uint8_t doubled[MOST_ROOM] = {0};
    uint8_t *exact;
    bool same;

    if (part == 0)
        return;
    memcpy(doubled, stream->extradata + first, part);
    memcpy(doubled + part + 2, stream->extradata + first, part);
    exact = copy_exactly(doubled, 2 * part + 2);
    same = parameter_sets_equal(stream->extradata, stream->size, exact, 2 * part + 2,
                                stream->packaging);
    FUZZ_REQUIRE(same == (stream->packaging == CUFRAMES_PACKAGING_ANNEX_B &&
                          has_unit(stream->extradata, first, stream->size)));
    free(exact);
}

static bool differs(const struct stream *stream, const uint8_t *found, size_t size)
{
    bool same =
        parameter_sets_equal(stream->extradata, stream->size, found, size, stream->packaging);

    FUZZ_REQUIRE(same == parameter_sets_equal(found, size, stream->extradata, stream->size,
                                              stream->packaging));
    FUZZ_REQUIRE(parameter_sets_equal(found, size, found, size, stream->packaging));
    if (stream->size == size && (size == 0 || memcmp(stream->extradata, found, size) == 0))
        FUZZ_REQUIRE(same);
    else if (stream->packaging != CUFRAMES_PACKAGING_ANNEX_B)
        FUZZ_REQUIRE(!same);
    return !same;
}

/* ---- following ---- */

static void set_extradata(struct stream *stream, const uint8_t *bytes, size_t size)
{
    free(stream->extradata);
    stream->extradata = copy_exactly(bytes, size);
    stream->size = size;
}

static bool read_picture(const struct stream *stream, const AVPacket *packet, int32_t *width,
                         int32_t *height)
{
    bool known;

    *width = *height = -1;
    known = parameter_sets_picture(stream->codec->id, stream->extradata, stream->size, packet,
                                   width, height);
    FUZZ_REQUIRE(known ? *width > 0 && *height > 0 : *width == -1 && *height == -1);
    return known;
}

static void take_packet(struct stream *stream, const AVPacket *packet)
{
    int32_t width, height;
    size_t size = 0;
    const uint8_t *found = parameter_sets_find(&stream->sets, packet, &size);

    if (!found)
        return;
    FUZZ_REQUIRE((packet->flags & AV_PKT_FLAG_KEY) || packet->side_data_elems > 0);
    if (!differs(stream, found, size))
        return;
    set_extradata(stream, found, size);
    read_picture(stream, packet, &width, &height);
    if (stream->size <= FUZZ_SIZE)
        check_doubled(stream);
}

static AVPacket *make_packet(const uint8_t *bytes, size_t size, uint8_t flags)
{
    AVPacket *packet = av_packet_alloc();

    FUZZ_REQUIRE(packet);
    if (flags & FLAG_BESIDE) {
        uint8_t *beside = av_packet_new_side_data(packet, AV_PKT_DATA_NEW_EXTRADATA, size);

        FUZZ_REQUIRE(beside);
        memcpy(beside, bytes, size);
    } else if (size > 0) {
        FUZZ_REQUIRE(av_new_packet(packet, (int)size) == 0);
        memcpy(packet->data, bytes, size);
    }
    if (flags & FLAG_KEY)
        packet->flags |= AV_PKT_FLAG_KEY;
    return packet;
}

static void take_packets(struct stream *stream, struct script *script)
{
    for (int i = 0; i < MOST_PACKETS && script->at < script->end; i++) {
        uint8_t flags = take_byte(script);
        size_t size;
        const uint8_t *bytes = take_bytes(script, &size);
        AVPacket *packet = make_packet(bytes, size, flags);

        take_packet(stream, packet);
        av_packet_free(&packet);
    }
}

/* None of those before may have made it deaf. */
static void take_honest(struct stream *stream)
{
    const struct codec *codec = stream->codec;
    AVPacket *packet = make_packet(codec->frame, codec->size, FLAG_KEY);
    int32_t width, height;
    size_t size = 0;
    const uint8_t *found = parameter_sets_find(&stream->sets, packet, &size);

    FUZZ_REQUIRE(!found == !stream->sets.extract);
    if (found) {
        FUZZ_REQUIRE(parameter_sets_equal(found, size, codec->frame + codec->sets_at,
                                          codec->sets_size, stream->packaging));
        set_extradata(stream, found, size);
        FUZZ_REQUIRE(read_picture(stream, packet, &width, &height));
        FUZZ_REQUIRE(width == WIDTH && height == HEIGHT);
    }
    av_packet_free(&packet);
}

static void open_stream(struct stream *stream)
{
    AVCodecParameters *par = avcodec_parameters_alloc();

    FUZZ_REQUIRE(par);
    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->codec_id = stream->codec->id;
    par->extradata = av_mallocz(stream->size + AV_INPUT_BUFFER_PADDING_SIZE);
    FUZZ_REQUIRE(par->extradata);
    memcpy(par->extradata, stream->extradata, stream->size);
    par->extradata_size = (int)stream->size;
    FUZZ_REQUIRE(parameter_sets_open(&stream->sets, par, stream->packaging) == 0);
    avcodec_parameters_free(&par);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, data + size};
    struct stream stream = {.codec = &codecs[take_byte(&script) % CODECS]};
    const uint8_t *extradata;

    av_log_set_level(AV_LOG_QUIET);
    stream.packaging = (cuframes_packaging_t)(take_byte(&script) % 3);
    extradata = take_bytes(&script, &size);
    set_extradata(&stream, extradata, size);
    check_doubled(&stream);
    open_stream(&stream);
    take_packets(&stream, &script);
    take_honest(&stream);
    parameter_sets_close(&stream.sets);
    free(stream.extradata);
    return 0;
}

/* ---- honest inputs ---- */

static uint8_t *put(uint8_t *at, const uint8_t *bytes, size_t size)
{
    *at++ = (uint8_t)size;
    *at++ = (uint8_t)(size >> 8);
    memcpy(at, bytes, size);
    return at + size;
}

/* Each codec: parameters known before, or not, in a key frame, then beside one. */
size_t fuzz_seed(unsigned index, uint8_t *data)
{
    const struct codec *codec = &codecs[index / 2 % CODECS];
    uint8_t *at = data;

    if (index >= 2 * CODECS)
        return 0;
    *at++ = (uint8_t)(codec - codecs);
    *at++ = codec->id == AV_CODEC_ID_AV1 ? CUFRAMES_PACKAGING_RAW : CUFRAMES_PACKAGING_ANNEX_B;
    at = put(at, codec->frame + codec->sets_at, index % 2 ? codec->sets_size : 0);
    *at++ = FLAG_KEY;
    at = put(at, codec->frame, codec->size);
    *at++ = FLAG_KEY | FLAG_BESIDE;
    at = put(at, codec->frame + codec->sets_at, codec->sets_size - 1);
    *at++ = 0;
    at = put(at, codec->frame, codec->size);
    return (size_t)(at - data);
}
