/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ways to a directory: whose links are followed, whose directories are walked through, and where
 * the way leads meanwhile.
 */
#include "wire/path.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/harness.h"
#include "harness/limits.h"
#include "harness/peer.h"

static const char *in_dir(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s", test_runtime_path(name));
    return path;
}

static void make_dir(const char *name, mode_t mode, uid_t owner)
{
    const char *path = in_dir(name);

    CHECK_SYS(mkdir(path, 0700));
    CHECK_SYS(chmod(path, mode));
    if (owner != geteuid())
        CHECK_SYS(chown(path, owner, owner));
}

static void make_link(const char *words, const char *name, uid_t owner)
{
    CHECK_SYS(symlink(words, in_dir(name)));
    if (owner != geteuid())
        CHECK_SYS(lchown(in_dir(name), owner, owner));
}

static int check_way(const char *name, struct cf_path_stranger *stranger)
{
    *stranger = (struct cf_path_stranger){.met = false};
    return cf_path_check_way(in_dir(name), stranger);
}

static void expect_own(const char *name)
{
    struct cf_path_stranger stranger;

    CHECK_OK(check_way(name, &stranger));
    CHECK(!stranger.met);
}

static void expect_stranger(const char *name, uid_t uid)
{
    struct cf_path_stranger stranger;

    CHECK_OK(check_way(name, &stranger));
    CHECK(stranger.met);
    CHECK_EQ(stranger.uid, uid);
}

static void expect_refusal(const char *name, int error, const char *words)
{
    struct cf_path_stranger stranger;

    CHECK_ERR_SAYS(check_way(name, &stranger), error, words);
}

static void remove_all(const char *const names[])
{
    for (; *names; names++)
        CHECK_SYS(remove(in_dir(*names)));
}

