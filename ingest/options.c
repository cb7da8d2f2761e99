/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line: a table of options, one function for each kind of value. The form
 * cuframes-rtsp-source has names of its own for some (--rtsp, --ring, --scale, --verbose), which
 * the other form understands too.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "help.h"
#include "log.h"
#include "options_check.h"
#include "redact.h"

#define DEFAULT_TIMEOUT_S     10
#define DEFAULT_PACKET_KEEP_S 10
#define DEFAULT_STOP_S        5
#define URL_SIZE              8192

static const struct option long_options[] = {
    {"input", required_argument, NULL, OPT_INPUT},
    {"rtsp", required_argument, NULL, OPT_INPUT},
    {"key", required_argument, NULL, OPT_KEY},
    {"url-file", required_argument, NULL, OPT_URL_FILE},
    {"url-env", required_argument, NULL, OPT_URL_ENV},
    {"input-format", required_argument, NULL, OPT_INPUT_FORMAT},
    {"input-option", required_argument, NULL, OPT_INPUT_OPTION},
    {"rtsp-transport", required_argument, NULL, OPT_TRANSPORT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"reconnect", no_argument, NULL, OPT_RECONNECT},
    {"no-reconnect", no_argument, NULL, OPT_NO_RECONNECT},
    {"realtime", no_argument, NULL, OPT_REALTIME},
    {"loop", no_argument, NULL, OPT_LOOP},
    {"size", required_argument, NULL, OPT_SIZE},
    {"scale", required_argument, NULL, OPT_SIZE},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"fps", required_argument, NULL, OPT_FPS},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"policy", required_argument, NULL, OPT_POLICY},
    {"ack-timeout-ms", required_argument, NULL, OPT_ACK_TIMEOUT},
    {"slots", required_argument, NULL, OPT_SLOTS},
    {"ring", required_argument, NULL, OPT_SLOTS},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"wait-subscribers", required_argument, NULL, OPT_WAIT_SUBSCRIBERS},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"socket-mode", required_argument, NULL, OPT_SOCKET_MODE},
    {"socket-group", required_argument, NULL, OPT_SOCKET_GROUP},
    {"allow-user", required_argument, NULL, OPT_ALLOW_USER},
    {"runtime-dir", required_argument, NULL, OPT_RUNTIME_DIR},
    {"stats-interval", required_argument, NULL, OPT_STATS_INTERVAL},
    {"log", required_argument, NULL, OPT_LOG},
    {"verbose", no_argument, NULL, OPT_VERBOSE},
    {"decode", required_argument, NULL, OPT_DECODE},
    {"gpu", required_argument, NULL, OPT_GPU},
    {"cuda-device", required_argument, NULL, OPT_CUDA_DEVICE},
    {"on-demand-stop", required_argument, NULL, OPT_ON_DEMAND_STOP},
    {"enable-packet-ring", no_argument, NULL, OPT_PACKET_RING},
    {"no-packets", no_argument, NULL, OPT_NO_PACKETS},
    {"packet-streams", required_argument, NULL, OPT_PACKET_STREAMS},
    {"packet-keep", required_argument, NULL, OPT_PACKET_KEEP},
    {"help", no_argument, NULL, OPT_HELP},
    {0},
};

static bool wrong(const char *format, ...) CUFRAMES_PRINTF(1, 2);

static bool wrong(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    log_line(CUFRAMES_LOG_ERROR, "%s", line);
    return false;
}

static bool parse_int(const char *name, const char *text, long low, long high, int32_t *value)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < low || number > high)
        return wrong("--%s %s: give a number from %ld to %ld", name, text, low, high);
    *value = (int32_t)number;
    return true;
}

static bool parse_double(const char *name, const char *text, double low, double high, double *value)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end || !isfinite(number) || number < low || number > high)
        return wrong("--%s %s: give a number from %g to %g", name, text, low, high);
    *value = number;
    return true;
}

static bool parse_size(const char *text, struct options *options)
{
    int width, height, used = 0;

    if (sscanf(text, "%dx%d%n", &width, &height, &used) != 2 || text[used] || width < 1 ||
        height < 1 || width > CUFRAMES_MAX_DIMENSION || height > CUFRAMES_MAX_DIMENSION)
        return wrong("--size %s: give WIDTHxHEIGHT in pixels, each from 1 to %d", text,
                     CUFRAMES_MAX_DIMENSION);
    options->width = width;
    options->height = height;
    return true;
}

