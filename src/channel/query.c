/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listing a runtime directory, and asking one publisher.
 *
 * The publisher's answer is a REPORT, REPORT_STREAMS, and then REPORT_SUBSCRIBERS until the last. It is taken for
 * what it is, a stranger's word: numbers of subscribers above the limit of a channel are refused.
 */
#include "channel/query.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/interrupt.h"
#include "base/sys.h"
#include "wire/connection.h"
#include "wire/endpoint.h"

#define SUFFIX      ".sock"
#define SUFFIX_SIZE (sizeof(SUFFIX) - 1)
/* Keys for which there is room in a new list. */
#define FIRST_CAPACITY   64
#define CONNECT_RETRY_NS (2 * CF_NS_PER_MS)

bool cf_socket_name_key(const char *name, char key[CUFRAMES_KEY_MAX + 1])
{
    size_t length = strlen(name);
    char candidate[CUFRAMES_KEY_MAX + 1] = {0};

    if (length <= SUFFIX_SIZE || length - SUFFIX_SIZE > CUFRAMES_KEY_MAX ||
        strcmp(name + length - SUFFIX_SIZE, SUFFIX) != 0)
        return false;
    memcpy(candidate, name, length - SUFFIX_SIZE);
    if (candidate[0] == '.' || cf_key_check(candidate) != CUFRAMES_OK)
        return false;
    memcpy(key, candidate, sizeof(candidate));
    return true;
}

void cf_key_list_free(cuframes_key_list_t *list)
{
    if (!list)
        return;
    free(list->keys);
    free(list);
}

static int add_key(cuframes_key_list_t *list, uint32_t *capacity, const char *key)
{
    if (list->count == CF_MAX_KEYS)
        return cf_fail(CUFRAMES_ERR_TOO_MANY,
                       "the runtime directory has more than %d sockets: remove what is stale",
                       CF_MAX_KEYS);
    if (list->count == *capacity) {
        uint32_t wider = *capacity ? 2 * *capacity : FIRST_CAPACITY;
        void *grown = realloc(list->keys, wider * sizeof(*list->keys));

        if (!grown)
            return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
        list->keys = grown;
        *capacity = wider;
    }
    memcpy(list->keys[list->count++], key, sizeof(*list->keys));
    return CUFRAMES_OK;
}

static bool is_socket(int dir, const struct dirent *entry)
{
    struct stat st;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_SOCK;
    return fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode);
}

static int collect_keys(DIR *stream, cuframes_key_list_t *list)
{
    uint32_t capacity = 0;
    struct dirent *entry;

    while (errno = 0, (entry = readdir(stream)) != NULL) {
        char key[CUFRAMES_KEY_MAX + 1];
        int err;

        if (!cf_socket_name_key(entry->d_name, key) || !is_socket(dirfd(stream), entry))
            continue;
        err = add_key(list, &capacity, key);
        if (err)
            return err;
    }
    return errno ? cf_fail_errno(errno, "cannot read the runtime directory") : CUFRAMES_OK;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(a, b);
}

int cf_list(const char *dir, cuframes_key_list_t **list)
{
    DIR *stream = opendir(dir);
    cuframes_key_list_t *new;
    int err = CUFRAMES_OK;

    if (!stream && errno != ENOENT)
        return cf_fail_errno(errno, "cannot open the runtime directory %s", dir);
    new = cf_sys.calloc(1, sizeof(*new));
    if (!new)
        err = cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    else if (stream)
        err = collect_keys(stream, new);
    if (stream)
        closedir(stream);
    if (err) {
        cf_key_list_free(new);
        return err;
    }
    if (new->count > 0)
        qsort(new->keys, new->count, sizeof(*new->keys), compare_keys);
    *list = new;
    return CUFRAMES_OK;
}

void cf_report_free(cuframes_channel_report_t *report)
{
    if (!report)
        return;
    free(report->subscribers);
    free(report->streams);
    free(report);
}

/* As cf_connection_receive(); the program can end the wait. */
static int await(int socket, struct cf_message *message, int *fds, size_t *fd_count,
                 int64_t deadline_ns)
{
    for (;;) {
        int err =
            cf_connection_receive(socket, message, fds, fd_count, cf_interrupt_slice(deadline_ns));

        if ((err != CUFRAMES_ERR_TIMEOUT && err != CUFRAMES_ERR_WOULD_BLOCK) ||
            cf_now_ns() >= deadline_ns)
            return err;
        if (cf_interrupted())
            return cf_fail_interrupted();
    }
}

