/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command lines of all subcommands, and the file that can name an input. The first byte says
 * which subcommand, the first line is that file, and each line after it a word. Parsing ends with an
 * exit code, or the command would begin to work, which it is not let do.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "common/options.h"
#include "common/report.h"
#include "fuzz.h"

enum { MOST_WORDS = 64 };

static const struct command {
    const char *name;
    parse_command_t *parse;
    const struct usage *const *usage; /* NULL = it has no table */
} commands[] = {
    {"bench", parse_bench, &usage_bench},
    {"cat", parse_cat, &usage_cat},
    {"doctor", parse_doctor, &usage_doctor},
    {"group", parse_group, &usage_group},
    {"info", parse_info, &usage_info},
    {"ls", parse_ls, &usage_ls},
    {"packets", parse_packets, &usage_packets},
    {"record", parse_record, &usage_record},
    {"snapshot", parse_snapshot, &usage_snapshot},
    {"sub", parse_sub, &usage_sub},
    {"sub_count", parse_sub_count, &usage_sub_count},
    {"test-source", parse_test_source, &usage_test_source},
    {"top", parse_top, &usage_top},
    {"unixfd", parse_unixfd, &usage_unixfd},
    {"ingest", parse_unixfd_ingest, &usage_unixfd_ingest},
#ifdef WITH_VIEW
    {"view", parse_view, &usage_view},
#endif
#ifdef WITH_INGEST
    {"ingest", parse_ingest, NULL},
#endif
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

/* ---- what is said is not said ---- */

static void format_and_drop(const char *format, va_list args)
{
    char line[512];

    vsnprintf(line, sizeof(line), format, args);
}

void report_set_name(const char *name)
{
    (void)name;
}

const char *report_name(void)
{
    return "cuframes";
}

void report(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_and_drop(format, args);
    va_end(args);
}

int report_failed(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_and_drop(format, args);
    va_end(args);
    return TOOL_FAILED;
}

int report_usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_and_drop(format, args);
    va_end(args);
    return TOOL_USAGE;
}

int report_library(int error)
{
    (void)error;
    return TOOL_FAILED;
}

void report_more_log(void)
{
}

/* ---- a place ---- */

static char directory[64];

static void remove_directory(void)
{
    if (chdir("/") == 0) {
        char path[80];

        snprintf(path, sizeof(path), "%s/url", directory);
        unlink(path);
        rmdir(directory);
    }
}

/* Names in a command line are of files in an empty directory. Help goes nowhere. */
static void go_there(void)
{
    const char *parent = getenv("TMPDIR");

    if (directory[0])
        return;
    snprintf(directory, sizeof(directory), "%s/cuframes-fuzz-XXXXXX", parent ? parent : "/tmp");
    FUZZ_REQUIRE(mkdtemp(directory) && chdir(directory) == 0);
    FUZZ_REQUIRE(freopen("/dev/null", "we", stdout));
    setenv("CUFRAMES_FUZZ_URL", "rtsp://user:password@camera/", 1);
    atexit(remove_directory);
}

static void write_url(const char *line)
{
    FILE *file = fopen("url", "we");

    FUZZ_REQUIRE(file);
    fputs(line, file);
    fclose(file);
}

/* ---- a command line ---- */

