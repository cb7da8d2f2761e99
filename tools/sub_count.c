/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sub_count: the counting reader under the name and with the options that users of the 0.4 line
 * know.
 */
#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "common/attach.h"
#include "common/options.h"
#include "common/stop.h"
#include "reader.h"

enum { ID_KEY = 1, ID_MAX_FRAMES };

static const struct option_row rows[] = {
    {ID_KEY, "key", "K", "the channel (required)"},
    {ID_MAX_FRAMES, "max-frames", "N", "end after so many frames"},
    {0},
};

static const struct usage usage = {
    .synopsis = "--key K [--max-frames N]",
    .about = "Reads a channel in order and prints what came, the gaps and the average rate.",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct reader_settings *s = settings;

    if (id == ID_MAX_FRAMES)
        return options_integer(o, 1, INT64_MAX, &s->frames);
    s->config.key = o->value;
    return true;
}

static int parse(int argc, char **argv, struct reader_settings *s)
{
    struct options o;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    if (!options_words(&o, 0, ""))
        return TOOL_USAGE;
    if (!s->config.key)
        return report_usage("--key K missing");
    if (!options_check_key(s->config.key))
        return TOOL_USAGE;
    s->config.runtime_dir = o.runtime_dir;
    return TOOL_CONTINUE;
}

/* Before any option. */
static const struct reader_settings defaults = {.config.mode = CUFRAMES_MODE_STRICT_ORDER,
                                                .wait_s = ATTACH_DEFAULT_WAIT_S};

int command_sub_count(int argc, char **argv)
{
    static struct reader_result result;
    struct reader_settings s = defaults;
    bool attached;
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    stop_on_signals();
    rc = reader_run(&s, &result, &attached);
    if (!attached)
        return rc;
    printf("received: %" PRIu64 "\n", result.stats.received);
    printf("gaps: %" PRIu64 " (%" PRIu64 " frames)\n", result.gaps, result.stats.missed);
    printf("average rate: %.2f fps\n", reader_rate(&result));
    return rc;
}
