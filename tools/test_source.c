/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes test-source: publishes the test pattern of common/pattern.h, so that readers can prove
 * that they see whole frames. In host memory each frame is filled where it is published from; to GPU
 * memory it is copied.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "command.h"
#include "common/json.h"
#include "common/options.h"
#include "common/pattern.h"
#include "common/stop.h"
#include "common/terminal.h"

/* A source that fell behind further than this goes on from now, instead of catching up. */
#define MAX_BEHIND_NS 1000000000
#define DROP_PAUSE_NS 200000

struct settings {
    cuframes_publisher_config_t config;
    int64_t frames; /* 0 = no end */
    int32_t alternate_width, alternate_height;
    int64_t alternate_every; /* 0 = the size stays */
    int wait_subscribers;
    bool json;
};

struct source {
    const struct settings *settings;
    cuframes_publisher_t *publisher;
    uint64_t seed;
    uint64_t seq;     /* of the next frame */
    uint64_t dropped; /* frames for which no slot was free */
    int64_t start_ns;
    int64_t due_ns; /* when the next frame is to go out */
    bool on_gpu;
    void *picture; /* of a frame for GPU memory */
    size_t picture_size;
};

enum {
    ID_SIZE = 1,
    ID_FORMAT,
    ID_FPS,
    ID_FRAMES,
    ID_SLOTS,
    ID_MEMORY,
    ID_GPU,
    ID_POLICY,
    ID_ACK,
    ID_HOLDS,
    ID_ALTERNATE_SIZE,
    ID_ALTERNATE_EVERY,
    ID_WAIT_SUBSCRIBERS,
    ID_JSON,
};

static const struct option_row rows[] = {
    {ID_SIZE, "size", "WxH", "size of the picture (default 1920x1080)"},
    {ID_FORMAT, "format", "F",
     "nv12 (default), yuv420p, yuv444p, p010, rgb, bgr, rgba,\nbgra, grayscale or gray16"},
    {ID_FPS, "fps", "N", "frames a second (default 30); 0 = as fast as it can"},
    {ID_FRAMES, "frames", "N", "end after so many frames (default: on a signal)"},
    {ID_SLOTS, "slots", "N", "slots of the channel, 2 to 64 (default 8)"},
    {ID_MEMORY, "memory", "host|cuda|auto", "where the frames are (default host)"},
    {ID_GPU, "gpu", "N|UUID", "with --memory cuda or auto: on this GPU (default 0)"},
    {ID_POLICY, "policy", "drop|wait", "what to do about slow readers (default drop)"},
    {ID_ACK, "ack-timeout-ms", "N",
     "with --policy wait: evict a reader after so long\n(default 200; below 0 never)"},
    {ID_HOLDS, "max-holds", "N", "frames that one reader may hold (default slots - 2)"},
    {ID_ALTERNATE_SIZE, "alternate-size", "WxH", "a second size, to change between"},
    {ID_ALTERNATE_EVERY, "alternate-every", "N", "change the size every N frames (default 100)"},
    {ID_WAIT_SUBSCRIBERS, "wait-subscribers", "N", "begin when N readers are attached"},
    {ID_JSON, "json", NULL, "print a summary as JSON at the end"},
    {0},
};

