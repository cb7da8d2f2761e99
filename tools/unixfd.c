/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes unixfd: offers a channel on a socket that GStreamer's element unixfdsrc reads, without
 * a copy. One thread that waits for frames and clients at once.
 */
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "command.h"
#include "common/attach.h"
#include "common/json.h"
#include "common/options.h"
#include "common/stop.h"
#include "unixfd/offer.h"
#include "unixfd/socket.h"

#define DEFAULT_MAX_CLIENTS 16
#define DEFAULT_MAX_FRAMES  4
#define QUERY_TIMEOUT_MS    1000
#define LINGER_MS           5000
/* Descriptors besides those of the clients and their frames. */
#define OTHER_DESCRIPTORS 64

struct settings {
    cuframes_subscriber_config_t config;
    struct offer_settings offer;
    const char *path;
    uint32_t socket_mode;
    double wait_s;
    int wait_clients;
    bool json;
};

struct service {
    const struct settings *settings;
    cuframes_subscriber_t *subscriber;
    struct offer *offer;
    int listener;
    uint32_t max_holds;
    uint32_t generation; /* that `info` describes */
    bool have_info;
    bool begun; /* enough clients have come */
    cuframes_channel_info_t info;
};

enum {
    ID_MODE = 1,
    ID_MAX_FPS,
    ID_MAX_CLIENTS,
    ID_MAX_FRAMES,
    ID_COPY,
    ID_RECONNECT,
    ID_SOCKET_MODE,
    ID_WAIT,
    ID_WAIT_CLIENTS,
    ID_JSON,
};

static const struct option_row rows[] = {
    {ID_MODE, "mode", "newest|order", "the newest frame each time (default), or all in order"},
    {ID_MAX_FPS, "max-fps", "N", "offer at most N frames a second"},
    {ID_MAX_CLIENTS, "max-clients", "N", "serve at most N clients at a time (default 16)"},
    {ID_MAX_FRAMES, "max-frames", "N",
     "let a client have at most N frames that it has not released\n(default 4, at most 64)"},
    {ID_COPY, "copy", NULL, "copy each frame: GStreamer 1.24 needs it, later ones do not"},
    {ID_RECONNECT, "reconnect", NULL,
     "when the publisher goes away, wait for the next one;\notherwise the clients' stream ends"},
    {ID_SOCKET_MODE, "socket-mode", "MODE", "permission bits of PATH, octal (default 600)"},
    {ID_WAIT, "wait", "S", ATTACH_WAIT_HELP},
    {ID_WAIT_CLIENTS, "wait-clients", "N", "take the first frame when N clients are there"},
    {ID_JSON, "json", NULL, "print the summary as JSON"},
    {0},
};

