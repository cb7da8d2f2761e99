/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * getopt_long() does the parsing, with its tables built from the rows; messages are our own, so
 * that all of them look alike and say what was expected.
 */
#include "common/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 31 /* so that no id is a printable letter */
#define ID_HELP     1001
#define ID_VERBOSE  1002
#define ID_DIR      1003
#define HELP_COLUMN 28

static const struct option_row common_rows[] = {
    {ID_DIR, "runtime-dir", "DIR",
     "where the channels' sockets are; default\n$CUFRAMES_RUNTIME_DIR, else /run/cuframes, else\n"
     "$XDG_RUNTIME_DIR/cuframes, else /tmp/cuframes-UID"},
    {ID_VERBOSE, "verbose", NULL, "show the library's log; twice for all of it"},
    {ID_HELP, "help", NULL, "show this"},
    {0},
};

static void print_row(const struct option_row *row)
{
    const char *help = row->help;
    const char *letter = row->id == ID_HELP ? "-h, " : row->id == ID_VERBOSE ? "-v, " : "    ";
    int column = printf("  %s--%s%s%s", letter, row->name, row->argument ? " " : "",
                        row->argument ? row->argument : "");

    if (column >= HELP_COLUMN) {
        putchar('\n');
        column = 0;
    }
    while (*help) {
        size_t length = strcspn(help, "\n");

        printf("%*s%.*s\n", HELP_COLUMN - column, "", (int)length, help);
        column = 0;
        help += length + (help[length] == '\n');
    }
}

static void print_help(const struct usage *usage)
{
    printf("Usage: %s %s\n\n%s\n\nOptions:\n", report_name(), usage->synopsis, usage->about);
    for (const struct option_row *row = usage->rows; row->name; row++)
        print_row(row);
    for (const struct option_row *row = common_rows; row->name; row++)
        print_row(row);
}

static int add_rows(struct option *table, int count, const struct option_row *rows)
{
    for (; rows->name && count < MAX_OPTIONS; rows++)
        table[count++] = (struct option){
            .name = rows->name,
            .has_arg = rows->argument ? required_argument : no_argument,
            .val = rows->id,
        };
    return count;
}

static int unknown_option(const struct options *options)
{
    const char *word = options->argv[optind - 1];

    if (optopt >= ' ' && optopt < 127)
        return report_usage("there is no option -%c", optopt);
    if (optopt)
        return report_usage("%s takes no argument", word);
    return report_usage("there is no option %s", word);
}

/* What is not the command's own: wrong, or common to all. */
static int other_option(struct options *options, int id)
{
    switch (id) {
    case '?':
        return unknown_option(options);
    case ':':
        return report_usage("%s needs an argument", options->argv[optind - 1]);
    case ID_HELP:
    case 'h':
        print_help(options->usage);
        return TOOL_DONE;
    case ID_VERBOSE:
    case 'v':
        report_more_log();
        return TOOL_CONTINUE;
    default:
        options->runtime_dir = optarg;
        return TOOL_CONTINUE;
    }
}

int options_read(struct options *options, const struct usage *usage, int argc, char **argv,
                 option_taker take, void *settings)
{
    struct option table[MAX_OPTIONS + 1] = {0};
    int id, index = -1, rc = TOOL_CONTINUE;

    *options = (struct options){.usage = usage, .argc = argc, .argv = argv};
    optind = 0; /* 0, not 1: glibc and musl then forget an earlier scan */
    opterr = 0;
    add_rows(table, add_rows(table, 0, usage->rows), common_rows);
    while (rc == TOOL_CONTINUE && (id = getopt_long(argc, argv, ":hv", table, &index)) != -1) {
        if (id > MAX_OPTIONS) { /* a letter, or common */
            rc = other_option(options, id);
            continue;
        }
        options->value = optarg;
        options->name = table[index].name;
        options->given |= 1U << id;
        if (!take(options, id, settings))
            rc = TOOL_USAGE;
    }
    return rc;
}

static bool bad_value(const struct options *options, const char *expected)
{
    report_usage("--%s: \"%s\" is not %s", options->name, options->value, expected);
    return false;
}

bool options_integer(const struct options *options, int64_t min, int64_t max, int64_t *value)
{
    char expected[96];
    char *end;
    long long number;

    errno = 0;
    number = strtoll(options->value, &end, 10);
    if (errno || end == options->value || *end || number < min || number > max) {
        if (max == INT64_MAX)
            snprintf(expected, sizeof(expected), "a whole number of %lld or more", (long long)min);
        else
            snprintf(expected, sizeof(expected), "a whole number from %lld to %lld", (long long)min,
                     (long long)max);
        return bad_value(options, expected);
    }
    *value = number;
    return true;
}

bool options_int(const struct options *options, int min, int max, int *value)
{
    int64_t number;

    if (!options_integer(options, min, max, &number))
        return false;
    *value = (int)number;
    return true;
}

static bool parse_number(const char *text, double *value)
{
    char *end;
    double number;

    errno = 0;
    number = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(number))
        return false;
    *value = number;
    return true;
}

bool options_number(const struct options *options, double min, double max, double *value)
{
    char expected[96];
    double number;

    if (!parse_number(options->value, &number) || number < min || number > max) {
        snprintf(expected, sizeof(expected), "a number from %g to %g", min, max);
        return bad_value(options, expected);
    }
    *value = number;
    return true;
}