static const struct usage usage = {
    .synopsis = "KEY [options]",
    .about = "Publishes a test pattern as channel KEY. Every 8 bytes of a frame depend on its\n"
             "sequence number: 'cuframes sub KEY --verify' finds any byte of another frame.",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;
    cuframes_publisher_config_t *config = &s->config;

    switch (id) {
    case ID_SIZE:
        return options_size(o, &config->width, &config->height);
    case ID_FORMAT:
        return options_format(o, &config->format);
    case ID_FPS:
        return options_rate(o, &config->fps_num, &config->fps_den);
    case ID_FRAMES:
        return options_integer(o, 1, INT64_MAX, &s->frames);
    case ID_SLOTS:
        return options_int(o, CUFRAMES_MIN_SLOTS, CUFRAMES_MAX_SLOTS, &config->ring_size);
    case ID_MEMORY:
        return options_memory(o, &config->memory);
    case ID_GPU:
        return options_gpu(o, &config->cuda_device);
    case ID_POLICY:
        return options_policy(o, &config->policy);
    case ID_ACK:
        return options_int(o, -1, INT32_MAX, &config->consumer_ack_timeout_ms);
    case ID_HOLDS:
        return options_int(o, 1, CUFRAMES_MAX_SLOTS - 1, &config->max_holds);
    case ID_ALTERNATE_SIZE:
        return options_size(o, &s->alternate_width, &s->alternate_height);
    case ID_ALTERNATE_EVERY:
        return options_integer(o, 1, INT64_MAX, &s->alternate_every);
    case ID_WAIT_SUBSCRIBERS:
        return options_int(o, 1, CUFRAMES_MAX_SUBSCRIBERS, &s->wait_subscribers);
    default:
        s->json = true;
        return true;
    }
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    char **words;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    words = options_words(&o, 1, "KEY");
    if (!words || !options_check_key(words[0]))
        return TOOL_USAGE;
    if (!options_needs(&o, ID_ACK, s->config.policy == CUFRAMES_POLICY_STRICT_WAIT,
                       "--policy wait"))
        return TOOL_USAGE;
    if (!options_needs(&o, ID_GPU, s->config.memory != CUFRAMES_MEMORY_HOST,
                       "--memory cuda or auto") ||
        !options_needs(&o, ID_ALTERNATE_EVERY, s->alternate_width > 0, "--alternate-size"))
        return TOOL_USAGE;
    if (s->alternate_width && !s->alternate_every)
        s->alternate_every = 100;
    s->config.key = words[0];
    s->config.runtime_dir = o.runtime_dir;
    return TOOL_CONTINUE;
}

static bool wait_for_subscribers(struct source *source)
{
    cuframes_publisher_stats_t stats;

    while (!stop_requested()) {
        if (cuframes_publisher_stats(source->publisher, &stats) != CUFRAMES_OK ||
            stats.subscribers >= (uint32_t)source->settings->wait_subscribers)
            return true;
        terminal_progress("%" PRIu32 " of %d readers are here", stats.subscribers,
                          source->settings->wait_subscribers);
        stop_sleep_until(cuframes_now_ns() + 5000000);
    }
    return false;
}

/* Changes between the two sizes when it is time. */
static int alternate(struct source *source)
{
    const struct settings *s = source->settings;
    cuframes_publisher_config_t config = s->config;
    bool second;

    if (!s->alternate_every || source->seq == 0 || source->seq % (uint64_t)s->alternate_every)
        return CUFRAMES_OK;
    second = source->seq / (uint64_t)s->alternate_every % 2 == 1;
    if (second) {
        config.width = s->alternate_width;
        config.height = s->alternate_height;
    }
    return cuframes_publisher_reconfigure(source->publisher, &config);
}

static int64_t pts_of(const struct source *source)
{
    const cuframes_publisher_config_t *config = &source->settings->config;

    if (!config->fps_num)
        return cuframes_now_ns() - source->start_ns;
    return (int64_t)((__int128)source->seq * 1000000000 * config->fps_den / config->fps_num);
}

/* Room for a frame that is made on the host and copied. */
static void *picture(struct source *source, size_t size)
{
    void *grown;

    if (size <= source->picture_size)
        return source->picture;
    grown = realloc(source->picture, size);
    if (!grown)
        return NULL;
    source->picture = grown;
    source->picture_size = size;
    return grown;
}

/* Writes the pattern to the slot. */
static int fill(struct source *source, cuframes_buffer_t *buffer, bool on_gpu)
{
    const size_t size = cuframes_buffer_layout(buffer)->size;
    void *made = on_gpu ? picture(source, size) : cuframes_buffer_data(buffer);

    if (!made)
        return CUFRAMES_ERR_OUT_OF_MEMORY;
    pattern_fill(made, size, source->seed, source->seq);
    return on_gpu ? cuframes_buffer_write(buffer, 0, made, size, NULL) : CUFRAMES_OK;
}