static const struct usage usage = {
    .synopsis = "KEY PATH [options]",
    .about = "Offers channel KEY on the socket PATH to GStreamer's element unixfdsrc (1.24 and\n"
             "later), without a copy:\n"
             "  cuframes unixfd cam1 /run/cam1.gst\n"
             "  gst-launch-1.0 unixfdsrc socket-path=/run/cam1.gst ! videoconvert ! autovideosink",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;
    cuframes_subscriber_mode_t mode;
    double rate;

    switch (id) {
    case ID_MODE:
        if (!options_mode(o, &mode))
            return false;
        s->config.mode = (int)mode;
        return true;
    case ID_MAX_FPS:
        if (!options_number(o, 0.001, 1e6, &rate))
            return false;
        s->config.max_fps = (float)rate;
        return true;
    case ID_MAX_CLIENTS:
        return options_int(o, 1, OFFER_MAX_CLIENTS, &s->offer.max_clients);
    case ID_MAX_FRAMES:
        return options_int(o, 1, OFFER_MAX_FRAMES, &s->offer.max_frames);
    case ID_COPY:
        s->offer.copy = true;
        return true;
    case ID_RECONNECT:
        s->config.flags |= CUFRAMES_SUBSCRIBER_RECONNECT;
        return true;
    case ID_SOCKET_MODE:
        return options_socket_mode(o, &s->socket_mode);
    case ID_WAIT:
        return options_number(o, 0, 1e6, &s->wait_s);
    case ID_WAIT_CLIENTS:
        return options_int(o, 1, OFFER_MAX_CLIENTS, &s->wait_clients);
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
    words = options_channel(&o, 2, "KEY and PATH", &s->config);
    if (!words)
        return TOOL_USAGE;
    s->path = words[1];
    if (s->wait_clients > s->offer.max_clients)
        return report_usage("--wait-clients %d: no more than %d are served at a time "
                            "(--max-clients)",
                            s->wait_clients, s->offer.max_clients);
    return TOOL_CONTINUE;
}

/* Attaches with all holds that the channel grants: clients share them. */
static int attach_with_holds(struct service *service)
{
    const struct settings *s = service->settings;
    cuframes_subscriber_config_t config = s->config;
    cuframes_channel_report_t *channel;
    cuframes_subscriber_stats_t stats;
    int error;

    if (cuframes_query(config.runtime_dir, config.key, QUERY_TIMEOUT_MS, &channel) == CUFRAMES_OK) {
        config.max_holds = (uint32_t)channel->info.max_holds;
        cuframes_channel_report_free(channel);
    }
    error = attach(&config, s->wait_s, 0, &service->subscriber);
    if (error)
        return error;
    cuframes_subscriber_stats(service->subscriber, &stats);
    service->max_holds = stats.max_holds;
    return CUFRAMES_OK;
}

static uint32_t holds_in_use(const struct service *service)
{
    cuframes_subscriber_stats_t stats = {0};

    cuframes_subscriber_stats(service->subscriber, &stats);
    return stats.held;
}

/* TOOL_CONTINUE, or the exit code. */
static int offer_one(struct service *service, cuframes_frame_t *frame)
{
    const uint32_t generation = cuframes_frame_generation(frame);

    if (!service->have_info || generation != service->generation ||
        (cuframes_frame_flags(frame) & CUFRAMES_FRAME_GENERATION)) {
        cuframes_subscriber_info(service->subscriber, &service->info);
        service->generation = generation;
        service->have_info = true;
    }
    /* The last hold is for taking frames out of the channel. */
    if (offer_frame(service->offer, frame, &service->info,
                    holds_in_use(service) >= service->max_holds))
        return TOOL_FAILED;
    return TOOL_CONTINUE;
}

static int channel_failed(struct service *service, int error)
{
    offer_end(service->offer);
    if (error == CUFRAMES_ERR_DISCONNECTED)
        return TOOL_DONE;
    if (error == CUFRAMES_ERR_EVICTED &&
        service->settings->config.flags & CUFRAMES_SUBSCRIBER_RECONNECT) {
        report("%s", cuframes_last_error());
        return TOOL_CONTINUE;
    }
    return report_library(error);
}

/* Takes one frame if there is one; `more` says whether there may be another. */
static int take_frame(struct service *service, bool *more)
{
    cuframes_frame_t *frame;
    int error;

    *more = false;
    if (!service->begun)
        return TOOL_CONTINUE;
    error = cuframes_subscriber_next(service->subscriber, NULL, &frame, 0);
    if (error == CUFRAMES_ERR_WOULD_BLOCK || error == CUFRAMES_ERR_TOO_MANY)
        return TOOL_CONTINUE;
    if (error)
        return channel_failed(service, error);
    *more = true;
    return offer_one(service, frame);
}

static void take_client(struct service *service)
{
    int client = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client < 0)
        return;
    offer_add_client(service->offer, client);
    if (offer_client_count(service->offer) >= service->settings->wait_clients)
        service->begun = true;
}

static int run(struct service *service)
{
    struct pollfd polls[OFFER_MAX_CLIENTS + 2];
    int rc = TOOL_CONTINUE;

    while (rc == TOOL_CONTINUE && !stop_requested()) {
        bool more;
        int clients;

        rc = take_frame(service, &more);
        clients = offer_poll(service->offer, polls);
        polls[clients] = (struct pollfd){.fd = service->listener, .events = POLLIN};
        polls[clients + 1] =
            (struct pollfd){.fd = service->begun ? cuframes_subscriber_fd(service->subscriber) : -1,
                            .events = POLLIN};
        if (rc != TOOL_CONTINUE || poll(polls, (nfds_t)clients + 2, more ? 0 : STOP_POLL_MS) <= 0)
            continue;
        offer_serve(service->offer, polls, clients);
        if (polls[clients].revents)
            take_client(service);
    }
    return rc == TOOL_CONTINUE ? TOOL_DONE : rc;
}

