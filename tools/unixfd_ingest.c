/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes ingest unixfd:PATH: publishes what GStreamer's element unixfdsink offers. One copy for
 * each frame, from the sink's memory into a slot; the sink gets its buffer back at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "common/file.h"
#include "common/json.h"
#include "common/options.h"
#include "common/stop.h"
#include "unixfd/intake.h"
#include "unixfd/picture.h"
#include "unixfd/socket.h"

#define PREFIX                 "unixfd:"
#define RECONNECT_INTERVAL_NS  200000000
#define DEFAULT_ACK_TIMEOUT_MS 200

struct settings {
    cuframes_publisher_config_t config;
    const char *path;
    int wait_subscribers;
    bool reconnect;
    bool json;
};

struct ingest {
    const struct settings *settings;
    struct intake intake;
    cuframes_publisher_t *publisher;
    bool have_caps;
    struct unixfd_picture picture;   /* of the caps */
    struct unixfd_picture published; /* of the channel */
    cuframes_layout_t layout;        /* of the channel */
    bool discontinuity;              /* the next frame does not follow the one before */
    bool said_waiting;
    uint64_t frames, dropped, reconnects;
};

enum {
    ID_KEY = 1,
    ID_SLOTS,
    ID_POLICY,
    ID_ACK,
    ID_SOCKET_MODE,
    ID_SOCKET_GROUP,
    ID_WAIT_SUBSCRIBERS,
    ID_NO_RECONNECT,
    ID_JSON,
};

static const struct option_row rows[] = {
    {ID_KEY, "key", "KEY", "the channel to publish (needed)"},
    {ID_SLOTS, "slots", "N", "slots of the channel, 2 to 64 (default 8)"},
    {ID_POLICY, "policy", "drop|wait", "what to do about slow readers (default drop)"},
    {ID_ACK, "ack-timeout-ms", "N",
     "with --policy wait: evict a reader after so long\n(default 200; below 0 never)"},
    {ID_SOCKET_MODE, "socket-mode", "MODE",
     "permission bits of the channel's socket, octal (default 600)"},
    {ID_SOCKET_GROUP, "socket-group", "GROUP", "group of the channel's socket"},
    {ID_WAIT_SUBSCRIBERS, "wait-subscribers", "N", "publish nothing before N readers are attached"},
    {ID_NO_RECONNECT, "no-reconnect", NULL,
     "fail when the sink is not there, or goes without the stream's end"},
    {ID_JSON, "json", NULL, "print a summary as JSON at the end"},
    {0},
};

