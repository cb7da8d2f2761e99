/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes doctor: looks at the machine and says, line by line, what is well, what is wrong, and
 * what to do.
 */
#include <stdio.h>

#include "command.h"
#include "common/json.h"
#include "common/options.h"
#include "doctor/findings.h"

struct settings {
    const char *runtime_dir;
    bool json;
};

enum { ID_JSON = 1 };

static const struct option_row rows[] = {
    {ID_JSON, "json", NULL, "print a JSON object"},
    {0},
};

static const struct usage usage = {
    .synopsis = "[options]",
    .about = "Checks this machine: runtime directory, kernel, limits, channels, GPU. Each line\n"
             "says what is wrong and what to do. Exit code 1 if something fails.",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;

    (void)o, (void)id; /* there is one */
    s->json = true;
    return true;
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    if (!options_words(&o, 0, ""))
        return TOOL_USAGE;
    s->runtime_dir = o.runtime_dir;
    return TOOL_CONTINUE;
}

static void examine(struct findings *findings, const char *runtime_dir)
{
    examine_directory(findings, runtime_dir);
    examine_channels(findings, runtime_dir);
    examine_kernel(findings);
    examine_limits(findings);
    examine_gpu(findings);
}

static void print_text(const struct findings *findings)
{
    static const char *const words[] = {"ok  ", "warn", "FAIL"};

    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];

        printf("%s  %-18s %s\n", words[finding->verdict], finding->subject,
               finding->message ? finding->message : "(out of memory)");
        if (finding->remedy)
            printf("      %-18s what to do: %s\n", "", finding->remedy);
    }
    if (findings->failed || findings->warnings)
        printf("%d failed, %d warnings\n", findings->failed, findings->warnings);
}

static json_t *json_of_finding(const struct finding *finding)
{
    static const char *const words[] = {"ok", "warn", "fail"};

    return json_pack("{ss, ss, so, so}", "status", words[finding->verdict], "subject",
                     finding->subject, "message",
                     finding->message ? json_text(finding->message) : json_null(), "remedy",
                     finding->remedy ? json_text(finding->remedy) : json_null());
}

static void print_json(const struct findings *findings)
{
    json_t *array = json_array();

    for (size_t i = 0; i < findings->count; i++)
        json_array_append_new(array, json_of_finding(&findings->list[i]));
    json_print(json_pack("{si, si, so}", "failed", findings->failed, "warnings", findings->warnings,
                         "checks", array),
               false);
}

/* Before any option. */
static const struct settings defaults = {0};

int command_doctor(int argc, char **argv)
{
    struct settings s = defaults;
    struct findings findings = {0};
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    examine(&findings, s.runtime_dir);
    if (s.json)
        print_json(&findings);
    else
        print_text(&findings);
    rc = findings.failed ? TOOL_FAILED : TOOL_DONE;
    findings_fini(&findings);
    return rc;
}