static int parse(const struct command *command, char *text)
{
    char *words[MOST_WORDS + 2] = {NULL};
    char name[16];
    int count = 1;

    snprintf(name, sizeof(name), "%s", command->name);
    words[0] = name;
    while (text && count <= MOST_WORDS)
        words[count++] = strsep(&text, "\n");
    return command->parse(count, words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct command *command = &commands[size > 0 ? data[0] % COMMANDS : 0];
    char *text, *rest;
    int code;

    go_there();
    text = rest = strndup(size > 0 ? (const char *)data + 1 : "", size > 0 ? size - 1 : 0);
    FUZZ_REQUIRE(text);
    write_url(strsep(&rest, "\n"));
    code = parse(command, rest);
    FUZZ_REQUIRE(code >= TOOL_CONTINUE && code <= TOOL_USAGE);
    free(text);
    return 0;
}

/* ---- honest inputs: each option of each subcommand, with a value that it takes ---- */

static size_t write_seed(uint8_t *data, size_t command, const char *option, const char *value,
                         const char *words)
{
    data[0] = (uint8_t)command;
    return 1 + (size_t)snprintf((char *)data + 1, FUZZ_SIZE - 1, "file:clip.mp4\n%s%s%s%s", option,
                                value[0] ? "\n" : "", value, words);
}

static const char *words_of(const char *synopsis)
{
    if (strstr(synopsis, "KEY") && strstr(synopsis, "FILE"))
        return "\ncam\nclip.mp4";
    if (strstr(synopsis, "PROGRAM"))
        return "\n--size\n2\n--\ntrue";
    if (strstr(synopsis, "unixfd:"))
        return "\nunixfd:sink\n--key\ncam";
    return strstr(synopsis, "KEY") ? "\ncam" : "";
}

static size_t seed_option(uint8_t *data, size_t command, const struct option_row *row)
{
    static const char *const values[] = {"1",    "25",   "64x48", "nv12",   "drop",   "newest",
                                         "host", "0666", "jpeg",  "mp4",    "name",   "root",
                                         "ts",   "key",  "wake",  "oldest", "preroll"};
    const char *words = words_of((*commands[command].usage)->synopsis);
    char option[40];
    size_t size = 0;

    snprintf(option, sizeof(option), "--%s", row->name);
    if (!row->argument)
        return write_seed(data, command, option, "", words);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char *text, *rest;
        int code;

        size = write_seed(data, command, option, values[i], words);
        text = rest = strndup((const char *)data + 1, size - 1);
        FUZZ_REQUIRE(text);
        strsep(&rest, "\n");
        code = parse(&commands[command], rest);
        free(text);
        if (code == TOOL_CONTINUE)
            break;
    }
    return size;
}

#ifdef WITH_INGEST
static const char *const ingest_lines[] = {
    "\nfile:clip.mp4\n--key\ncam\n--loop\n--realtime\n--fps\n12.5\n--size\n64x48\n--format\nnv12",
    "rtsp://user:pass%20word@camera:554/path\n--url-file\nurl\n--key\ncam\n--rtsp-transport\nudp\n"
    "--timeout\n5\n--reconnect\n--stats-interval\n10\n-v\n--log\ndebug",
    "\n--url-file\nurl\n--key\ncam",
    "\n--url-env\nCUFRAMES_FUZZ_URL\n-k\ncam\n--input-format\nrtsp\n--input-option\nbuffer_size=1\n"
    "--policy\nwait\n--ack-timeout-ms\n0\n--slots\n8\n--threads\n2\n--wait-subscribers\n1",
    "\nrtsp://a:b@c/\n--key\ncam\n--output\nsmall=320x180@5\n--output\n"
    "thumb=64x48,format=rgb,memory=host\n--memory\nhost\n--decode\ncpu",
    "\nrtsp://c/\n--key\ncam\n--output\nsmall=320x180\n--output\nsmall=64x48",
    "\nrtsp://c/\n--key\ncam\n--output\nsmall=320x180,memory=cuda\n--decode\nauto\n--gpu\n0",
    "\n/dev/video0\n--key=cam\n--socket-mode\n0660\n--socket-group\nroot\n--allow-user\nroot\n"
    "--allow-user\n0\n--runtime-dir\n/tmp\n--decode\non-demand\n--on-demand-stop\n3",
    "\n--key\ncam\n--ring\n6\n--scale\n64x48\n--verbose\n--packet-streams\nvideo\n--packet-"
    "keep\n5\n"
    "--no-reconnect\n--\nrtsp://c/",
    "\n--rtsp\nrtsp://c/\n--key\ncam\n--decode\noff",
    "\n--rtsp\nrtsp://c/\n--key\ncam\n--decode\noff\n--no-packets\n--fps\n3",
    "\n--rtsp\nrtsp://c/\n--key\ncam\n--decode\noff\n--decode\ncpu",
    "\n--help",
};
#endif

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    unsigned left = index;

    go_there();
    for (size_t command = 0; command < COMMANDS; command++) {
        const struct option_row *row;

        if (!commands[command].usage)
            continue;
        for (row = (*commands[command].usage)->rows; row->name; row++)
            if (left-- == 0)
                return seed_option(data, command, row);
        if (left-- == 0)
            return write_seed(data, command, "--help", "", "");
    }
#ifdef WITH_INGEST
    if (left < sizeof(ingest_lines) / sizeof(ingest_lines[0])) {
        data[0] = COMMANDS - 1;
        return 1 + (size_t)snprintf((char *)data + 1, FUZZ_SIZE - 1, "%s", ingest_lines[left]);
    }
#endif
    return 0;
}
