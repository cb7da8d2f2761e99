/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes bench: what the library costs on this machine. The measurements are in bench/; this
 * file chooses them and prints.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "command.h"
#include "common/json.h"
#include "common/options.h"
#include "common/stop.h"
#include "common/table.h"
#include "common/terminal.h"

static const struct measure {
    const char *name;
    bench_measure_t run;
} measures[] = {
    {"wake", bench_wake},     {"publish", bench_publish}, {"hold", bench_hold},
    {"attach", bench_attach}, {"group", bench_group},     {"packets", bench_packets},
};

enum { MEASURES = sizeof(measures) / sizeof(measures[0]) };

enum { ID_ONLY = 1, ID_QUICK, ID_JSON };

static const struct option_row rows[] = {
    {ID_ONLY, "only", "MEASURE",
     "wake, publish, hold, attach, group or packets; can be\ngiven several times"},
    {ID_QUICK, "quick", NULL, "few samples: shows that it works, and little more"},
    {ID_JSON, "json", NULL, "print the result as JSON, times in nanoseconds"},
    {0},
};

static const struct usage usage = {
    .synopsis = "[options]",
    .about = "Measures the library on this machine, for about half a minute, with two processes\n"
             "that are awake at a time: from publish to awake beside a bare futex, the cost of a\n"
             "publish by number of subscribers, the cost of a hold and a release, attaching, and\n"
             "what groups cost, with up to 32 processes, beside other barriers and memcpy, and\n"
             "what packets cost beside memcpy.\n"
             "The channels are in a directory of their own unless --runtime-dir is given.",
    .rows = rows,
};

struct settings {
    struct bench bench;
    unsigned chosen; /* bit i: measures[i] */
    bool json;
    const char *given_dir; /* NULL = a directory of its own */
    bool own_dir;
};

static bool choose(const char *name, unsigned *chosen)
{
    for (unsigned i = 0; i < MEASURES; i++) {
        if (!strcmp(measures[i].name, name)) {
            *chosen |= 1U << i;
            return true;
        }
    }
    report_usage("there is no measure \"%s\": it is one of wake, publish, hold, attach, group, "
                 "packets",
                 name);
    return false;
}

static bool choose_dir(struct settings *s)
{
    const char *tmp = getenv("TMPDIR"), *given = s->given_dir;
    struct bench *bench = &s->bench;

    s->own_dir = !given;
    if (snprintf(bench->dir, sizeof(bench->dir), "%s%s",
                 given ? given
                 : tmp ? tmp
                       : "/tmp",
                 given ? "" : "/cuframes-bench-XXXXXX") >= (int)sizeof(bench->dir)) {
        report("the directory for the channels has a name that is too long for sockets; use "
               "--runtime-dir or TMPDIR to give a shorter one");
        return false;
    }
    if (given || mkdtemp(bench->dir))
        return true;
    report("cannot make the directory %s: %m", bench->dir);
    return false;
}

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;

    s->bench.quick |= id == ID_QUICK;
    s->json |= id == ID_JSON;
    return id != ID_ONLY || choose(o->value, &s->chosen);
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    if (!options_words(&o, 0, ""))
        return TOOL_USAGE;
    if (s->chosen == 0)
        s->chosen = (1U << MEASURES) - 1;
    s->given_dir = o.runtime_dir;
    return TOOL_CONTINUE;
}

/* Publishers that are ended in the middle leave the names of their sockets. */
static void remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

static json_t *machine_json(void)
{
    struct utsname name = {0};
    char date[32] = "";
    time_t now = time(NULL);
    struct tm parts;

    uname(&name);
    if (gmtime_r(&now, &parts))
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:s, s:i}", "date", date, "kernel", name.release,
                     "machine", name.machine, "cores", (int)sysconf(_SC_NPROCESSORS_ONLN),
                     "clock_ns", bench_clock_cost(), "version", cuframes_version_string(),
                     "protocol", (int)cuframes_protocol_version());
}

/* ---- the table ---- */

static void add_row(struct table *table, const char *what, const json_t *samples, const char *note)
{
    table_add(table, "%s", what);
    table_add(table, "%.3f", json_number_value(json_object_get(samples, "p50_ns")) / 1000);
    table_add(table, "%.3f", json_number_value(json_object_get(samples, "p99_ns")) / 1000);
    table_add(table, "%lld", (long long)json_integer_value(json_object_get(samples, "samples")));
    table_add(table, "%s", note);
}

static void add_wake(struct table *table, const json_t *wake)
{
    const json_t *channel;
    char what[64], note[64];
    size_t i;

    add_row(table, "bare futex wake", json_object_get(wake, "bare"), "");
    json_array_foreach(json_object_get(wake, "channels"), i, channel)
    {
        snprintf(what, sizeof(what), "publish to awake, %lldx%lld",
                 (long long)json_integer_value(json_object_get(channel, "width")),
                 (long long)json_integer_value(json_object_get(channel, "height")));
        snprintf(note, sizeof(note), "%.2f times the bare futex",
                 json_number_value(json_object_get(channel, "ratio_to_bare")));
        add_row(table, what, channel, note);
    }
}

static void add_publish(struct table *table, const json_t *publish)
{
    const json_t *channel;
    char what[64], note[64];
    size_t i;

    json_array_foreach(json_object_get(publish, "channels"), i, channel)
    {
        const json_t *further = json_object_get(channel, "paced_further_ns");

        snprintf(what, sizeof(what), "acquire and publish, %lld polling",
                 (long long)json_integer_value(json_object_get(channel, "subscribers")));
        snprintf(note, sizeof(note), "%.1f ns for each further subscriber",
                 json_number_value(further));
        add_row(table, what, json_object_get(channel, "paced"), json_is_null(further) ? "" : note);
    }
}

