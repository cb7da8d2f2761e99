/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One thread: take a frame, look at the clock, verify, hold, verify again, release. Memory does
 * not grow with the number of frames.
 */
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "common/attach.h"
#include "common/file.h"
#include "common/pattern.h"
#include "common/report.h"
#include "common/stop.h"
#include "common/terminal.h"

struct reader {
    const struct reader_settings *settings;
    struct reader_result *result;
    cuframes_subscriber_t *subscriber;
    int64_t start_ns; /* when it was attached */
    uint64_t received;
    bool seed_known;
    uint64_t seed;       /* of the publisher's run that the frames come from */
    uint64_t seed_since; /* reconnects when it was learned */
    FILE *checksums;
    uint32_t checksum; /* of the frame that is held */
};

double reader_rate(const struct reader_result *result)
{
    int64_t span = result->last_ns - result->first_ns;

    return result->stats.received > 1 && span > 0
               ? (double)(result->stats.received - 1) * 1e9 / (double)span
               : 0;
}

/* Keeps the sentence for the summary, and says it. */
static int fail(struct reader *reader, const char *sentence)
{
    snprintf(reader->result->error, sizeof(reader->result->error), "%s", sentence);
    return report_failed("%s", sentence);
}

static int fail_library(struct reader *reader, int error)
{
    const char *sentence = cuframes_last_error();

    reader->result->disconnected = error == CUFRAMES_ERR_DISCONNECTED;
    return fail(reader, *sentence ? sentence : cuframes_strerror(error));
}

/* A new run of the publisher has a new seed; the same run never changes it. */
static bool seed_belongs(struct reader *reader, uint64_t seed)
{
    cuframes_subscriber_stats_t stats = {0};

    if (reader->seed_known && seed == reader->seed)
        return true;
    cuframes_subscriber_stats(reader->subscriber, &stats);
    if (reader->seed_known && stats.reconnects == reader->seed_since)
        return false;
    reader->seed_known = true;
    reader->seed = seed;
    reader->seed_since = stats.reconnects;
    return true;
}

static void report_torn(struct reader *reader, const cuframes_frame_t *frame, const char *what,
                        size_t offset)
{
    if (cuframes_frame_check(frame) != CUFRAMES_OK)
        return; /* evicted while it held the frame: the next call says so */
    if (reader->result->torn++ == 0)
        report("frame %" PRIu64 " is torn: %s %zu", cuframes_frame_seq(frame), what, offset);
}

/* Compares one frame with what its sequence number says; false when the channel is not a test's. */
static bool verify(struct reader *reader, const cuframes_frame_t *frame, bool again)
{
    uint64_t seq = cuframes_frame_seq(frame);
    struct pattern_stamp stamp;
    size_t size;
    size_t offset;
    const void *data = cuframes_frame_user_data(frame, &size);

    if (!pattern_stamp_read(data, size, &stamp))
        return false;
    if (!again)
        reader->result->verified++;
    if (stamp.seq != seq || !seed_belongs(reader, stamp.seed)) {
        report_torn(reader, frame, "its stamp is that of frame", (size_t)stamp.seq);
        return true;
    }
    offset = pattern_verify(cuframes_frame_data(frame), cuframes_frame_data_size(frame), stamp.seed,
                            seq);
    if (offset != PATTERN_INTACT)
        report_torn(reader, frame, "first foreign byte at offset", offset);
    return true;
}

/* Of the visible picture: what a decoder writes beside it is its own. */
static uint32_t checksum(const cuframes_frame_t *frame)
{
    uLong sum = crc32(0, NULL, 0);
    cuframes_plane_t plane;

    for (int32_t i = 0; cuframes_frame_plane(frame, i, &plane) == CUFRAMES_OK; i++)
        for (uint32_t y = 0; y < plane.rows; y++)
            sum = crc32(sum, (const Bytef *)plane.data + (size_t)y * plane.pitch, plane.row_bytes);
    return (uint32_t)sum;
}

static void note_checksum(struct reader *reader, const cuframes_frame_t *frame)
{
    reader->checksum = checksum(frame);
    reader->result->checksummed++;
    fprintf(reader->checksums, "%" PRIu64 " %08" PRIx32 "\n", cuframes_frame_seq(frame),
            reader->checksum);
}

static void compare_checksum(struct reader *reader, const cuframes_frame_t *frame)
{
    if (checksum(frame) != reader->checksum)
        report_torn(reader, frame, "its checksum changed while it was held for milliseconds:",
                    (size_t)reader->settings->hold_ms);
}

