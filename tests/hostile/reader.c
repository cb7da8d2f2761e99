/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile_reader KEY WHAT MILLISECONDS: reads a channel as a program would, by the public API alone,
 * and touches every byte that it is given. WHAT is newest, order, poll, packets, kept, query
 * or watch. Prints one line: the error that ended it, or what it got.
 *
 * Ends with 0, or 1 after an error that was told. 3: a call took longer than its timeout.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuframes/cuframes.h>

#define WAIT_MS 50
/* Beyond its timeout: for a machine that is busy, and for a sanitizer. */
#define PATIENCE_MS 3000

static int64_t until_ns, call_began_ns;
static uint64_t got, sum;

static void begin(void)
{
    call_began_ns = cuframes_now_ns();
}

/* `timeout_ms` is what the call was given. */
static void end(const char *what, int timeout_ms)
{
    const int64_t took_ms = (cuframes_now_ns() - call_began_ns) / 1000000;

    if (took_ms <= timeout_ms + PATIENCE_MS)
        return;
    printf("%s took %lld ms with a timeout of %d\n", what, (long long)took_ms, timeout_ms);
    exit(3);
}

static int refused(int err)
{
    const char *text = cuframes_last_error();

    printf("%s: %s\n", cuframes_strerror(err), text);
    return *text ? 1 : 4;
}

static int done(void)
{
    printf("got %llu, sum %llx\n", (unsigned long long)got, (unsigned long long)sum);
    return 0;
}

static void touch(const void *bytes, size_t size)
{
    const volatile uint8_t *p = bytes;

    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + p[i];
    got++;
}

static void touch_frame(const cuframes_frame_t *frame)
{
    size_t user_size = 0;
    const void *user = cuframes_frame_user_data(frame, &user_size);
    const cuframes_layout_t *layout = cuframes_frame_layout(frame);

    touch(cuframes_frame_data(frame), cuframes_frame_data_size(frame));
    touch(user, user_size);
    /* The visible picture lies inside. */
    for (uint32_t i = 0; i < layout->plane_count; i++)
        touch((const uint8_t *)cuframes_frame_data(frame) + layout->planes[i].offset,
              (size_t)layout->planes[i].pitch * layout->planes[i].rows);
    cuframes_frame_check(frame);
}

static int next_frame(cuframes_subscriber_t *reader, int timeout_ms)
{
    cuframes_frame_t *frame = NULL;
    int err;

    begin();
    err = cuframes_subscriber_next(reader, NULL, &frame, timeout_ms);
    end("next", timeout_ms);
    if (err == CUFRAMES_OK) {
        touch_frame(frame);
        cuframes_frame_release(frame);
    }
    return err;
}

static int read_frames(const char *key, int mode, uint32_t flags)
{
    const cuframes_subscriber_config_t config = {
        .key = key, .mode = mode, .flags = flags, .connect_timeout_ms = 2000};
    const bool polls = (flags & CUFRAMES_SUBSCRIBER_POLL) != 0;
    cuframes_subscriber_t *reader;
    int err;

    begin();
    err = cuframes_subscriber_create(&config, &reader);
    end("create", config.connect_timeout_ms);
    if (err)
        return refused(err);
    while (cuframes_now_ns() < until_ns && !err) {
        err = next_frame(reader, polls ? 0 : WAIT_MS);
        if (err == CUFRAMES_ERR_WOULD_BLOCK)
            poll(&(struct pollfd){.fd = cuframes_subscriber_fd(reader), .events = POLLIN}, 1,
                 WAIT_MS);
        if (err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TIMEOUT)
            err = CUFRAMES_OK;
    }
    err = err ? refused(err) : done();
    begin();
    cuframes_subscriber_destroy(reader);
    end("destroy", 0);
    return err;
}