/* Fills and announces one frame; WOULD_BLOCK when it was dropped. */
static int publish_one(struct source *source)
{
    struct pattern_stamp stamp;
    cuframes_frame_meta_t meta = {
        .pts_ns = pts_of(source),
        .capture_ns = CUFRAMES_NO_TIME,
        .user_data = &stamp,
        .user_size = sizeof(stamp),
    };
    cuframes_buffer_t *buffer;
    uint64_t seq;
    int error = cuframes_publisher_acquire_buffer(source->publisher, &buffer);

    if (error)
        return error;
    pattern_stamp_init(&stamp, source->seed, source->seq);
    meta.copies = source->on_gpu;
    error = fill(source, buffer, source->on_gpu);
    if (!error)
        error = cuframes_publisher_publish_buffer(source->publisher, buffer, NULL, &meta, &seq);
    cuframes_buffer_unref(buffer);
    if (error)
        return error;
    if (seq != source->seq) {
        report("the library gave a frame number %" PRIu64 ", %" PRIu64 " was to come", seq,
               source->seq);
        return CUFRAMES_ERR_INTERNAL;
    }
    source->seq++;
    return CUFRAMES_OK;
}

/* Sleeps until the next frame is due. */
static bool keep_time(struct source *source)
{
    const cuframes_publisher_config_t *config = &source->settings->config;
    int64_t now;

    if (!config->fps_num)
        return !stop_requested();
    if (!stop_sleep_until(source->due_ns))
        return false;
    source->due_ns += INT64_C(1000000000) * config->fps_den / config->fps_num;
    now = cuframes_now_ns();
    if (now - source->due_ns > MAX_BEHIND_NS)
        source->due_ns = now;
    return true;
}

static bool finished(const struct source *source)
{
    /* A dropped frame is not made again: the source keeps time as a camera does. */
    return source->settings->frames &&
           source->seq + source->dropped >= (uint64_t)source->settings->frames;
}

static void drop_one(struct source *source)
{
    source->dropped++;
    /* Without a rate to keep, give the readers time instead of dropping thousands in a spin. */
    if (!source->settings->config.fps_num)
        stop_sleep_until(cuframes_now_ns() + DROP_PAUSE_NS);
}

static int publish_all(struct source *source)
{
    source->start_ns = source->due_ns = cuframes_now_ns();
    while (!finished(source) && keep_time(source)) {
        int error = alternate(source);

        if (error == CUFRAMES_OK)
            error = publish_one(source);
        if (error == CUFRAMES_ERR_WOULD_BLOCK)
            drop_one(source);
        else if (error)
            return error;
        terminal_progress("%" PRIu64 " frames published, %" PRIu64 " dropped", source->seq,
                          source->dropped);
    }
    terminal_progress_clear();
    return CUFRAMES_OK;
}

static void print_summary(struct source *source)
{
    double seconds = (double)(cuframes_now_ns() - source->start_ns) / 1e9;
    cuframes_publisher_stats_t stats = {0};

    cuframes_publisher_stats(source->publisher, &stats);
    json_print(json_pack("{ss, so, so, so, so, sf, sf}", "key", source->settings->config.key,
                         "published", json_unsigned(source->seq), "dropped",
                         json_unsigned(source->dropped), "evicted", json_unsigned(stats.evicted),
                         "generations", json_unsigned(stats.generations), "seconds", seconds, "fps",
                         seconds > 0 ? (double)source->seq / seconds : 0.0),
               false);
}

static int run(struct source *source)
{
    int error;

    if (source->settings->wait_subscribers && !wait_for_subscribers(source))
        return TOOL_DONE;
    error = publish_all(source);
    if (error)
        return report_library(error);
    if (source->settings->json)
        print_summary(source);
    return TOOL_DONE;
}

/* Before any option. */
static const struct settings defaults = {.config = {.width = 1920,
                                                    .height = 1080,
                                                    .memory = CUFRAMES_MEMORY_HOST,
                                                    .fps_num = 30,
                                                    .fps_den = 1}};

int command_test_source(int argc, char **argv)
{
    struct settings s = defaults;
    struct source source = {.settings = &s};
    cuframes_channel_info_t info = {0};
    int rc = parse(argc, argv, &s);
    int error;

    if (rc != TOOL_CONTINUE)
        return rc;
    if (getrandom(&source.seed, sizeof(source.seed), 0) != sizeof(source.seed))
        return report_failed("no random numbers from the kernel");
    stop_on_signals();
    error = cuframes_publisher_create(&s.config, &source.publisher);
    if (error)
        return report_library(error);
    cuframes_publisher_info(source.publisher, &info);
    source.on_gpu = info.memory == CUFRAMES_MEMORY_CUDA;
    rc = run(&source);
    cuframes_publisher_destroy(source.publisher);
    free(source.picture);
    return rc;
}