static int look_at(struct reader *reader, const cuframes_frame_t *frame)
{
    const struct reader_settings *s = reader->settings;
    uint64_t torn = reader->result->torn;

    if (s->verify && !verify(reader, frame, false))
        return fail(reader, "--verify: this channel is not a test source (no test stamp on its "
                            "frames); publish one with 'cuframes test-source'");
    if (reader->checksums)
        note_checksum(reader, frame);
    if (!s->hold_ms)
        return TOOL_CONTINUE;
    stop_sleep_until(cuframes_now_ns() + s->hold_ms * INT64_C(1000000));
    if (s->verify && reader->result->torn == torn)
        verify(reader, frame, true);
    if (reader->checksums)
        compare_checksum(reader, frame);
    return TOOL_CONTINUE;
}

static void count(struct reader *reader, const cuframes_frame_t *frame, int64_t awake_ns)
{
    struct reader_result *result = reader->result;
    int64_t published_ns = cuframes_frame_published_ns(frame);

    /* A frame that was there before this reader woke nobody. */
    if (published_ns >= reader->start_ns)
        histogram_add(&result->latency,
                      awake_ns > published_ns ? (uint64_t)(awake_ns - published_ns) : 0);
    if (reader->received++ == 0)
        result->first_ns = awake_ns;
    result->last_ns = awake_ns;
    if (cuframes_frame_missed(frame) > 0)
        result->gaps++;
}

/* Reads until there is an exit code. */
static int read_frames(struct reader *reader, int64_t deadline_ns)
{
    const struct reader_settings *s = reader->settings;
    int rc = TOOL_CONTINUE;

    while (rc == TOOL_CONTINUE && (!s->frames || reader->received < (uint64_t)s->frames)) {
        cuframes_frame_t *frame;
        int error = attach_next(reader->subscriber, deadline_ns, &frame);
        int64_t awake_ns = cuframes_now_ns();

        if (error == CUFRAMES_ERR_TIMEOUT || error == CUFRAMES_ERR_WOULD_BLOCK)
            break;
        if (error)
            return fail_library(reader, error);
        count(reader, frame, awake_ns);
        rc = look_at(reader, frame);
        cuframes_frame_release(frame);
        /* Frames that wait already would keep next() from ever looking at the time. */
        if (awake_ns >= deadline_ns || stop_requested())
            break;
        terminal_progress("%" PRIu64 " frames, %" PRIu64 " torn", reader->received,
                          reader->result->torn);
    }
    return rc == TOOL_CONTINUE ? TOOL_DONE : rc;
}

/*
 * The channel's end is an early end only for a reader that was to read more than it got.
 */
static int judge(struct reader *reader, int rc)
{
    const struct reader_settings *s = reader->settings;

    if (reader->result->torn)
        return TOOL_FAILED;
    if (reader->result->disconnected && !s->frames && s->seconds <= 0 && reader->received)
        return TOOL_DONE;
    return rc;
}

/* Everything must have reached the file, else the summary would promise too much. */
static int close_checksums(struct reader *reader, int rc)
{
    bool failed;

    if (!reader->checksums)
        return rc;
    failed = ferror(reader->checksums);
    failed = fclose(reader->checksums) != 0 || failed;
    if (!failed)
        return rc;
    return report_failed("cannot write %s: %s", reader->settings->checksum_path, strerror(errno));
}

static int read_all(struct reader *reader)
{
    const struct reader_settings *s = reader->settings;
    int64_t deadline_ns = INT64_MAX;
    int rc;

    reader->start_ns = cuframes_now_ns();
    if (s->seconds > 0)
        deadline_ns = reader->start_ns + (int64_t)(s->seconds * 1e9);
    rc = read_frames(reader, deadline_ns);
    terminal_progress_clear();
    reader->result->seconds = (double)(cuframes_now_ns() - reader->start_ns) / 1e9;
    cuframes_subscriber_stats(reader->subscriber, &reader->result->stats);
    return rc;
}

int reader_run(const struct reader_settings *settings, struct reader_result *result, bool *attached)
{
    struct reader reader = {.settings = settings, .result = result};
    int rc;
    int error;

    *attached = false;
    if (settings->checksum_path) {
        int fd = file_open(settings->checksum_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

        reader.checksums = fd < 0 ? NULL : fdopen(fd, "w");
        if (!reader.checksums && fd >= 0)
            close(fd);
        if (!reader.checksums)
            return report_failed("cannot write %s: %s", settings->checksum_path, strerror(errno));
    }
    error = attach(&settings->config, settings->wait_s, settings->seconds, &reader.subscriber);
    *attached = error == CUFRAMES_OK;
    if (error)
        return close_checksums(&reader, error == CUFRAMES_ERR_WOULD_BLOCK ? TOOL_DONE
                                                                          : report_library(error));
    rc = close_checksums(&reader, read_all(&reader));
    cuframes_subscriber_destroy(reader.subscriber);
    return judge(&reader, rc);
}