static void touch_streams(cuframes_subscriber_t *reader)
{
    const int32_t count = cuframes_subscriber_stream_count(reader);
    cuframes_stream_t stream;

    for (int32_t i = 0; i < count; i++)
        if (cuframes_subscriber_stream(reader, i, &stream) == CUFRAMES_OK)
            touch(stream.extradata, stream.extradata_size);
}

static int next_packet(cuframes_subscriber_t *reader)
{
    cuframes_packet_t *packet = NULL;
    int err;

    begin();
    err = cuframes_subscriber_next_packet(reader, &packet, WAIT_MS);
    end("next_packet", WAIT_MS);
    if (err == CUFRAMES_OK) {
        touch(cuframes_packet_data(packet), cuframes_packet_size(packet) + 64);
        touch_streams(reader);
        cuframes_subscriber_release_packet(reader, packet);
    }
    if (err == CUFRAMES_ERR_TIMEOUT || err == CUFRAMES_ERR_PACKET_OVERRUN)
        err = CUFRAMES_OK;
    return err;
}

static int read_packets(const char *key, cuframes_packet_start_t start)
{
    const cuframes_subscriber_config_t config = {
        .key = key, .flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY, .connect_timeout_ms = 2000};
    const cuframes_packet_options_t options = {.start = start};
    cuframes_subscriber_t *reader;
    int err;

    begin();
    err = cuframes_subscriber_create(&config, &reader);
    end("create", config.connect_timeout_ms);
    if (err)
        return refused(err);
    begin();
    err = cuframes_subscriber_enable_packets_from(reader, &options);
    /* The publisher's time for an answer. */
    end("enable_packets", 5000);
    while (cuframes_now_ns() < until_ns && !err)
        err = next_packet(reader);
    err = err ? refused(err) : done();
    begin();
    cuframes_subscriber_destroy(reader);
    end("destroy", 0);
    return err;
}

static int ask(const char *key)
{
    cuframes_channel_report_t *report;
    int err;

    begin();
    err = cuframes_query(NULL, key, 2000, &report);
    end("query", 2000);
    if (err)
        return refused(err);
    touch(report->subscribers, report->subscriber_count * sizeof(*report->subscribers));
    touch(report->streams, report->stream_count * sizeof(*report->streams));
    cuframes_channel_report_free(report);
    return done();
}

static int watch(void)
{
    cuframes_watch_event_t event;
    cuframes_watch_t *watch;
    int err = cuframes_watch_create(NULL, &watch);

    if (err)
        return refused(err);
    while (cuframes_now_ns() < until_ns && !err) {
        begin();
        err = cuframes_watch_next(watch, &event, WAIT_MS);
        end("watch_next", WAIT_MS);
        got += err == CUFRAMES_OK;
        if (err == CUFRAMES_ERR_TIMEOUT)
            err = CUFRAMES_OK;
    }
    cuframes_watch_destroy(watch);
    return err ? refused(err) : done();
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    until_ns = cuframes_now_ns() + atoll(argv[3]) * 1000000;
    if (!strcmp(argv[2], "newest"))
        return read_frames(argv[1], CUFRAMES_MODE_NEWEST_ONLY, 0);
    if (!strcmp(argv[2], "order"))
        return read_frames(argv[1], CUFRAMES_MODE_STRICT_ORDER, CUFRAMES_SUBSCRIBER_FRAME_FD);
    if (!strcmp(argv[2], "poll"))
        return read_frames(argv[1], CUFRAMES_MODE_NEWEST_ONLY, CUFRAMES_SUBSCRIBER_POLL);
    if (!strcmp(argv[2], "packets"))
        return read_packets(argv[1], CUFRAMES_PACKETS_FROM_NEWEST_KEY);
    if (!strcmp(argv[2], "kept"))
        return read_packets(argv[1], CUFRAMES_PACKETS_FROM_OLDEST_KEY);
    if (!strcmp(argv[2], "query"))
        return ask(argv[1]);
    if (!strcmp(argv[2], "watch"))
        return watch();
    return 2;
}
