/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program cuframes-media: see media.h. It is run by `cuframes` alone, which puts the name of
 * the subcommand in the place of the program's.
 */
#include "media.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "common/output.h"
#include "common/report.h"
#include "ingest.h"

static int command_ingest(int argc, char **argv)
{
    return ingest_main(argc, argv, report_name());
}

static const struct media_command commands[] = {
    {"cuframes cat", command_cat},
    {"cuframes ingest", command_ingest},
    {"cuframes record", command_record},
    {"cuframes view", command_view},
    {"cuframes-rtsp-source", command_ingest},
};

int main(int argc, char **argv)
{
    /* A closed pipe is an error of write(). */
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; argc > 0 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        report_set_name(commands[i].name);
        return output_finish_stdout(commands[i].run(argc, argv));
    }
    report_set_name("cuframes-media");
    report("this is a part of cuframes: call 'cuframes' instead");
    return TOOL_USAGE;
}
