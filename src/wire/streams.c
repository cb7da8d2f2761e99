/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoder, decoder and judge of stream descriptions. The list of fields is here once: a record is
 * walked by one function, which either puts or gets.
 */
#include "wire/streams.h"

#include <string.h>

#include "base/error.h"

static int bad(int error, uint32_t index, const char *what, long long value)
{
    return cf_fail(error, "stream %u has %s %lld, which cannot be", index, what, value);
}

/* Printable characters up to the first NUL, of which there is one. */
static bool text_ok(const char *text, size_t size)
{
    const size_t length = strnlen(text, size);

    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return length < size;
}

static bool fraction_ok(int32_t num, int32_t den)
{
    return (num == 0 && den == 0) || (num > 0 && den > 0);
}

static int check_numbers(const cuframes_stream_t *s, uint32_t index, int error)
{
    const struct {
        const char *what;
        int64_t value;
    } counts[] = {
        {"bit rate", s->bit_rate},
        {"width", s->width},
        {"height", s->height},
        {"video delay", s->video_delay},
        {"sample rate", s->sample_rate},
        {"number of channels", s->channels},
        {"number of samples in a packet", s->samples_per_packet},
        {"initial padding", s->initial_padding},
        {"trailing padding", s->trailing_padding},
        {"seek pre-roll", s->seek_preroll},
        {"block alignment", s->block_align},
        {"number of bits in a sample", s->bits_per_sample},
    };

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (counts[i].value < 0)
            return bad(error, index, counts[i].what, counts[i].value);
    if (!fraction_ok(s->time_base_num, s->time_base_den))
        return bad(error, index, "time base numerator", s->time_base_num);
    if (!fraction_ok(s->fps_num, s->fps_den))
        return bad(error, index, "frame rate numerator", s->fps_num);
    if (!fraction_ok(s->sar_num, s->sar_den))
        return bad(error, index, "pixel shape numerator", s->sar_num);
    return CUFRAMES_OK;
}

int cf_stream_check(const cuframes_stream_t *s, uint32_t index, int error)
{
    if ((uint32_t)s->type > CUFRAMES_STREAM_DATA)
        return bad(error, index, "type", s->type);
    if ((uint32_t)s->packaging > CUFRAMES_PACKAGING_LENGTH)
        return bad(error, index, "packaging", s->packaging);
    if (s->color.range > CUFRAMES_RANGE_FULL)
        return bad(error, index, "colour range", s->color.range);
    if (!text_ok(s->codec_name, sizeof(s->codec_name)) ||
        !text_ok(s->language, sizeof(s->language)))
        return cf_fail(error,
                       "stream %u has a codec name or a language that is not printable characters "
                       "and an end",
                       index);
    if (s->extradata_size > CUFRAMES_MAX_EXTRADATA)
        return cf_fail(error, "stream %u has %u bytes of extradata: at most %d are possible", index,
                       s->extradata_size, CUFRAMES_MAX_EXTRADATA);
    return check_numbers(s, index, error);
}

/* Walks through a record. */
struct walk {
    uint8_t *put;       /* not NULL: writes */
    const uint8_t *get; /* else reads */
    bool bad;
};

static void number(struct walk *w, void *field, size_t bytes)
{
    uint8_t *f = field;

    /* Both sides of a connection run on one machine, and the wire is little-endian, as it is. */
    if (w->put) {
        memcpy(w->put, f, bytes);
        w->put += bytes;
    } else {
        memcpy(f, w->get, bytes);
        w->get += bytes;
    }
}

static void zero(struct walk *w)
{
    uint32_t value = 0;

    number(w, &value, sizeof(value));
    w->bad = w->bad || value != 0;
}

/* Zeroes follow the text. */
static void text(struct walk *w, char *field, size_t size)
{
    size_t length;

    if (w->put) {
        length = strnlen(field, size);
        memcpy(w->put, field, length);
        memset(w->put + length, 0, size - length);
        w->put += size;
        return;
    }
    memcpy(field, w->get, size);
    w->get += size;
    length = strnlen(field, size);
    for (size_t i = length; i < size; i++)
        w->bad = w->bad || field[i] != '\0';
}

static void walk_enum(struct walk *w, uint32_t *value)
{
    number(w, value, sizeof(*value));
}

static void walk_video(struct walk *w, cuframes_stream_t *s)
{
    number(w, &s->width, 4);
    number(w, &s->height, 4);
    number(w, &s->fps_num, 4);
    number(w, &s->fps_den, 4);
    number(w, &s->sar_num, 4);
    number(w, &s->sar_den, 4);
    number(w, &s->color.matrix, 1);
    number(w, &s->color.primaries, 1);
    number(w, &s->color.transfer, 1);
    number(w, &s->color.range, 1);
    number(w, &s->video_delay, 4);
}