/* One message of the answer. */
static int receive(int socket, const char *key, enum cf_message_type type, int64_t deadline_ns,
                   struct cf_message *message)
{
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count = 0;
    int err = await(socket, message, fds, &fd_count, deadline_ns);

    /* No answer to a question carries descriptors; what does is of another type, and unwanted. */
    for (size_t i = 0; !err && i < fd_count; i++)
        cf_close(&fds[i]);
    if (err == CUFRAMES_ERR_TIMEOUT || err == CUFRAMES_ERR_WOULD_BLOCK)
        return cf_endpoint_silent(key);
    if (err == CUFRAMES_ERR_DISCONNECTED)
        return cf_fail(CUFRAMES_ERR_NOT_FOUND,
                       "the publisher of the key \"%s\" went away while it was asked", key);
    if (err)
        return err;
    if (message->type == CF_MSG_ERROR && message->error.error < 0)
        return cf_fail(message->error.error, "the publisher of the key \"%s\" says: %s", key,
                       message->error.text);
    if (message->type != type)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the publisher of the key \"%s\" answered with a message of type %d", key,
                       (int)message->type);
    return CUFRAMES_OK;
}

static int add_subscribers(cuframes_channel_report_t *report,
                           const struct cf_msg_report_subscribers *batch)
{
    if (batch->count > CUFRAMES_MAX_SUBSCRIBERS - report->subscriber_count)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the publisher describes more than %d subscribers",
                       CUFRAMES_MAX_SUBSCRIBERS);
    /* An endless row of empty batches is no answer either. */
    if (batch->count == 0 && !batch->last)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the publisher's list of subscribers does not end");
    memcpy(report->subscribers + report->subscriber_count, batch->subscribers,
           batch->count * sizeof(*batch->subscribers));
    report->subscriber_count += batch->count;
    return CUFRAMES_OK;
}

static int converse(int socket, const char *key, int64_t deadline_ns,
                    cuframes_channel_report_t *report)
{
    struct cf_message message = {.type = CF_MSG_QUERY};
    struct cf_peer_credentials publisher;
    bool last;
    int err;

    if ((err = cf_connection_send(socket, &message, NULL, 0)) != 0 ||
        (err = cf_connection_credentials(socket, &publisher)) != 0 ||
        (err = receive(socket, key, CF_MSG_REPORT, deadline_ns, &message)) != 0)
        return err;
    report->info = message.report.info;
    report->info.pid = publisher.pid;
    report->stats = message.report.stats;
    if ((err = receive(socket, key, CF_MSG_REPORT_STREAMS, deadline_ns, &message)) != 0)
        return err;
    report->stream_count = message.report_streams.count;
    memcpy(report->streams, message.report_streams.streams,
           report->stream_count * sizeof(*report->streams));
    do {
        err = receive(socket, key, CF_MSG_REPORT_SUBSCRIBERS, deadline_ns, &message);
        if (!err)
            err = add_subscribers(report, &message.subscribers);
        last = !err && message.subscribers.last;
    } while (!err && !last);
    return err;
}

/* Connects; while the publisher's queue of connections is full, tries until the deadline. */
static int connect_by(const char *dir, const char *key, int64_t deadline_ns, int *socket)
{
    const struct timespec pause = {.tv_nsec = CONNECT_RETRY_NS};
    int err;

    while ((err = cf_endpoint_connect(dir, key, socket)) == CUFRAMES_ERR_WOULD_BLOCK) {
        if (cf_now_ns() >= deadline_ns)
            return cf_endpoint_silent(key);
        if (cf_interrupted())
            return cf_fail_interrupted();
        nanosleep(&pause, NULL);
    }
    return err;
}

int cf_query(const char *dir, const char *key, int64_t deadline_ns,
             cuframes_channel_report_t **report)
{
    cuframes_channel_report_t *new;
    int CF_CLOSE socket = -1;
    int err = connect_by(dir, key, deadline_ns, &socket);

    if (err)
        return err;
    new = cf_sys.calloc(1, sizeof(*new));
    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->subscribers = cf_sys.calloc(CUFRAMES_MAX_SUBSCRIBERS, sizeof(*new->subscribers));
    new->streams = cf_sys.calloc(CUFRAMES_MAX_STREAMS, sizeof(*new->streams));
    err = new->subscribers &&new->streams ? converse(socket, key, deadline_ns, new)
                                          : cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    if (err) {
        cf_report_free(new);
        return err;
    }
    *report = new;
    return CUFRAMES_OK;
}
