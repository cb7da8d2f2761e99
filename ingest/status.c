/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Figures for people.
 */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>

#include "log.h"

#define SECOND_NS INT64_C(1000000000)

static void make_line(struct status *status, const struct output *output, int64_t now, char *line,
                      size_t size)
{
    const struct counters *c = &output->counters;
    cuframes_publisher_stats_t stats = {0};
    double fps = 0;

    if (status->last_ns && now > status->last_ns)
        fps =
            (double)(c->published - status->last_published) * 1e9 / (double)(now - status->last_ns);
    status->last_ns = now;
    status->last_published = c->published;
    if (output->channel->publisher)
        cuframes_publisher_stats(output->channel->publisher, &stats);
    snprintf(line, size,
             "%s: %.1f fps, %" PRIu64 " frames, %u subscribers, %" PRIu64 " dropped, %" PRIu64
             " copied, %" PRIu64 " damaged, %" PRIu64 " reconnects, %" PRIu64 " packets%s",
             output->options->key, fps, c->published, stats.subscribers, c->dropped, c->copied,
             c->corrupt + c->errors, c->reconnects, stats.packets,
             output->idle ? ", decoding pauses" : "");
}

static void make_rendition_line(const struct rendition *r, char *line, size_t size)
{
    cuframes_publisher_stats_t stats = {0};

    if (r->channel.publisher)
        cuframes_publisher_stats(r->channel.publisher, &stats);
    snprintf(line, size,
             "%s: %.1f fps, %" PRIu64 " frames, %u subscribers, %" PRIu64 " dropped, %" PRIu64
             " copied, %" PRIu64 " left out, %" PRIu64 " not made as nobody read",
             r->spec->key, stats.fps, r->published, stats.subscribers, r->dropped, r->copied,
             r->limited, r->unread);
}

static void log_lines(struct status *status, const struct output *output, int64_t now)
{
    char line[256];

    make_line(status, output, now, line, sizeof(line));
    log_line(CUFRAMES_LOG_INFO, "%s", line);
    for (int i = 0; i < output->renditions.count; i++) {
        make_rendition_line(&output->renditions.list[i], line, sizeof(line));
        log_line(CUFRAMES_LOG_INFO, "%s", line);
    }
}

void status_tick(struct status *status, const struct output *output)
{
    int64_t interval = (int64_t)(output->options->stats_interval_s * (double)SECOND_NS);
    int64_t now = cuframes_now_ns();
    char line[256];

    if (log_on_terminal() && now >= status->next_tick_ns) {
        make_line(status, output, now, line, sizeof(line));
        log_status(line);
        status->next_tick_ns = now + SECOND_NS;
    }
    if (interval > 0 && now >= status->next_line_ns) {
        if (status->next_line_ns)
            log_lines(status, output, now);
        status->next_line_ns = now + interval;
    }
}

void status_packets(const struct packets *packets)
{
    log_line(CUFRAMES_LOG_INFO,
             "packets: %" PRIu64 " shared; %" PRIu64 " too large, %" PRIu64 " left out",
             packets->published, packets->oversized, packets->left_out);
}

void status_summary(const struct output *output)
{
    const struct counters *c = &output->counters;

    log_line(CUFRAMES_LOG_INFO,
             "end: %" PRIu64 " frames published, %" PRIu64 " of them copied; %" PRIu64
             " dropped, %" PRIu64 " left out, %" PRIu64 " damaged; %" PRIu64 " reconnects",
             c->published, c->copied, c->dropped, c->limited, c->corrupt + c->errors,
             c->reconnects);
    for (int i = 0; i < output->renditions.count; i++) {
        const struct rendition *r = &output->renditions.list[i];

        log_line(CUFRAMES_LOG_INFO,
                 "output %s: %" PRIu64 " frames published, %" PRIu64 " of them copied; %" PRIu64
                 " dropped, %" PRIu64 " left out, %" PRIu64 " not made as nobody read",
                 r->spec->name, r->published, r->copied, r->dropped, r->limited, r->unread);
    }
    if (atomic_load(&output->pictures->most_claimed) > 0)
        log_line(CUFRAMES_LOG_DEBUG, "the decoder had up to %d slots at once",
                 atomic_load(&output->pictures->most_claimed));
}