static void walk_audio(struct walk *w, cuframes_stream_t *s)
{
    number(w, &s->sample_rate, 4);
    number(w, &s->channels, 4);
    number(w, &s->channel_mask, 8);
    number(w, &s->samples_per_packet, 4);
    number(w, &s->initial_padding, 4);
    number(w, &s->trailing_padding, 4);
    number(w, &s->seek_preroll, 4);
    number(w, &s->block_align, 4);
    number(w, &s->bits_per_sample, 4);
}

static void walk_stream(struct walk *w, cuframes_stream_t *s)
{
    uint32_t type = s->type, packaging = s->packaging;

    walk_enum(w, &type);
    number(w, &s->codec_id, 4);
    text(w, s->codec_name, sizeof(s->codec_name));
    text(w, s->language, sizeof(s->language));
    number(w, &s->codec_tag, 4);
    walk_enum(w, &packaging);
    number(w, &s->time_base_num, 4);
    number(w, &s->time_base_den, 4);
    number(w, &s->profile, 4);
    number(w, &s->level, 4);
    number(w, &s->bit_rate, 8);
    walk_video(w, s);
    walk_audio(w, s);
    number(w, &s->extradata_size, 4);
    zero(w);
    s->type = (cuframes_stream_type_t)type;
    s->packaging = (cuframes_packaging_t)packaging;
}

void cf_stream_encode(const cuframes_stream_t *stream, uint32_t extradata_size,
                      uint8_t bytes[CF_STREAM_SIZE])
{
    cuframes_stream_t copy = *stream;
    struct walk w = {.put = bytes};

    copy.extradata_size = extradata_size;
    walk_stream(&w, &copy);
}

bool cf_stream_decode(const uint8_t bytes[CF_STREAM_SIZE], cuframes_stream_t *stream)
{
    cuframes_stream_t read;
    struct walk w = {.get = bytes};

    memset(&read, 0, sizeof(read));
    walk_stream(&w, &read);
    *stream = read;
    return !w.bad;
}

size_t cf_streams_encode(uint32_t generation, const cuframes_stream_t *streams, uint32_t count,
                         uint8_t bytes[CF_STREAMS_MAX_SIZE])
{
    const uint64_t magic = CF_STREAMS_MAGIC;
    uint8_t *p = bytes + CF_STREAMS_HEAD;

    memcpy(bytes, &magic, sizeof(magic));
    memcpy(bytes + 8, &generation, sizeof(generation));
    memcpy(bytes + 12, &count, sizeof(count));
    for (uint32_t i = 0; i < count; i++) {
        cf_stream_encode(&streams[i], streams[i].extradata_size, p);
        p += CF_STREAM_SIZE;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (streams[i].extradata_size > 0)
            memcpy(p, streams[i].extradata, streams[i].extradata_size);
        p += streams[i].extradata_size;
    }
    return (size_t)(p - bytes);
}

static int refuse(void)
{
    return cf_fail(CUFRAMES_ERR_PROTOCOL,
                   "the peer's stream descriptions are not those of a packet generation");
}

static int decode_head(const uint8_t *bytes, size_t size, uint32_t generation, uint32_t *count)
{
    uint64_t magic;
    uint32_t number;

    if (size < CF_STREAMS_HEAD)
        return refuse();
    memcpy(&magic, bytes, sizeof(magic));
    memcpy(&number, bytes + 8, sizeof(number));
    memcpy(count, bytes + 12, sizeof(*count));
    if (magic != CF_STREAMS_MAGIC || number != generation || *count < 1 ||
        *count > CUFRAMES_MAX_STREAMS || size - CF_STREAMS_HEAD < *count * (size_t)CF_STREAM_SIZE)
        return refuse();
    return CUFRAMES_OK;
}

int cf_streams_decode(const uint8_t *bytes, size_t size, uint32_t generation,
                      cuframes_stream_t streams[CUFRAMES_MAX_STREAMS], uint32_t *count)
{
    cuframes_stream_t read[CUFRAMES_MAX_STREAMS];
    const uint8_t *p = bytes + CF_STREAMS_HEAD;
    uint32_t found;
    int err = decode_head(bytes, size, generation, &found);

    if (err)
        return err;
    for (uint32_t i = 0; i < found; i++, p += CF_STREAM_SIZE) {
        if (!cf_stream_decode(p, &read[i]))
            return refuse();
        if ((err = cf_stream_check(&read[i], i, CUFRAMES_ERR_PROTOCOL)) != 0)
            return err;
    }
    for (uint32_t i = 0; i < found; i++) {
        if ((size_t)(bytes + size - p) < read[i].extradata_size)
            return refuse();
        read[i].extradata = read[i].extradata_size > 0 ? p : NULL;
        p += read[i].extradata_size;
    }
    if (p != bytes + size)
        return refuse();
    memcpy(streams, read, found * sizeof(*read));
    *count = found;
    return CUFRAMES_OK;
}
