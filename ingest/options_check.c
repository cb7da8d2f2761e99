/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What makes no sense together. An option that would have no effect is refused, because who gave it
 * expects one; where it may come from a list that is made for many inputs, a warning says so.
 */
#include "options_check.h"

#include <libavutil/avstring.h>

#include "log.h"

static bool given(const struct options *o, enum option_id id)
{
    return o->given >> (id - OPT_INPUT) & 1;
}

static bool wrong(const char *sentence)
{
    log_line(CUFRAMES_LOG_ERROR, "%s", sentence);
    return false;
}

struct pair {
    enum option_id one, other;
    const char *sentence;
};

static const struct pair contradictions[] = {
    {OPT_NO_PACKETS, OPT_PACKET_RING,
     "--no-packets and --enable-packet-ring contradict each other: leave one out"},
    {OPT_NO_PACKETS, OPT_PACKET_STREAMS,
     "--packet-streams is about packets, of which --no-packets "
     "shares none: leave one out"},
    {OPT_NO_PACKETS, OPT_PACKET_KEEP,
     "--packet-keep is about packets, of which --no-packets shares "
     "none: leave one out"},
    {OPT_RECONNECT, OPT_NO_RECONNECT,
     "--reconnect and --no-reconnect contradict each other: leave one out"},
};

/* Options about frames, for --decode off. */
static const struct {
    enum option_id id;
    const char *name;
} frame_options[] = {
    {OPT_SIZE, "size"},     {OPT_FORMAT, "format"},   {OPT_FPS, "fps"},
    {OPT_OUTPUT, "output"}, {OPT_THREADS, "threads"}, {OPT_MEMORY, "memory"},
    {OPT_GPU, "gpu"},       {OPT_SLOTS, "slots"},     {OPT_POLICY, "policy"},
};

static bool check_without_frames(const struct options *o)
{
    if (!o->packets)
        return wrong("--decode off with --no-packets leaves nothing to share");
    for (size_t i = 0; i < sizeof(frame_options) / sizeof(frame_options[0]); i++) {
        if (!given(o, frame_options[i].id))
            continue;
        log_line(CUFRAMES_LOG_ERROR,
                 "--%s is about frames, of which there are none with --decode off: leave one out",
                 frame_options[i].name);
        return false;
    }
    return true;
}

static bool renders_on_gpu(const struct options *o)
{
    for (int i = 0; i < o->rendition_count; i++)
        if (o->renditions[i].memory == CUFRAMES_MEMORY_CUDA)
            return true;
    return false;
}

static bool check_decode(const struct options *o)
{
    if (o->when == DECODE_OFF && !check_without_frames(o))
        return false;
    if (given(o, OPT_ON_DEMAND_STOP) && o->when != DECODE_ON_DEMAND)
        return wrong(
            "--on-demand-stop is about --decode on-demand: give that too, or leave it out");
    if (given(o, OPT_GPU) && o->decode == DECODE_CPU && o->memory != CUFRAMES_MEMORY_CUDA &&
        !renders_on_gpu(o))
        return wrong("--gpu has nothing to do with --decode cpu and frames in host memory: give "
                     "--memory cuda, or leave one out");
    return true;
}

static void check_policy(struct options *o)
{
    if (o->policy != CUFRAMES_POLICY_STRICT_WAIT) {
        if (given(o, OPT_ACK_TIMEOUT))
            log_line(CUFRAMES_LOG_WARNING, "--ack-timeout-ms has no effect without --policy wait");
        return;
    }
    if (o->ack_timeout_ms > 0)
        return;
    log_line(CUFRAMES_LOG_WARNING,
             "--ack-timeout-ms %d with --policy wait: set to %d, so that one subscriber cannot "
             "stop the input for ever",
             o->ack_timeout_ms, OPTIONS_ACK_TIMEOUT_MS);
    o->ack_timeout_ms = OPTIONS_ACK_TIMEOUT_MS;
}

bool options_check(struct options *o)
{
    for (size_t i = 0; i < sizeof(contradictions) / sizeof(contradictions[0]); i++)
        if (given(o, contradictions[i].one) && given(o, contradictions[i].other))
            return wrong(contradictions[i].sentence);
    if (!check_decode(o))
        return false;
    if (!o->input)
        return wrong("there is no input: give a URL, a file or a device");
    if (given(o, OPT_TRANSPORT) && !av_stristart(o->input, "rtsp", NULL))
        log_line(CUFRAMES_LOG_WARNING, "--rtsp-transport has no effect: the input is not RTSP");
    check_policy(o);
    return true;
}