static void add_hold(struct table *table, const json_t *hold)
{
    char note[64];

    snprintf(note, sizeof(note), "system calls: %s",
             json_string_value(json_object_get(hold, "system_calls")));
    add_row(table, "hold and release, frames in order", json_object_get(hold, "in_order"), note);
    add_row(table, "hold and release, just announced", json_object_get(hold, "newest"), "");
    add_row(table, "next that finds no frame", json_object_get(hold, "empty"), "");
}

static void add_attach(struct table *table, const json_t *attach)
{
    add_row(table, "attach", json_object_get(attach, "attach"), "");
    add_row(table, "attach, to the first frame", json_object_get(attach, "first_frame"), "");
}

static void add_barriers(struct table *table, const json_t *barriers)
{
    const json_t *measured;
    char what[64], note[64];
    size_t i;

    json_array_foreach(barriers, i, measured)
    {
        const long long ranks = (long long)json_integer_value(json_object_get(measured, "ranks"));

        snprintf(what, sizeof(what), "barrier of %lld ranks", ranks);
        snprintf(note, sizeof(note), "%.2f times pthread, usleep(1) %.1f times this",
                 json_number_value(json_object_get(measured, "ratio_to_pthread")),
                 json_number_value(json_object_get(measured, "usleep_ratio")));
        add_row(table, what, json_object_get(measured, "barrier"), note);
        add_row(table, "  polling with usleep(1)", json_object_get(measured, "usleep"), "");
        add_row(table, "  pthread_barrier_wait", json_object_get(measured, "pthread"), "");
    }
}

static void add_group(struct table *table, const json_t *group)
{
    const json_t *measured;
    char what[64], note[64];
    size_t i;

    add_barriers(table, json_object_get(group, "barriers"));
    json_array_foreach(json_object_get(group, "all_gathers"), i, measured)
    {
        snprintf(what, sizeof(what), "all-gather, %lld ranks, %lld bytes each",
                 (long long)json_integer_value(json_object_get(measured, "ranks")),
                 (long long)json_integer_value(json_object_get(measured, "bytes")));
        snprintf(note, sizeof(note), "%.2f times memcpy",
                 json_number_value(json_object_get(measured, "ratio_to_memcpy")));
        add_row(table, what, json_object_get(measured, "all_gather"), note);
        add_row(table, "  memcpy of as many bytes", json_object_get(measured, "memcpy"), "");
    }
    json_array_foreach(json_object_get(group, "descriptors"), i, measured)
    {
        snprintf(what, sizeof(what), "%lld descriptors each, %lld ranks",
                 (long long)json_integer_value(json_object_get(measured, "each")),
                 (long long)json_integer_value(json_object_get(measured, "ranks")));
        add_row(table, what, json_object_get(measured, "all_gather"), "");
    }
}

static void add_packets(struct table *table, const json_t *packets)
{
    const json_t *measured;
    size_t i;

    json_array_foreach(packets, i, measured)
    {
        for (int side = 0; side < 2; side++) {
            const json_t *pair = json_object_get(measured, side ? "read" : "publish");
            char what[64], note[64];

            snprintf(what, sizeof(what), "%s of %lld KiB, %lld readers",
                     side ? "read" : "packet published",
                     (long long)json_integer_value(json_object_get(measured, "bytes")) / 1024,
                     (long long)json_integer_value(json_object_get(measured, "readers")));
            snprintf(note, sizeof(note), "%.2f times memcpy, which takes %.3f us",
                     json_number_value(json_object_get(pair, "ratio_to_memcpy")),
                     json_number_value(json_object_get(json_object_get(pair, "memcpy"), "p50_ns")) /
                         1000);
            add_row(table, what, json_object_get(pair, "packet"), note);
        }
    }
}

static void print_table(const json_t *result)
{
    static const char *const headings[] = {"", "median us", "p99 us", "samples", ""};
    static void (*const add[MEASURES])(struct table *, const json_t *) = {
        add_wake, add_publish, add_hold, add_attach, add_group, add_packets};
    struct table table;

    table_init(&table, "lrrrl", headings);
    for (int i = 0; i < MEASURES; i++) {
        const json_t *measured = json_object_get(result, measures[i].name);

        if (measured)
            add[i](&table, measured);
    }
    table_print(&table, stdout);
    table_fini(&table);
}

/* ---- the run ---- */

/* Hundreds of subscribers in one process take as many descriptors. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(const struct settings *s, json_t *result)
{
    for (int i = 0; i < MEASURES; i++) {
        json_t *measured = NULL;
        int rc;

        if (!(s->chosen & 1U << i))
            continue;
        terminal_progress("measuring: %s", measures[i].name);
        rc = measures[i].run(&s->bench, &measured);
        terminal_progress_clear();
        if (rc != TOOL_DONE)
            return rc;
        json_object_set_new(result, measures[i].name, measured);
    }
    return TOOL_DONE;
}

/* Before any option. */
static const struct settings defaults = {0};

int command_bench(int argc, char **argv)
{
    struct settings s = defaults;
    json_t *result;
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    if (!choose_dir(&s))
        return TOOL_FAILED;
    stop_on_signals();
    raise_limit();
    result = json_pack("{s:b, s:o}", "quick", s.bench.quick, "machine", machine_json());
    rc = run(&s, result);
    if (s.own_dir)
        remove_dir(s.bench.dir);
    if (rc == TOOL_DONE && s.json)
        json_print(json_incref(result), false);
    else if (rc == TOOL_DONE)
        print_table(result);
    json_decref(result);
    return rc;
}
