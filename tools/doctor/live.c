/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channels of the runtime directory and their sockets.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channels.h"
#include "doctor/findings.h"

static const char subject[] = "channel";

/* A publisher whose newest frame is older than this is said to be silent. */
#define SILENT_S 10

static void live(struct findings *findings, const struct channel *channel)
{
    const cuframes_channel_report_t *report = channel->report;
    double age = channel_age_s(&report->stats);
    char text[24];

    if (report->subscriber_count >= CUFRAMES_MAX_SUBSCRIBERS)
        found_warning(findings, subject, "publish the picture under a second key",
                      "%s has %" PRIu32 " readers, as many as there can be", channel->key,
                      report->subscriber_count);
    if (age < 0)
        found_warning(findings, subject, "see whether its publisher gets pictures",
                      "%s lives and has published no frame yet", channel->key);
    else if (age > SILENT_S)
        found_warning(findings, subject, "see whether its camera is there",
                      "%s lives, and its newest frame is %s old", channel->key,
                      age_text(age, text));
    else
        found_ok(findings, subject,
                 "%s lives: %" PRId32 "x%" PRId32 ", %.2f fps, %" PRIu32 " readers", channel->key,
                 report->info.width, report->info.height, report->stats.fps,
                 report->subscriber_count);
}

static void silent(struct findings *findings, const struct channel *channel, const char *socket)
{
    struct stat status = {0};
    char remedy[PATH_MAX + 256];

    if (channel->error == CUFRAMES_ERR_NOT_FOUND) {
        snprintf(remedy, sizeof(remedy),
                 "nothing: the next publisher of the key takes the name over; or remove %s",
                 socket);
        found_warning(findings, subject, remedy, "%s has no publisher: the last one died",
                      channel->key);
        return;
    }
    if (access(socket, W_OK) != 0 && stat(socket, &status) == 0) {
        found_warning(
            findings, subject, "publish it with a socket mode and group that let this user write",
            "%s is closed to this user: its socket has mode %04o, user %u, group %u", channel->key,
            (unsigned)(status.st_mode & 0777), (unsigned)status.st_uid, (unsigned)status.st_gid);
        return;
    }
    found_warning(findings, subject,
                  "see whether its publisher is stopped, overloaded or of another version",
                  "%s does not answer: %s", channel->key, channel->reason);
}

void examine_channels(struct findings *findings, const char *given)
{
    struct channels channels;
    char directory[PATH_MAX];
    char socket[PATH_MAX + CUFRAMES_KEY_MAX + 8];

    if (given)
        snprintf(directory, sizeof(directory), "%s", given);
    else if (cuframes_runtime_dir(directory, sizeof(directory)) != CUFRAMES_OK)
        return; /* the directory's part has said so */
    if (channels_ask(given, &channels) != CUFRAMES_OK) {
        found_failure(findings, subject, "let this user read the runtime directory", "%s",
                      cuframes_last_error());
        return;
    }
    if (channels.count == 0)
        found_ok(findings, subject, "there are none now");
    for (uint32_t i = 0; i < channels.count; i++) {
        const struct channel *channel = &channels.list[i];

        snprintf(socket, sizeof(socket), "%s/%s.sock", directory, channel->key);
        if (channel->report)
            live(findings, channel);
        else
            silent(findings, channel, socket);
    }
    channels_fini(&channels);
}