/* Gives clients time to finish with what they have: the end of the stream is not a broken pipe. */
static void linger(struct service *service)
{
    struct pollfd polls[OFFER_MAX_CLIENTS];
    int64_t deadline_ns = cuframes_now_ns() + INT64_C(1000000) * LINGER_MS;

    while (offer_has_frames_out(service->offer) && !stop_requested() &&
           cuframes_now_ns() < deadline_ns) {
        int clients = offer_poll(service->offer, polls);

        if (poll(polls, (nfds_t)clients, STOP_POLL_MS) > 0)
            offer_serve(service->offer, polls, clients);
    }
}

static void print_json(const struct offer_stats *stats)
{
    json_t *summary = json_object();

    json_object_set_new(summary, "frames", json_unsigned(stats->frames));
    json_object_set_new(summary, "sent", json_unsigned(stats->sent));
    json_object_set_new(summary, "copied", json_unsigned(stats->copied));
    json_object_set_new(summary, "missed", json_unsigned(stats->missed));
    json_object_set_new(summary, "clients", json_unsigned(stats->clients));
    json_object_set_new(summary, "disconnected", json_unsigned(stats->dropped));
    json_print(summary, false);
}

static void print_text(const struct offer_stats *stats)
{
    printf("%" PRIu64 " frames offered to %" PRIu64 " clients: %" PRIu64 " sent, %" PRIu64
           " copied, %" PRIu64 " missed by clients; %" PRIu64 " clients disconnected\n",
           stats->frames, stats->clients, stats->sent, stats->copied, stats->missed,
           stats->dropped);
}

/*
 * Each frame that a client has may be descriptors of ours: those of a copy, and those that are on
 * their way to a client that does not read, which the kernel counts for all clients together. Clients
 * that are stuck must not use them up.
 */
static int reserve_descriptors(const struct offer_settings *offer)
{
    const int clients = offer->max_clients;
    const rlim_t most =
        (rlim_t)(clients * (1 + offer->max_frames * CUFRAMES_MAX_PLANES)) + OTHER_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < most) {
        limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_cur < most)
            return report_failed(
                "%d clients with %d frames each may need %llu descriptors, of which "
                "this process may have %llu: give smaller --max-clients or "
                "--max-frames, or raise the limit (ulimit -n)",
                clients, offer->max_frames, (unsigned long long)most,
                (unsigned long long)limit.rlim_cur);
    }
    return TOOL_CONTINUE;
}

static int serve(struct service *service)
{
    const struct settings *s = service->settings;
    int rc;

    service->offer = offer_new(&s->offer);
    if (!service->offer)
        return report_failed("out of memory");
    service->listener = unixfd_listen(s->path, s->socket_mode);
    if (service->listener < 0) {
        offer_free(service->offer);
        return TOOL_FAILED;
    }
    rc = run(service);
    unlink(s->path);
    close(service->listener);
    linger(service);
    if (s->json)
        print_json(offer_stats(service->offer));
    else
        print_text(offer_stats(service->offer));
    offer_free(service->offer);
    return rc;
}

/* Before any option. */
static const struct settings defaults = {
    .config = {.flags = CUFRAMES_SUBSCRIBER_POLL | CUFRAMES_SUBSCRIBER_FRAME_FD,
               .memory = CUFRAMES_MEMORY_HOST},
    .offer = {.max_clients = DEFAULT_MAX_CLIENTS, .max_frames = DEFAULT_MAX_FRAMES},
    .socket_mode = 0600,
    .wait_s = ATTACH_DEFAULT_WAIT_S,
};

int command_unixfd(int argc, char **argv)
{
    struct settings s = defaults;
    struct service service = {.settings = &s};
    int rc = parse(argc, argv, &s);
    int error;

    if (rc != TOOL_CONTINUE)
        return rc;
    service.begun = s.wait_clients == 0;
    rc = reserve_descriptors(&s.offer);
    if (rc != TOOL_CONTINUE)
        return rc;
    stop_on_signals();
    error = attach_with_holds(&service);
    if (error)
        return error == CUFRAMES_ERR_WOULD_BLOCK ? TOOL_DONE : report_library(error);
    rc = serve(&service);
    cuframes_subscriber_destroy(service.subscriber);
    return rc;
}