TEST(own_links_are_followed_wherever_they_are)
{
    static const char *const names[] = {"a/b/up", "a/b/c", "a/b",  "a/there", "a",    "abs",
                                        "rel",    "again", "slow", "back",    "file", NULL};

    make_dir("a", 0700, geteuid());
    make_dir("a/b", 0755, geteuid());
    make_dir("a/b/c", 0777 | S_ISVTX, geteuid());
    make_link(in_dir("a"), "abs", geteuid());
    make_link("a/b", "rel", geteuid());
    make_link("abs", "again", geteuid());
    make_link("..//./..", "a/b/up", geteuid());
    make_link("b/c", "a/there", geteuid());
    make_link("again/b/up/rel", "slow", geteuid());
    make_link("a/b/c/../..", "back", geteuid());
    close(CHECK_SYS(open(in_dir("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    expect_own("x");
    expect_own("a/b/c/x");
    expect_own("abs/b/c/x");
    expect_own("rel/c/x");
    expect_own("again/there/x");
    expect_own("a//b/./up/abs/../rel/c/x");
    expect_own("slow/c/x");
    expect_own("back/there/x");
    expect_refusal("a/c/x", CUFRAMES_ERR_NOT_FOUND, "/a/c");
    expect_refusal("rel/b/x", CUFRAMES_ERR_NOT_FOUND, "/rel/b");
    expect_refusal("back/b/d/x", CUFRAMES_ERR_NOT_FOUND, "/b/d");
    expect_refusal("file/x", CUFRAMES_ERR_NOT_FOUND, "/file");
    remove_all(names);
}

TEST(links_that_lead_nowhere)
{
    static const char *const names[] = {"self", "ping", "pong", "lost", "grows", NULL};
    char far[4000];

    make_link("self", "self", geteuid());
    make_link("pong/x", "ping", geteuid());
    make_link("ping", "pong", geteuid());
    make_link("nobody/here", "lost", geteuid());
    memset(far, 'd', sizeof(far));
    far[sizeof(far) - 1] = '\0';
    for (size_t i = 200; i < sizeof(far) - 1; i += 200)
        far[i] = '/';
    make_link(far, "grows", geteuid());
    expect_refusal("self/x", CUFRAMES_ERR_IO, "symbolic links");
    expect_refusal("ping/x", CUFRAMES_ERR_IO, "symbolic links");
    expect_refusal("lost/x", CUFRAMES_ERR_NOT_FOUND, "/nobody");
    expect_refusal("grows/x", CUFRAMES_ERR_NOT_FOUND, "/ddd");
    remove_all(names);
}

TEST(ways_that_are_too_long)
{
    struct cf_path_stranger stranger = {.met = false};
    char path[5000];

    memset(path, '/', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    CHECK_ERR(cf_path_check_way(path, &stranger), CUFRAMES_ERR_IO);
    for (size_t i = 1; i < sizeof(path) - 1; i += 2)
        path[i] = '.';
    path[4000] = '\0';
    CHECK_OK(cf_path_check_way(path, &stranger));
    memset(path + 1, 'n', 300);
    CHECK_ERR(cf_path_check_way(path, &stranger), CUFRAMES_ERR_IO);
}

TEST(a_way_may_begin_here)
{
    struct cf_path_stranger stranger = {.met = false};

    make_dir("a", 0700, geteuid());
    CHECK_SYS(chdir(in_dir("a")));
    CHECK_OK(cf_path_check_way("x", &stranger));
    CHECK_OK(cf_path_check_way("../a/x", &stranger));
    CHECK_OK(cf_path_check_way("..", &stranger));
    CHECK_ERR_SAYS(cf_path_check_way("b/x", &stranger), CUFRAMES_ERR_NOT_FOUND, "./b");
    CHECK_SYS(chmod(".", 0707));
    CHECK_ERR_SAYS(cf_path_check_way("x", &stranger), CUFRAMES_ERR_PERMISSION, "chmod");
    CHECK(!stranger.met);
    CHECK_SYS(chdir("/"));
    CHECK_SYS(rmdir(in_dir("a")));
}

/* What the kernel shows in /proc as a link may lead to what has no name. */
TEST(links_of_the_kernel_lead_where_it_says)
{
    struct cf_path_stranger stranger = {.met = false};
    char path[64];
    int fd;

    make_dir("a", 0700, geteuid());
    fd = CHECK_SYS(open(in_dir("a"), O_PATH | O_CLOEXEC));
    snprintf(path, sizeof(path), "/proc/self/fd/%d/x", fd);
    CHECK_OK(cf_path_check_way(path, &stranger));
    CHECK_OK(cf_path_check_way("/proc/self/root/x", &stranger));
    CHECK_SYS(fchmodat(AT_FDCWD, in_dir("a"), 0777, 0));
    CHECK_ERR_SAYS(cf_path_check_way(path, &stranger), CUFRAMES_ERR_PERMISSION, "everybody");
    CHECK_SYS(rmdir(in_dir("a")));
    CHECK_OK(cf_path_check_way("/proc/self/fd/x", &stranger));
    CHECK_ERR_SAYS(cf_path_check_way("/proc/self/fd/9999/x", &stranger), CUFRAMES_ERR_NOT_FOUND,
                   "9999");
    close(fd);
}

TEST(directories_that_everybody_can_write)
{
    static const char *const names[] = {"open/in", "open", "link", NULL};

    make_dir("open", 0777, geteuid());
    make_dir("open/in", 0755, geteuid());
    make_link("open/in", "link", geteuid());
    expect_own("open");
    expect_refusal("open/x", CUFRAMES_ERR_PERMISSION, "chmod o-w");
    expect_refusal("open/in/x", CUFRAMES_ERR_PERMISSION, "/open/, which leads to");
    expect_refusal("link/x", CUFRAMES_ERR_PERMISSION, "chmod o-w");
    CHECK_SYS(chmod(in_dir("open"), 01777));
    expect_own("link/x");
    /* The administrator's choice. */
    CHECK_SYS(chmod(in_dir("open"), 0775));
    expect_own("link/x");
    remove_all(names);
}

TEST(links_and_directories_of_others)
{
    static const char *const names[] = {"a/his/hers", "a/his/link", "a/his", "a/theirs", "a", NULL};

    test_need_root();
    make_dir("a", 0755, 0);
    make_dir("a/his", 0755, 4711);
    make_dir("a/his/hers", 0755, 4712);
    make_link("his", "a/theirs", 4711);
    make_link("/", "a/his/link", 0);
    expect_own("a/his");
    expect_stranger("a/his/x", 4711);
    /* Even the one whose directory it leads to. */
    expect_refusal("a/theirs/x", CUFRAMES_ERR_PERMISSION, "symbolic link of uid 4711");
    expect_refusal("a/his/hers/x", CUFRAMES_ERR_PERMISSION, "belongs to uid 4712");
    expect_refusal("a/his/hers/../x", CUFRAMES_ERR_PERMISSION, "above it to uid 4711");
    /* It is his directory that the link is in. */
    expect_stranger("a/his/link/x", 4711);
    expect_stranger("a/his/../x", 4711);
    remove_all(names);
}

/* ---- users without a number ---- */

TEST(nobody_is_a_user_like_any_other)
{
    static const char *const names[] = {"his", "theirs", NULL};

    test_need_root();
    make_dir("his", 0755, 65534);
    make_link("/", "theirs", 65534);
    CHECK(!cf_user_is_trusted(65534));
    expect_stranger("his/x", 65534);
    expect_refusal("theirs/x", CUFRAMES_ERR_PERMISSION, "symbolic link of uid 65534");
    remove_all(names);
}

static void look_from_inside(struct test_peer *test, void *argument)
{
    struct cf_path_stranger stranger = {.met = false};
    struct stat st;
    int fd;

    (void)argument;
    test_become(4711);
    /* Whoever has changed its user cannot open what is its own in /proc. */
    prctl(PR_SET_DUMPABLE, 1);
    if (unshare(CLONE_NEWUSER) != 0) {
        test_say(test, 1);
        return;
    }
    fd = CHECK_SYS(open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC));
    CHECK_EQ(write(fd, "0 4711 1", 8), 8);
    close(fd);
    CHECK_SYS(stat("/", &st));
    CHECK_EQ(st.st_uid, 65534U);
    CHECK_OK(cf_path_check_way("/tmp/x", &stranger));
    CHECK_OK(cf_path_check_way(in_dir("link/x"), &stranger));
    CHECK(!stranger.met);
    CHECK(cf_user_is_trusted(65534));
    CHECK(!cf_user_is_trusted(4711));
    test_say(test, 0);
}

TEST(roots_directories_are_somebodys_in_a_user_namespace)
{
    static const char *const names[] = {"link", NULL};
    struct test_peer peer;
    bool made;

    test_need_root();
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    make_link("/", "link", 0);
    test_spawn(&peer, look_from_inside, NULL, NULL);
    made = test_hear(&peer) == 0;
    test_join(&peer);
    remove_all(names);
    if (!made)
        SKIP("no user namespaces for unprivileged users here");
}