static bool parse_format(const char *text, struct options *options)
{
    if (cuframes_format_from_name(text, &options->format))
        return wrong("--format: %s", cuframes_last_error());
    options->format_given = true;
    return true;
}

static bool parse_word(const char *name, const char *text, const char *const *words, int *index)
{
    char known[128] = "";

    for (int i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *index = i;
            return true;
        }
        strncat(known, i ? ", " : "", sizeof(known) - strlen(known) - 1);
        strncat(known, words[i], sizeof(known) - strlen(known) - 1);
    }
    return wrong("--%s %s: give one of %s", name, text, known);
}

static bool parse_transport(const char *text, struct options *options)
{
    static const char *const words[] = {"tcp", "udp", "auto", NULL};
    int index;

    if (!parse_word("rtsp-transport", text, words, &index))
        return false;
    options->transport = (enum transport)index;
    return true;
}

static bool parse_policy(const char *text, struct options *options)
{
    static const char *const words[] = {"drop", "wait", NULL};
    int index;

    if (!parse_word("policy", text, words, &index))
        return false;
    options->policy = (cuframes_policy_t)index;
    return true;
}

static bool parse_log(const char *text, struct options *options)
{
    static const char *const words[] = {"error", "warning", "info", "debug", NULL};
    int index;

    if (!parse_word("log", text, words, &index))
        return false;
    options->log_level = (cuframes_log_level_t)index;
    return true;
}

static bool parse_packet_streams(const char *text, struct options *options)
{
    static const char *const words[] = {"all", "video", NULL};
    int index;

    if (!parse_word("packet-streams", text, words, &index))
        return false;
    options->packet_video_only = index == 1;
    return true;
}

static bool parse_packet_kind(int id, const char *value, struct options *o)
{
    switch (id) {
    case OPT_ON_DEMAND_STOP:
        return parse_double("on-demand-stop", value, 0, 86400, &o->on_demand_stop_s);
    case OPT_PACKET_RING:
    case OPT_NO_PACKETS:
        o->packets = id == OPT_PACKET_RING;
        return true;
    case OPT_PACKET_STREAMS:
        return parse_packet_streams(value, o);
    case OPT_PACKET_KEEP:
        return parse_double("packet-keep", value, 0.1, 3600, &o->packet_keep_s);
    default:
        return wrong("an option has no code: a bug");
    }
}

static bool parse_memory(const char *text, struct options *options)
{
    static const char *const words[] = {"auto", "host", "cuda", NULL};
    int index;

    if (!parse_word("memory", text, words, &index))
        return false;
    options->memory = (cuframes_memory_t)index;
    return true;
}

static bool parse_decode(const char *text, struct options *options)
{
    static const char *const words[] = {"auto", "nvdec", "cpu", "on-demand", "off", NULL};
    const char **said;
    int index = 0;

    if (!parse_word("decode", text, words, &index))
        return false;
    /* Who and when: one of each can be said. */
    said = index < DECODE_WAYS ? &options->decode_said : &options->when_said;
    if (*said && strcmp(*said, text) != 0)
        return wrong("--decode %s and --decode %s contradict each other: leave one out", *said,
                     text);
    *said = text;
    if (strcmp(text, "on-demand") == 0)
        options->when = DECODE_ON_DEMAND;
    else if (strcmp(text, "off") == 0)
        options->when = DECODE_OFF;
    else
        options->decode = (enum decode)index;
    if (options->when == DECODE_OFF && options->decode_said)
        return wrong("--decode off and --decode %s contradict each other: leave one out",
                     options->decode_said);
    return true;
}

static bool parse_mode(const char *text, struct options *options)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);

    if (end == text || *end || mode == 0 || mode > 0777)
        return wrong("--socket-mode %s: give permission bits in octal, 660 say", text);
    options->socket_mode = (uint32_t)mode;
    return true;
}

/* One user more who may subscribe, by name or number. */
static bool parse_user(const char *text, struct options *options)
{
    const struct passwd *user = getpwnam(text);
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (!user && (text[0] < '0' || text[0] > '9' || *end || number >= UINT32_MAX))
        return wrong("--allow-user %s: there is no such user; give a name or a number", text);
    if (options->user_count == CUFRAMES_MAX_ALLOWED_USERS)
        return wrong("--allow-user %s: at most %d users are possible; use --socket-group", text,
                     CUFRAMES_MAX_ALLOWED_USERS);
    options->users[options->user_count++] = user ? user->pw_uid : (uint32_t)number;
    return true;
}

