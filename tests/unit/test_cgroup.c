/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits of control groups: both versions in folders made by hand, and a real one where this
 * process may make it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/shm.h"
#include "harness/harness.h"
#include "harness/peer.h"

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    CHECK(file);
    CHECK_GE(fputs(text, file), 0);
    CHECK_EQ(fclose(file), 0);
}

/* The text into a file below the test's folder, with the folders above it. */
static void lay(const char *name, const char *text)
{
    char path[512];

    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof(path), "%s/%.*s", test_runtime_dir(), (int)(slash - name), name);
        mkdir(path, 0700);
    }
    write_file(test_runtime_path(name), text);
}

static uint64_t left(const char *membership)
{
    char self[512], root[512];

    lay("self", membership);
    snprintf(self, sizeof(self), "%s", test_runtime_path("self"));
    snprintf(root, sizeof(root), "%s", test_runtime_path("fs"));
    test_may_remain("self");
    test_may_remain("fs");
    return cf_cgroup_memory_left(self, root);
}

TEST(version_2_the_tightest_level_counts)
{
    lay("fs/memory.max", "max\n");
    lay("fs/a/memory.max", "1000000\n");
    lay("fs/a/memory.current", "400000\n");
    lay("fs/a/b/memory.max", "5000000\n");
    lay("fs/a/b/memory.current", "100000\n");
    CHECK_EQ(left("0::/a/b\n"), 600000U);
    CHECK_EQ(left("0::/a\n"), 600000U);
    CHECK_EQ(left("0::/\n"), UINT64_MAX);
    lay("fs/a/memory.stat", "anon 7\ninactive_file 150000\nactive_file 9\n");
    CHECK_EQ(left("0::/a/b\n"), 750000U);
    lay("fs/a/memory.current", "2000000\n");
    CHECK_EQ(left("0::/a/b\n"), 0U);
}

TEST(version_1_beside_version_2)
{
    lay("fs/memory/memory.limit_in_bytes", "9223372036854771712\n");
    lay("fs/memory/x/memory.limit_in_bytes", "3000000\n");
    lay("fs/memory/x/memory.usage_in_bytes", "1000000\n");
    CHECK_EQ(left("5:cpu,cpuacct:/\n4:memory:/x\n0::/\n"), 2000000U);
    CHECK_EQ(left("4:hugetlb,memory:/x\n"), 2000000U);
    CHECK_EQ(left("4:memory:/\n"), UINT64_MAX);
    /* In a container: a path of the host, and the container's own group in the place of the root. */
    lay("fs/memory/memory.limit_in_bytes", "800000\n");
    lay("fs/memory/memory.usage_in_bytes", "300000\n");
    CHECK_EQ(left("4:memory:/docker/123\n"), 500000U);
}

TEST(what_cannot_be_read_is_no_limit)
{
    CHECK_EQ(cf_cgroup_memory_left("/nowhere/cgroup", "/nowhere"), UINT64_MAX);
    CHECK_EQ(left("nonsense\n\n:\n0::/gone\n"), UINT64_MAX);
    CHECK_EQ(left(""), UINT64_MAX);
}

/* Joins the group, asks for more than it allows, then for what it allows. */
static void live_in_a_group(struct test_peer *test, void *argument)
{
    const char *group = argument;
    char path[512], text[32];
    struct cf_map map;
    int fd = -1;

    (void)test;
    snprintf(path, sizeof(path), "%s/cgroup.procs", group);
    snprintf(text, sizeof(text), "%d", (int)getpid());
    write_file(path, text);
    CHECK_ERR_SAYS(cf_shm_create("test", 24 << 20, CF_SHM_MAKER_WRITES, &fd, &map),
                   CUFRAMES_ERR_OUT_OF_MEMORY, "limit of this process");
    CHECK_EQ(fd, -1);
    CHECK_OK(cf_shm_create("test", 4 << 20, CF_SHM_MAKER_WRITES, &fd, &map));
    memset(map.addr, 1, map.size);
    cf_map_release(&map);
    close(fd);
}

/* This process's group of version 1 or 2 with memory under control. */
static bool own_group(char *group, size_t size, const char **limit)
{
    char line[512], *path;
    FILE *file = fopen("/proc/self/cgroup", "re");
    bool found = false;

    CHECK(file);
    while (!found && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        path = strrchr(line, ':') + 1;
        *limit = strstr(line, ":memory:") ? "memory.limit_in_bytes" : "memory.max";
        snprintf(group, size, "/sys/fs/cgroup%s%s", strstr(line, ":memory:") ? "/memory" : "",
                 path);
        found = strstr(line, ":memory:") || strncmp(line, "0::", 3) == 0;
    }
    fclose(file);
    return found;
}

TEST(real_limit_is_kept)
{
    char group[512], file[640];
    const char *limit;
    struct test_peer peer;

    if (!own_group(group, sizeof(group) - 64, &limit))
        SKIP("no control groups here");
    snprintf(group + strlen(group), 64, "/cuframes-test-%d", (int)getpid());
    if (mkdir(group, 0755) != 0)
        SKIP("this process may not make control groups: %m");
    snprintf(file, sizeof(file), "%s/%s", group, limit);
    if (access(file, W_OK) != 0) {
        CHECK_SYS(rmdir(group));
        SKIP("memory is not under control of these groups");
    }
    write_file(file, "16777216");
    test_spawn(&peer, live_in_a_group, group, NULL);
    test_join(&peer);
    WAIT_FOR(rmdir(group) == 0, 5000);
}
