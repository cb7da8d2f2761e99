/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command `cuframes`: finds the subcommand and runs it. The program is installed under other
 * names too, which stand for one subcommand each.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <cuframes/cuframes.h>

#include "command.h"
#include "common/output.h"
#include "common/report.h"
#include "media.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary; /* NULL = not in the list of subcommands */
};

/* FFmpeg's libraries are loaded for what they read alone. */
static int command_ingest(int argc, char **argv)
{
    return is_unixfd_input(argc, argv) ? command_unixfd_ingest(argc, argv) : media_run(argc, argv);
}

static const struct command commands[] = {
    {"ingest", command_ingest, "decode a camera, a file or a device once and publish it"},
    {"test-source", command_test_source, "publish a test pattern"},
    {"sub", command_sub, "read a channel, count, verify and measure"},
    {"ls", command_ls, "list the channels"},
    {"info", command_info, "describe one channel and its readers"},
    {"top", command_top, "show channels and readers live"},
    {"snapshot", command_snapshot, "write the newest frame as a PNG or JPEG file"},
    {"unixfd", command_unixfd, "offer a channel to GStreamer's unixfdsrc"},
    {"cat", media_run, "write frames or packets to standard output, for ffmpeg and others"},
    {"record", media_run, "write the encoded packets into files, unchanged"},
    {"packets", command_packets, "list the encoded packets as they come"},
    {"view", media_run, "show a channel in a window"},
    {"group", command_group, "run a program as the ranks of a group"},
    {"bench", command_bench, "measure the library on this machine"},
    {"doctor", command_doctor, "check this machine and say what to do"},
};

/* Names of the program itself that stand for one subcommand. */
static const struct command programs[] = {
    {"cuframes-rtsp-source", media_run, NULL},
    {"sub_count", command_sub_count, NULL},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct command *find(const struct command *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i].name, name))
            return &list[i];
    return NULL;
}

static void print_help(FILE *file)
{
    fprintf(file, "Usage: cuframes COMMAND [options]\n\n"
                  "Decode once, share everywhere: video frames shared between processes.\n\n"
                  "Commands:\n");
    for (size_t i = 0; i < COUNT(commands); i++)
        fprintf(file, "  %-14s %s\n", commands[i].name, commands[i].summary);
    fprintf(file,
            "\n'cuframes COMMAND --help' explains one of them; --version says which this is.\n"
            "Exit codes: 0 done, 1 failed, 2 wrong usage.\n");
}

/* Edits (a letter more, less or another) from one word to the other. */
static size_t distance(const char *a, const char *b)
{
    size_t row[32];
    size_t length = strlen(b);

    if (length >= COUNT(row))
        return SIZE_MAX;
    for (size_t k = 0; k <= length; k++)
        row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0]++;

        for (size_t k = 1; k <= length; k++) {
            size_t best = corner + (a[i] != b[k - 1]);

            corner = row[k];
            best = row[k] + 1 < best ? row[k] + 1 : best;
            row[k] = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
        }
    }
    return row[length];
}

static int unknown_command(const char *word)
{
    size_t nearest = 3; /* further off it is another word */
    const char *suggestion = NULL;

    for (size_t i = 0; i < COUNT(commands); i++) {
        size_t edits = distance(word, commands[i].name);

        if (edits < nearest) {
            nearest = edits;
            suggestion = commands[i].name;
        }
    }
    if (suggestion)
        return report_usage("there is no command \"%s\"; did you mean \"%s\"?", word, suggestion);
    return report_usage("there is no command \"%s\"", word);
}

static int run_command(const struct command *command, int argc, char **argv)
{
    static char name[64];

    snprintf(name, sizeof(name), "cuframes %s", command->name);
    report_set_name(name);
    return command->run(argc, argv);
}

static int help(int argc, char **argv)
{
    char help_option[] = "--help";
    char *arguments[] = {argv[0], help_option, NULL};
    const struct command *command;

    if (argc < 2) {
        print_help(stdout);
        return TOOL_DONE;
    }
    command = find(commands, COUNT(commands), argv[1]);
    return command ? run_command(command, 2, arguments) : unknown_command(argv[1]);
}

static int dispatch(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        print_help(stderr);
        return TOOL_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_help(stdout);
        return TOOL_DONE;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("cuframes %s (wire protocol %u)\n", cuframes_version_string(),
               cuframes_protocol_version());
        return TOOL_DONE;
    }
    if (!strcmp(argv[1], "help"))
        return help(argc - 1, argv + 1);
    command = find(commands, COUNT(commands), argv[1]);
    return command ? run_command(command, argc - 1, argv + 1) : unknown_command(argv[1]);
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "cuframes";
    const struct command *program = find(programs, COUNT(programs), name);
    int rc;

    /* A closed pipe is an error of write(). */
    signal(SIGPIPE, SIG_IGN);
    if (program) {
        report_set_name(program->name);
        rc = program->run(argc, argv);
    } else {
        rc = dispatch(argc, argv);
    }
    return output_finish_stdout(rc);
}