static bool parse_input_option(char *text, struct options *options)
{
    char *value = strchr(text, '=');

    if (!value || value == text)
        return wrong("--input-option: give NAME=VALUE");
    *value = '\0';
    av_dict_set(&options->input_options, text, value + 1, 0);
    *value = '=';
    /* May hold a header with a password, or the like: nobody needs it in the process list. */
    memset(value + 1, 'x', strlen(value + 1));
    return true;
}

static bool add_rendition(const char *text, struct options *o)
{
    struct rendition_spec spec, *list;
    char why[256];

    if (!rendition_spec_parse(text, &spec, why, sizeof(why)))
        return wrong("--output %s: %s; the form is NAME=WxH[@FPS][,format=F][,memory=host|cuda]",
                     text, why);
    for (int i = 0; i < o->rendition_count; i++)
        if (strcmp(o->renditions[i].name, spec.name) == 0)
            return wrong("--output %s: there is an output \"%s\" already; give each a name of its "
                         "own",
                         text, spec.name);
    list = realloc(o->renditions, ((size_t)o->rendition_count + 1) * sizeof(*list));
    if (!list)
        return wrong("out of memory");
    list[o->rendition_count++] = spec;
    o->renditions = list;
    return true;
}

static bool set_input(const char *text, struct options *options)
{
    if (options->input)
        return wrong("there is more than one input; give one");
    if (!*text)
        return wrong("the input is empty; give a URL, a file or a device");
    options->input = strdup(text);
    redact_remember(text);
    return true;
}

static bool input_from_argument(char *text, struct options *options)
{
    if (!set_input(text, options))
        return false;
    redact_argument(text);
    return true;
}

static bool input_from_file(const char *path, struct options *options)
{
    char line[URL_SIZE] = "";
    FILE *file = fopen(path, "re");

    if (!file)
        return wrong("--url-file %s: %s", path, strerror(errno));
    if (!fgets(line, sizeof(line), file))
        line[0] = '\0';
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    if (!line[0])
        return wrong("--url-file %s: its first line is empty; put the URL there", path);
    return set_input(line, options);
}

static bool input_from_environment(const char *name, struct options *options)
{
    const char *value = getenv(name);

    if (!value || !*value)
        return wrong("--url-env %s: the variable is not set", name);
    return set_input(value, options);
}

static bool parse_input_kind(int id, char *value, struct options *o)
{
    switch (id) {
    case OPT_INPUT:
        return input_from_argument(value, o);
    case OPT_URL_FILE:
        return input_from_file(value, o);
    case OPT_URL_ENV:
        return input_from_environment(value, o);
    case OPT_INPUT_FORMAT:
        o->input_format = value;
        return true;
    case OPT_INPUT_OPTION:
        return parse_input_option(value, o);
    case OPT_TRANSPORT:
        return parse_transport(value, o);
    case OPT_TIMEOUT:
        return parse_double("timeout", value, 0.1, 86400, &o->timeout_s);
    case OPT_RECONNECT:
    case OPT_NO_RECONNECT:
        o->reconnect = id == OPT_RECONNECT;
        return true;
    case OPT_REALTIME:
        o->realtime = true;
        return true;
    case OPT_LOOP:
        o->loop = true;
        return true;
    default:
        return parse_packet_kind(id, value, o);
    }
}

