/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text that the library reads and did not write: keys, names of subscribers, of sockets and of
 * pixel formats, runtime directories, and the files of control groups, of which a container's
 * runtime can show anything. The first byte says which; the rest is the text.
 */
#include <fcntl.h>
#include <sys/un.h>

#include <cuframes/cuframes.h>

#include "base/cgroup.h"
#include "base/fd.h"
#include "channel/query.h"
#include "script.h"
#include "wire/endpoint.h"

enum kind { KIND_NAMES, KIND_DIRECTORY, KIND_GROUP_1, KIND_GROUP_2, KIND_COUNT };

static void read_names(const char *text)
{
    char key[CUFRAMES_KEY_MAX + 1];
    struct sockaddr_un address;
    cuframes_format_t format;
    int32_t index;

    if (cuframes_check_key(text) == CUFRAMES_OK) {
        FUZZ_REQUIRE(strlen(text) >= 1 && strlen(text) <= CUFRAMES_KEY_MAX && !strchr(text, '/'));
        FUZZ_REQUIRE(cf_endpoint_address("/tmp", text, &address) == CUFRAMES_OK);
    }
    if (cf_name_check(text) == CUFRAMES_OK)
        FUZZ_REQUIRE(strlen(text) <= CUFRAMES_NAME_MAX);
    if (cf_socket_name_key(text, key))
        FUZZ_REQUIRE(cuframes_check_key(key) == CUFRAMES_OK);
    if (cuframes_format_from_name(text, &format) == CUFRAMES_OK)
        FUZZ_REQUIRE(cuframes_format_name(format));
    cuframes_gpu_find(text, &index);
}

static void read_directory(const char *text)
{
    char path[CF_RUNTIME_DIR_SIZE], again[CF_RUNTIME_DIR_SIZE];
    struct sockaddr_un address;
    char key[CUFRAMES_KEY_MAX + 1];

    memset(key, 'k', sizeof(key) - 1);
    key[CUFRAMES_KEY_MAX] = '\0';
    if (cf_runtime_dir_resolve(text, path) != CUFRAMES_OK)
        return;
    FUZZ_REQUIRE(cf_runtime_dir_resolve(path, again) == CUFRAMES_OK && strcmp(path, again) == 0);
    cf_endpoint_address(path, key, &address);
    FUZZ_REQUIRE(memchr(address.sun_path, 0, sizeof(address.sun_path)));
}

/* ---- control groups ---- */

static char root[64];

static void group_path(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", root, name);
}

static const char *const names[] = {"membership",
                                    "memory.max",
                                    "memory.current",
                                    "memory.stat",
                                    "memory",
                                    "memory/memory.limit_in_bytes",
                                    "memory/memory.usage_in_bytes",
                                    "memory/memory.stat"};

static void remove_root(void)
{
    char path[128];

    for (size_t i = sizeof(names) / sizeof(names[0]); i-- > 0;) {
        group_path(path, sizeof(path), names[i]);
        remove(path);
    }
    rmdir(root);
}

static void make_root(void)
{
    const char *parent = getenv("TMPDIR");
    char path[128];

    if (root[0])
        return;
    snprintf(root, sizeof(root), "%s/cuframes-fuzz-XXXXXX", parent ? parent : "/tmp");
    FUZZ_REQUIRE(mkdtemp(root));
    atexit(remove_root);
    group_path(path, sizeof(path), "memory");
    FUZZ_REQUIRE(mkdir(path, 0700) == 0);
}

/* Up to the next bar, which stands in no such file. */
static void write_file(const char *name, const char **text)
{
    size_t size = strcspn(*text, "|");
    char path[128];
    int CF_CLOSE fd = -1;

    group_path(path, sizeof(path), name);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    FUZZ_REQUIRE(fd >= 0 && write(fd, *text, size) == (ssize_t)size);
    *text += size + ((*text)[size] == '|');
}

/* Membership, limit, use, statistics. */
static void read_group(const char *text, size_t first)
{
    char path[128];

    make_root();
    for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++) {
        if (i == 4)
            continue;
        group_path(path, sizeof(path), names[i]);
        unlink(path);
    }
    write_file(names[0], &text);
    for (size_t i = first; i < first + 3; i++)
        write_file(names[i], &text);
    group_path(path, sizeof(path), names[0]);
    cf_cgroup_memory_left(path, root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const enum kind kind = size > 0 ? data[0] % KIND_COUNT : KIND_NAMES;
    size_t length = size > 0 ? size - 1 : 0;
    char *text = malloc(length + 1);

    FUZZ_REQUIRE(text);
    if (length > 0)
        memcpy(text, data + 1, length);
    text[length] = '\0';
    if (kind == KIND_NAMES)
        read_names(text);
    else if (kind == KIND_DIRECTORY)
        read_directory(text);
    else
        read_group(text, kind == KIND_GROUP_1 ? 5 : 1);
    free(text);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const struct {
        enum kind kind;
        const char *text;
    } seeds[] = {
        {KIND_NAMES, "cam-1_b"},
        {KIND_NAMES, "cam.sock"},
        {KIND_NAMES, "reader: one"},
        {KIND_NAMES, "nv12"},
        {KIND_NAMES, "GPU-00112233-4455-6677-8899-aabbccddeeff"},
        {KIND_DIRECTORY, "/run/cuframes"},
        {KIND_DIRECTORY, "relative/directory/"},
        {KIND_GROUP_1, "11:cpu,memory:/\n3:cpu:/|4096000|4096|cache 5\ntotal_inactive_file 4096\n"},
        {KIND_GROUP_1, "2:memory:/a/b\n|9223372036854771712|0|"},
        {KIND_GROUP_2, "0::/\n|max|4096|anon 3\n"},
        {KIND_GROUP_2, "0::/x/y\n|4096000|5000000|anon 3\ninactive_file 18446744073709551615\n"},
    };
    size_t length;

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    length = strlen(seeds[index].text);
    data[0] = (uint8_t)seeds[index].kind;
    memcpy(data + 1, seeds[index].text, length);
    return 1 + length;
}
