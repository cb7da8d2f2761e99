/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking and watching from outside: a runtime directory with names of any kind, and publishers whose
 * answers are the input. What is believed is within its limits; what ends leaves nothing.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/un.h>

#include <cuframes/cuframes.h>

#include "base/fd.h"
#include "place.h"
#include "unit/wire_samples.h"
#include "wire/connection.h"

enum { MOST_STEPS = 24, MOST_ANSWERS = 4, MOST_FILES = 4 };

enum step {
    STEP_QUERY,
    STEP_LIST,
    STEP_WATCH,
    STEP_FILE,
    STEP_NEXT,
    STEP_ACCEPT,
    STEP_SEND,
    STEP_HANG_UP,
    STEP_COUNT,
};

struct play {
    struct script script;
    cuframes_watch_t *watch;
    int watcher; /* this side of the watch's connection; -1 = none */
    unsigned files;
};

/* ---- the publisher's side ---- */

static void send_answer(struct script *script, int socket)
{
    static const enum cf_message_type types[8] = {
        CF_MSG_REPORT, CF_MSG_REPORT_STREAMS, CF_MSG_REPORT_SUBSCRIBERS, CF_MSG_ERROR,
        CF_MSG_REPORT, CF_MSG_REPORT_STREAMS, CF_MSG_REPORT_SUBSCRIBERS, CF_MSG_STREAMS};
    const uint8_t kind = take_byte(script);
    struct cf_message message;
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t fd_count = wire_sample(types[kind % 8], &message);
    int fds[8];
    size_t size;

    for (size_t i = 0; i < 8; i++)
        fds[i] = stray_descriptor();
    if (message.type == CF_MSG_REPORT_SUBSCRIBERS && kind & 8)
        message.subscribers.last = true;
    size = cf_message_encode(&message, bytes);
    scribble(script, bytes, size);
    if (kind & 16)
        size = take_byte(script);
    send_raw(socket, bytes, size, fds, kind & 32 ? kind >> 6 : fd_count);
}

/* Answers one who asks, then hangs up. */
static void *answer(void *arg)
{
    struct pollfd poller = {.fd = place.socket, .events = POLLIN};
    struct script *script = arg;
    int CF_CLOSE socket = -1;

    poll(&poller, 1, 1000);
    socket = place_accept();
    if (socket < 0)
        return NULL;
    for (int i = take_byte(script) % (MOST_ANSWERS + 1); i > 0; i--)
        send_answer(script, socket);
    return NULL;
}

static void query(struct play *play)
{
    cuframes_channel_report_t *report = NULL;
    pthread_t thread;
    int err;

    place_refuse();
    FUZZ_REQUIRE(pthread_create(&thread, NULL, answer, &play->script) == 0);
    err = cuframes_query(place_directory, "cam", 1000, &report);
    pthread_join(thread, NULL);
    FUZZ_REQUIRE((err == CUFRAMES_OK) == (report != NULL));
    if (!report)
        return;
    FUZZ_REQUIRE(report->subscriber_count <= CUFRAMES_MAX_SUBSCRIBERS);
    FUZZ_REQUIRE(report->stream_count <= CUFRAMES_MAX_STREAMS);
    for (uint32_t i = 0; i < report->subscriber_count; i++)
        FUZZ_REQUIRE(memchr(report->subscribers[i].name, 0, sizeof(report->subscribers[i].name)));
    for (uint32_t i = 0; i < report->stream_count; i++)
        FUZZ_REQUIRE(!report->streams[i].extradata);
    cuframes_channel_report_free(report);
}

/* ---- the directory ---- */

static void file_path(unsigned number, char *path, size_t size)
{
    /* What is no name of a socket, and what only looks like one. */
    static const char *const names[MOST_FILES] = {"one.sock", "two:group.sock", ".sock",
                                                  "three.sock.lock"};

    snprintf(path, size, "%s/%s", place_directory, names[number]);
}