static bool parse_channel_kind(int id, char *value, struct options *o)
{
    switch (id) {
    case OPT_KEY:
        o->key = value;
        return true;
    case OPT_SIZE:
        return parse_size(value, o);
    case OPT_FORMAT:
        return parse_format(value, o);
    case OPT_FPS:
        return parse_double("fps", value, 0.001, 1000, &o->max_fps);
    case OPT_OUTPUT:
        return add_rendition(value, o);
    case OPT_POLICY:
        return parse_policy(value, o);
    case OPT_ACK_TIMEOUT:
        return parse_int("ack-timeout-ms", value, INT32_MIN, INT32_MAX, &o->ack_timeout_ms);
    case OPT_SLOTS:
        return parse_int("slots", value, CUFRAMES_MIN_SLOTS, CUFRAMES_MAX_SLOTS - 4, &o->slots);
    case OPT_WAIT_SUBSCRIBERS:
        return parse_int("wait-subscribers", value, 0, CUFRAMES_MAX_SUBSCRIBERS,
                         &o->wait_subscribers);
    case OPT_MEMORY:
        return parse_memory(value, o);
    case OPT_SOCKET_MODE:
        return parse_mode(value, o);
    case OPT_ALLOW_USER:
        return parse_user(value, o);
    case OPT_SOCKET_GROUP:
        o->socket_group = value;
        return true;
    case OPT_RUNTIME_DIR:
        o->runtime_dir = value;
        return true;
    default:
        return parse_input_kind(id, value, o);
    }
}

static bool parse_one(int id, char *value, struct options *o)
{
    switch (id) {
    case OPT_THREADS:
        return parse_int("threads", value, 0, 64, &o->threads);
    case OPT_STATS_INTERVAL:
        return parse_double("stats-interval", value, 0, 86400, &o->stats_interval_s);
    case OPT_LOG:
        return parse_log(value, o);
    case OPT_VERBOSE:
        o->log_level = CUFRAMES_LOG_DEBUG;
        return true;
    case OPT_DECODE:
        return parse_decode(value, o);
    case OPT_GPU:
    case OPT_CUDA_DEVICE:
        o->gpu = value;
        o->gpu_if_there = id == OPT_CUDA_DEVICE;
        return true;
    default:
        return parse_channel_kind(id, value, o);
    }
}

static bool name_renditions(struct options *o)
{
    char why[256];

    for (int i = 0; i < o->rendition_count; i++)
        if (!rendition_spec_name(&o->renditions[i], o->key, why, sizeof(why)))
            return wrong("--output %s: %s", o->renditions[i].name, why);
    return true;
}

static bool check(struct options *o)
{
    if (!o->key)
        return wrong("--key is missing: give the channel a name");
    if (cuframes_check_key(o->key))
        return wrong("--key: %s", cuframes_last_error());
    return name_renditions(o) && options_check(o);
}

/* The option that a letter, or a word on its own, stands for. */
static int long_form(int id)
{
    switch (id) {
    case 1:
        return OPT_INPUT;
    case 'k':
        return OPT_KEY;
    case 'v':
        return OPT_VERBOSE;
    default:
        return id;
    }
}

static bool parse_all(struct options *o, int argc, char **argv, bool *help)
{
    int id;

    optind = 0; /* starts getopt again: another part of the process may have used it */
    opterr = 0;
    while ((id = getopt_long(argc, argv, "-:k:vh", long_options, NULL)) != -1) {
        if (id == OPT_HELP || id == 'h') {
            *help = true;
            return true;
        }
        if (id == '?' || id == ':')
            return wrong("%s %s; --help lists the options", argv[optind - 1],
                         id == ':' ? "needs a value" : "is not an option");
        id = long_form(id);
        o->given |= UINT64_C(1) << (id - OPT_INPUT);
        if (!parse_one(id, optarg, o))
            return false;
    }
    for (; optind < argc; optind++)
        if (!input_from_argument(argv[optind], o))
            return false;
    log_open(o->progname, o->log_level);
    return check(o);
}

bool options_parse(struct options *options, int argc, char **argv, const char *progname,
                   int *exit_code)
{
    bool help = false, ok;

    *options = (struct options){
        .progname = progname,
        .timeout_s = DEFAULT_TIMEOUT_S,
        .reconnect = true,
        .packets = true,
        .packet_keep_s = DEFAULT_PACKET_KEEP_S,
        .on_demand_stop_s = DEFAULT_STOP_S,
        .ack_timeout_ms = OPTIONS_ACK_TIMEOUT_MS,
        .slots = CUFRAMES_DEFAULT_SLOTS,
        .log_level = CUFRAMES_LOG_INFO,
    };
    log_open(progname, options->log_level);
    ok = parse_all(options, argc, argv, &help);
    *exit_code = ok ? 0 : 2;
    if (help)
        help_print(progname);
    return ok && !help;
}

void options_fini(struct options *options)
{
    free(options->input);
    free(options->renditions);
    av_dict_free(&options->input_options);
}
