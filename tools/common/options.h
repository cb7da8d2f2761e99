/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command lines. A subcommand describes its options in one table, from which both the parser and
 * --help are made. --help, --verbose and --runtime-dir belong to every subcommand and are dealt
 * with here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <cuframes/cuframes.h>

#include "common/report.h"

struct option_row {
    int id;               /* 1 to 31 */
    const char *name;     /* without the dashes; NULL ends the table */
    const char *argument; /* what --help calls it; NULL = takes none */
    const char *help;     /* newlines continue on an indented line */
};

struct usage {
    const char *synopsis; /* after the command's name: "KEY [options]" */
    const char *about;
    const struct option_row *rows;
};

struct options {
    const struct usage *usage;
    int argc;
    char **argv;
    const char *name;        /* the option that is taken, without the dashes */
    const char *value;       /* its argument */
    const char *runtime_dir; /* NULL = the library's default */
    uint32_t given;          /* bit i: the option with the id i was */
};

/* Takes the option `id` into `settings`. False: what is wrong was reported. */
typedef bool (*option_taker)(const struct options *options, int id, void *settings);

/*
 * Reads the command line, with `take` for each option; argv[0] is the command's own word.
 * TOOL_CONTINUE, or the exit code after help was printed or something wrong was reported.
 */
int options_read(struct options *options, const struct usage *usage, int argc, char **argv,
                 option_taker take, void *settings);

/*
 * Arguments of the option that is taken. False: what is wrong was reported. Outputs are written on
 * success only.
 */
bool options_integer(const struct options *options, int64_t min, int64_t max, int64_t *value);
bool options_int(const struct options *options, int min, int max, int *value);
bool options_number(const struct options *options, double min, double max, double *value);
/* WIDTHxHEIGHT. */
bool options_size(const struct options *options, int32_t *width, int32_t *height);
bool options_format(const struct options *options, cuframes_format_t *format);
/* "30", "29.97" or "30000/1001"; 0 gives 0/0. */
bool options_rate(const struct options *options, int32_t *num, int32_t *den);
bool options_memory(const struct options *options, cuframes_memory_t *memory);
/* A GPU's number or UUID. */
bool options_gpu(const struct options *options, int32_t *index);
bool options_policy(const struct options *options, cuframes_policy_t *policy);
bool options_mode(const struct options *options, cuframes_subscriber_mode_t *mode);
/* Permission bits, octal. */
bool options_socket_mode(const struct options *options, uint32_t *mode);

/* Whether an option was given. */
bool options_given(const struct options *options, int id);
/* Options that do not go together, or one that is about nothing without the other (which is `had`,
 * given or by default). False: it was reported. */
bool options_not_both(const struct options *options, int one, int other);
bool options_needs(const struct options *options, int id, bool had, const char *other);

/*
 * The words that are no options, of which there must be `count`; `what` names them for the
 * message. NULL after a report.
 */
char **options_words(const struct options *options, int count, const char *what);
/* The same for a reader of a channel: the first word is the key, which is checked and, with the runtime
 * directory, put into `config`. */
char **options_channel(const struct options *options, int count, const char *what,
                       cuframes_subscriber_config_t *config);
/* All words that are no options, ending with NULL: a program and its arguments, after "--". */
char **options_rest(const struct options *options);
/* Whether `key` can be a key; reports it if not. */
bool options_check_key(const char *key);