/* A socket that nobody listens on, a file, or a link to the one that somebody does. */
static void make_file(struct play *play, uint8_t kind)
{
    const unsigned number = kind % MOST_FILES;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int CF_CLOSE made = -1;

    file_path(number, address.sun_path, sizeof(address.sun_path));
    if (play->files & 1U << number) {
        unlink(address.sun_path);
        play->files ^= 1U << number;
        return;
    }
    switch (kind >> 4 & 3) {
    case 0:
    case 1:
        made = socket(AF_UNIX, (kind & 16 ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC, 0);
        FUZZ_REQUIRE(bind(made, (struct sockaddr *)&address, sizeof(address)) == 0);
        break;
    case 2:
        made = open(address.sun_path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        FUZZ_REQUIRE(made >= 0);
        break;
    default:
        FUZZ_REQUIRE(symlink("cam.sock", address.sun_path) == 0);
    }
    play->files |= 1U << number;
}

static void remove_files(const struct play *play)
{
    for (unsigned i = 0; i < MOST_FILES; i++) {
        char path[108];

        file_path(i, path, sizeof(path));
        if (play->files & 1U << i)
            unlink(path);
    }
}

static void list(void)
{
    cuframes_key_list_t *keys;

    FUZZ_REQUIRE(cuframes_list(place_directory, &keys) == CUFRAMES_OK);
    FUZZ_REQUIRE(keys->count >= 1 && keys->count <= MOST_FILES + 1);
    for (uint32_t i = 0; i < keys->count; i++)
        FUZZ_REQUIRE(cuframes_check_key(keys->keys[i]) == CUFRAMES_OK);
    cuframes_key_list_free(keys);
}

/* ---- the watch ---- */

static void next_event(struct play *play)
{
    cuframes_watch_event_t event;

    if (!play->watch || cuframes_watch_next(play->watch, &event, 0) != CUFRAMES_OK)
        return;
    FUZZ_REQUIRE(event.type == CUFRAMES_WATCH_ADDED || event.type == CUFRAMES_WATCH_REMOVED);
    FUZZ_REQUIRE(cuframes_check_key(event.key) == CUFRAMES_OK);
}

static void accept_watcher(struct play *play)
{
    int socket = place_accept();

    if (socket < 0)
        return;
    cf_close(&play->watcher);
    play->watcher = socket;
}

static void do_step(struct play *play, enum step step)
{
    switch (step) {
    case STEP_QUERY:
        query(play);
        break;
    case STEP_LIST:
        list();
        break;
    case STEP_WATCH:
        if (!play->watch)
            FUZZ_REQUIRE(cuframes_watch_create(place_directory, &play->watch) == CUFRAMES_OK);
        break;
    case STEP_FILE:
        make_file(play, take_byte(&play->script));
        break;
    case STEP_NEXT:
        next_event(play);
        break;
    case STEP_ACCEPT:
        accept_watcher(play);
        break;
    case STEP_SEND:
        if (play->watcher >= 0)
            send_answer(&play->script, play->watcher);
        break;
    default:
        cf_close(&play->watcher);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.script = {data, data + size}, .watcher = -1};
    int before;

    place_take();
    stray_descriptor();
    before = count_descriptors();
    for (int i = 0; i < MOST_STEPS && play.script.at < play.script.end; i++)
        do_step(&play, take_byte(&play.script) % STEP_COUNT);
    cuframes_watch_destroy(play.watch);
    cf_close(&play.watcher);
    remove_files(&play);
    place_refuse();
    FUZZ_REQUIRE(count_descriptors() == before);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const uint8_t seeds[][32] = {
        {STEP_QUERY, 3, 0, 0, 1, 0, 10, 0, STEP_LIST},
        {STEP_QUERY, 4, 0, 0, 1, 0, 2, 0, 10, 0, STEP_QUERY, 1, 3, 0},
        {STEP_FILE, 0, STEP_FILE, 17, STEP_FILE, 34, STEP_FILE, 51, STEP_LIST, STEP_FILE, 0,
         STEP_LIST},
        {STEP_WATCH, STEP_NEXT, STEP_ACCEPT, STEP_FILE, 0,         STEP_NEXT, STEP_HANG_UP,
         STEP_NEXT,  STEP_NEXT, STEP_ACCEPT, STEP_SEND, 3,         0,         STEP_NEXT,
         STEP_FILE,  48,        STEP_NEXT,   STEP_NEXT, STEP_FILE, 48,        STEP_NEXT},
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(data, seeds[index], sizeof(seeds[0]));
    return sizeof(seeds[0]);
}