static const struct usage usage = {
    .synopsis = PREFIX "PATH --key KEY [options]",
    .about =
        "Publishes as channel KEY what GStreamer's element unixfdsink (1.24 and later) offers\n"
        "on the socket PATH, with one copy for each frame. Ends when its stream ends (EOS);\n"
        "'cuframes ingest --help' is about all other inputs.",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;
    cuframes_publisher_config_t *config = &s->config;

    switch (id) {
    case ID_KEY:
        config->key = o->value;
        return options_check_key(o->value);
    case ID_SLOTS:
        return options_int(o, CUFRAMES_MIN_SLOTS, CUFRAMES_MAX_SLOTS, &config->ring_size);
    case ID_POLICY:
        return options_policy(o, &config->policy);
    case ID_ACK:
        return options_int(o, -1, INT32_MAX, &config->consumer_ack_timeout_ms);
    case ID_SOCKET_MODE:
        return options_socket_mode(o, &config->socket_mode);
    case ID_SOCKET_GROUP:
        config->socket_group = o->value;
        return true;
    case ID_WAIT_SUBSCRIBERS:
        return options_int(o, 1, CUFRAMES_MAX_SUBSCRIBERS, &s->wait_subscribers);
    case ID_NO_RECONNECT:
        s->reconnect = false;
        return true;
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
    words = options_words(&o, 1, PREFIX "PATH");
    if (!words)
        return TOOL_USAGE;
    if (!options_needs(&o, ID_ACK, s->config.policy == CUFRAMES_POLICY_STRICT_WAIT,
                       "--policy wait"))
        return TOOL_USAGE;
    if (!s->config.key)
        return report_usage("which channel is it to be? give --key KEY");
    s->config.runtime_dir = o.runtime_dir;
    s->path = words[0] + strlen(PREFIX);
    return TOOL_CONTINUE;
}

/* ---- the channel ---- */

static bool layout_equal(const cuframes_layout_t *a, const cuframes_layout_t *b)
{
    if (a->size != b->size || a->plane_count != b->plane_count)
        return false;
    for (uint32_t i = 0; i < a->plane_count; i++)
        if (a->planes[i].offset != b->planes[i].offset || a->planes[i].pitch != b->planes[i].pitch)
            return false;
    return true;
}

static bool wait_for_subscribers(struct ingest *ingest)
{
    cuframes_publisher_stats_t stats = {0};

    while ((int)stats.subscribers < ingest->settings->wait_subscribers) {
        cuframes_publisher_stats(ingest->publisher, &stats);
        if (!stop_sleep_until(cuframes_now_ns() + 5000000))
            return false;
    }
    return true;
}

/* Makes the channel, or changes it, for pictures that lie as `layout` says. */
static int prepare_channel(struct ingest *ingest, const cuframes_layout_t *layout)
{
    const struct unixfd_picture *picture = &ingest->picture;
    cuframes_publisher_config_t config = ingest->settings->config;
    int error;

    if (ingest->publisher && unixfd_picture_equal(picture, &ingest->published) &&
        layout_equal(layout, &ingest->layout))
        return TOOL_CONTINUE;
    config.width = picture->width;
    config.height = picture->height;
    config.format = picture->format;
    config.fps_num = picture->fps_num;
    config.fps_den = picture->fps_den;
    config.sar_num = picture->sar_num;
    config.sar_den = picture->sar_den;
    config.color = picture->color;
    config.layout = layout;
    if (ingest->publisher) {
        error = cuframes_publisher_reconfigure(ingest->publisher, &config);
    } else {
        error = cuframes_publisher_create(&config, &ingest->publisher);
        if (!error && !wait_for_subscribers(ingest))
            return TOOL_DONE;
    }
    if (error)
        return report_library(error);
    ingest->published = *picture;
    ingest->layout = *layout;
    return TOOL_CONTINUE;
}

/* Reads `size` bytes of the buffer, whose memories follow on one another. */
static bool read_memories(const struct ingest *ingest, const struct unixfd_buffer *buffer,
                          uint8_t *to, uint64_t size)
{
    for (uint32_t i = 0; i < buffer->memory_count && size > 0; i++) {
        const struct unixfd_memory *memory = &buffer->memories[i];
        uint64_t part = memory->size < size ? memory->size : size;
        uint64_t done = 0;

        /* Not mapped: a sink that shortens its file must not be able to kill this process. */
        while (done < part) {
            ssize_t got = pread(ingest->intake.fds.fd[i], to + done, part - done,
                                (off_t)(memory->offset + done));

            if (got <= 0)
                return false;
            done += (uint64_t)got;
        }
        to += part;
        size -= part;
    }
    return size == 0;
}

static cuframes_frame_meta_t describe(struct ingest *ingest, const struct unixfd_buffer *buffer)
{
    cuframes_frame_meta_t meta = {.pts_ns = CUFRAMES_NO_TIME, .copies = 1};

    if (buffer->pts <= INT64_MAX)
        meta.pts_ns = (int64_t)buffer->pts;
    if (buffer->has_capture) {
        meta.capture_ns = (int64_t)buffer->capture_ns;
        meta.capture_source = CUFRAMES_CLOCK_APPLICATION;
    }
    if (ingest->discontinuity || (buffer->flags & UNIXFD_FLAG_DISCONT))
        meta.flags |= CUFRAMES_FRAME_DISCONTINUITY;
    if (buffer->flags & UNIXFD_FLAG_CORRUPTED)
        meta.flags |= CUFRAMES_FRAME_CORRUPT;
    return meta;
}

/* Reads of other files can wait for somebody: of a pipe, of a file system in a process. */
static bool are_shared_memory(const struct unixfd_fds *fds)
{
    for (int i = 0; i < fds->count; i++)
        if (fcntl(fds->fd[i], F_GET_SEALS) < 0)
            return false;
    return true;
}

enum taken { TAKEN, REFUSED, FAILED };

static enum taken publish(struct ingest *ingest, const struct unixfd_buffer *buffer)
{
    cuframes_frame_meta_t meta = describe(ingest, buffer);
    cuframes_buffer_t *slot;
    enum taken taken = TAKEN;
    int error = cuframes_publisher_acquire_buffer(ingest->publisher, &slot);

    if (error == CUFRAMES_ERR_WOULD_BLOCK) {
        ingest->dropped++;
        return TAKEN;
    }
    if (error) {
        report_library(error);
        return FAILED;
    }
    if (!read_memories(ingest, buffer, cuframes_buffer_data(slot), ingest->layout.size)) {
        taken = REFUSED;
    } else if ((error = cuframes_publisher_publish_buffer(ingest->publisher, slot, NULL, &meta,
                                                          NULL)) != 0) {
        report_library(error);
        taken = FAILED;
    } else {
        ingest->frames++;
        ingest->discontinuity = false;
    }
    cuframes_buffer_unref(slot);
    return taken;
}

/* ---- messages ---- */

/* TOOL_CONTINUE, an exit code, or LOST: the connection is of no use any more. */
enum { LOST = -2 };

static int lost(const char *why)
{
    report("the sink sends what cannot be taken: %s", why);
    return LOST;
}

static int take_caps(struct ingest *ingest)
{
    const struct intake *intake = &ingest->intake;
    const char *text = (const char *)intake->payload;
    const char *why;

    if (intake->payload_size == 0 || text[intake->payload_size - 1] != '\0')
        return lost("caps without an end");
    if (unixfd_caps_parse(text, &ingest->picture, &why) != CUFRAMES_OK)
        return report_failed("the sink's caps cannot be a channel's: %s; put videoconvert and a "
                             "capsfilter before unixfdsink",
                             why);
    ingest->have_caps = true;
    return TOOL_CONTINUE;
}

static int give_back(struct ingest *ingest, uint64_t id)
{
    struct unixfd_message message;

    unixfd_encode_release(&message, id);
    if (unixfd_send(ingest->intake.socket, &message, -1, 0) != UNIXFD_SENT)
        return lost("it does not read what is given back to it");
    return TOOL_CONTINUE;
}

static int take_buffer(struct ingest *ingest)
{
    const struct intake *intake = &ingest->intake;
    struct unixfd_buffer buffer;
    cuframes_layout_t layout;
    enum taken taken;
    int rc;

    if (!unixfd_decode_buffer(intake->payload, intake->payload_size, &buffer) ||
        (int)buffer.memory_count != intake->fds.count)
        return lost("a buffer that does not describe itself");
    if (buffer.memory_count == 0)
        return give_back(ingest, buffer.id);
    if (!ingest->have_caps)
        return lost("a buffer before its caps");
    if (buffer.type != UNIXFD_MEMORY_DEFAULT)
        return report_failed("the sink's buffers are DMA-BUFs, which are not taken: put "
                             "videoconvert before unixfdsink");
    if (!are_shared_memory(&intake->fds))
        return lost("descriptors that are not of shared memory (memfd, /dev/shm)");
    if (!unixfd_buffer_layout(&buffer, &ingest->picture, &layout))
        return lost("a buffer that its picture does not fit into");
    rc = prepare_channel(ingest, &layout);
    if (rc != TOOL_CONTINUE)
        return rc;
    taken = publish(ingest, &buffer);
    if (taken == FAILED)
        return TOOL_FAILED;
    if (taken == REFUSED)
        return lost("memory that ends within the picture");
    return give_back(ingest, buffer.id);
}

static int take_message(struct ingest *ingest)
{
    switch (ingest->intake.command) {
    case UNIXFD_CAPS:
        return take_caps(ingest);
    case UNIXFD_NEW_BUFFER:
        return take_buffer(ingest);
    case UNIXFD_EOS:
        return TOOL_DONE;
    case UNIXFD_RELEASE_BUFFER:
        return lost("the release of a buffer, which is ours to send");
    default:
        return TOOL_CONTINUE; /* the protocol may grow */
    }
}

/* ---- the connection ---- */

static int read_messages(struct ingest *ingest)
{
    int rc = TOOL_CONTINUE;

    while (rc == TOOL_CONTINUE && !stop_requested()) {
        const char *why;

        switch (intake_next(&ingest->intake, STOP_POLL_MS, &why)) {
        case INTAKE_MESSAGE:
            rc = take_message(ingest);
            break;
        case INTAKE_LOST:
            report("the sink is lost: %s", why);
            rc = LOST;
            break;
        default:
            break;
        }
    }
    return rc == TOOL_CONTINUE ? TOOL_DONE : rc;
}

static int connect_once(struct ingest *ingest)
{
    int socket;

    if (!file_check_links(ingest->settings->path))
        return TOOL_FAILED;
    socket = unixfd_connect(ingest->settings->path);
    if (socket < 0) {
        if (!ingest->settings->reconnect)
            return report_failed("cannot connect to %s: %s", ingest->settings->path,
                                 strerror(errno));
        if (!ingest->said_waiting)
            report("waiting for a sink at %s (%s)", ingest->settings->path, strerror(errno));
        ingest->said_waiting = true;
        return LOST;
    }
    ingest->said_waiting = false;
    intake_open(&ingest->intake, socket);
    ingest->have_caps = false;
    return read_messages(ingest);
}

static int run(struct ingest *ingest)
{
    for (;;) {
        uint64_t before = ingest->frames;
        int rc = connect_once(ingest);

        intake_close(&ingest->intake);
        if (rc != LOST)
            return rc;
        if (!ingest->settings->reconnect)
            return TOOL_FAILED;
        ingest->discontinuity = true;
        if (ingest->frames > before)
            ingest->reconnects++;
        if (!stop_sleep_until(cuframes_now_ns() + RECONNECT_INTERVAL_NS))
            return TOOL_DONE;
    }
}

static void print_summary(const struct ingest *ingest)
{
    json_t *summary;

    if (!ingest->settings->json) {
        printf("%" PRIu64 " frames published, all of them copied; %" PRIu64 " dropped, %" PRIu64
               " reconnects\n",
               ingest->frames, ingest->dropped, ingest->reconnects);
        return;
    }
    summary = json_object();
    json_object_set_new(summary, "published", json_unsigned(ingest->frames));
    json_object_set_new(summary, "copied", json_unsigned(ingest->frames));
    json_object_set_new(summary, "dropped", json_unsigned(ingest->dropped));
    json_object_set_new(summary, "reconnects", json_unsigned(ingest->reconnects));
    json_print(summary, false);
}

bool is_unixfd_input(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], PREFIX, strlen(PREFIX)))
            return true;
    return false;
}

/* Before any option. */
static const struct settings defaults = {
    .config = {.memory = CUFRAMES_MEMORY_HOST, .consumer_ack_timeout_ms = DEFAULT_ACK_TIMEOUT_MS},
    .reconnect = true,
};

int command_unixfd_ingest(int argc, char **argv)
{
    struct settings s = defaults;
    struct ingest ingest = {.settings = &s, .intake.socket = -1};
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    stop_on_signals();
    rc = run(&ingest);
    cuframes_publisher_destroy(ingest.publisher);
    print_summary(&ingest);
    return rc;
}