bool options_size(const struct options *options, int32_t *width, int32_t *height)
{
    char expected[96];
    int w, h, length = 0;

    if (sscanf(options->value, "%5dx%5d%n", &w, &h, &length) == 2 && !options->value[length] &&
        w >= 1 && h >= 1 && w <= CUFRAMES_MAX_DIMENSION && h <= CUFRAMES_MAX_DIMENSION) {
        *width = w;
        *height = h;
        return true;
    }
    snprintf(expected, sizeof(expected), "WIDTHxHEIGHT with each from 1 to %d, such as 1920x1080",
             CUFRAMES_MAX_DIMENSION);
    return bad_value(options, expected);
}

bool options_format(const struct options *options, cuframes_format_t *format)
{
    char expected[256] = "a pixel format; there are";

    if (cuframes_format_from_name(options->value, format) == CUFRAMES_OK)
        return true;
    for (int i = 0; i < CUFRAMES_FORMAT_COUNT; i++) {
        size_t length = strlen(expected);

        snprintf(expected + length, sizeof(expected) - length, "%s %s", i ? "," : "",
                 cuframes_format_name((cuframes_format_t)i));
    }
    return bad_value(options, expected);
}

static void rate_of_number(double number, int32_t *num, int32_t *den)
{
    /* The rates of NTSC are k * 1000/1001 and are usually written with two or three decimals. */
    double ntsc = rint(number * 1.001);

    if (number != rint(number) && fabs(ntsc * 1000 / 1001 - number) < 0.005) {
        *num = (int32_t)ntsc * 1000;
        *den = 1001;
    } else {
        *den = number == rint(number) ? 1 : 1000;
        *num = (int32_t)rint(number * *den);
    }
    if (*num == 0) {
        *den = 0; /* the library's word for a rate that is not known */
    }
}

bool options_rate(const struct options *options, int32_t *num, int32_t *den)
{
    int n, d, length = 0;
    double number;

    if (sscanf(options->value, "%9d/%9d%n", &n, &d, &length) == 2 && !options->value[length] &&
        n > 0 && d > 0 && n / d <= 100000) {
        *num = n;
        *den = d;
        return true;
    }
    if (parse_number(options->value, &number) && number >= 0 && number <= 100000) {
        rate_of_number(number, num, den);
        return true;
    }
    return bad_value(options, "a rate such as 25, 29.97 or 30000/1001");
}

bool options_memory(const struct options *options, cuframes_memory_t *memory)
{
    if (!strcmp(options->value, "auto"))
        *memory = CUFRAMES_MEMORY_AUTO;
    else if (!strcmp(options->value, "host"))
        *memory = CUFRAMES_MEMORY_HOST;
    else if (!strcmp(options->value, "cuda"))
        *memory = CUFRAMES_MEMORY_CUDA;
    else
        return bad_value(options, "host, cuda or auto");
    return true;
}

bool options_gpu(const struct options *options, int32_t *index)
{
    if (cuframes_gpu_find(options->value, index) == CUFRAMES_OK)
        return true;
    report_usage("--%s: %s", options->name, cuframes_last_error());
    return false;
}

bool options_policy(const struct options *options, cuframes_policy_t *policy)
{
    if (!strcmp(options->value, "drop"))
        *policy = CUFRAMES_POLICY_DROP_OLDEST;
    else if (!strcmp(options->value, "wait"))
        *policy = CUFRAMES_POLICY_STRICT_WAIT;
    else
        return bad_value(options, "drop or wait");
    return true;
}

bool options_mode(const struct options *options, cuframes_subscriber_mode_t *mode)
{
    if (!strcmp(options->value, "newest"))
        *mode = CUFRAMES_MODE_NEWEST_ONLY;
    else if (!strcmp(options->value, "order"))
        *mode = CUFRAMES_MODE_STRICT_ORDER;
    else
        return bad_value(options, "newest or order");
    return true;
}

bool options_socket_mode(const struct options *options, uint32_t *mode)
{
    char *end;
    unsigned long value = strtoul(options->value, &end, 8);

    if (end == options->value || *end || value == 0 || value > 0777)
        return bad_value(options, "permission bits in octal, such as 660");
    *mode = (uint32_t)value;
    return true;
}

bool options_given(const struct options *options, int id)
{
    return options->given >> id & 1;
}

static const char *name_of(const struct options *options, int id)
{
    const struct option_row *row = options->usage->rows;

    while (row->id != id)
        row++;
    return row->name;
}

bool options_not_both(const struct options *options, int one, int other)
{
    if (!options_given(options, one) || !options_given(options, other))
        return true;
    report_usage("--%s and --%s do not go together: leave one out", name_of(options, one),
                 name_of(options, other));
    return false;
}

bool options_needs(const struct options *options, int id, bool had, const char *other)
{
    if (!options_given(options, id) || had)
        return true;
    report_usage("--%s has no effect without %s: give that too, or leave it out",
                 name_of(options, id), other);
    return false;
}

char **options_words(const struct options *options, int count, const char *what)
{
    int given = options->argc - optind;

    if (given < count)
        report_usage("%s missing", what);
    else if (given > count)
        report_usage("\"%s\" is one word too many", options->argv[optind + count]);
    else
        return options->argv + optind;
    return NULL;
}

bool options_check_key(const char *key)
{
    if (cuframes_check_key(key) == CUFRAMES_OK)
        return true;
    report_usage("%s", cuframes_last_error());
    return false;
}

char **options_channel(const struct options *options, int count, const char *what,
                       cuframes_subscriber_config_t *config)
{
    char **words = options_words(options, count, what);

    if (!words || !options_check_key(words[0]))
        return NULL;
    config->key = words[0];
    config->runtime_dir = options->runtime_dir;
    return words;
}

char **options_rest(const struct options *options)
{
    return options->argv + optind;
}
