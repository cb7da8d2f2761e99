/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys and names, and which runtime directory is used and which is refused.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/harness.h"
#include "harness/limits.h"
#include "harness/peer.h"
#include "wire/endpoint.h"

static mode_t mode_of(const char *path)
{
    struct stat st;

    CHECK_SYS(lstat(path, &st));
    return st.st_mode & 07777;
}

/* Keys and names. */

TEST(keys_are_of_their_characters)
{
    const char *good[] = {"a",
                          "Z",
                          "0",
                          "_",
                          "-",
                          "cam-1_B",
                          "012345678901234567890123456789012345678901234567890123456789012"};
    const char *bad[] = {"",  "/",   "a/b",         ".",   "..",  "a.b",
                         " ", "a b", "caf\xc3\xa9", "a\n", "\x1b"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK_OK(cf_key_check(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_ERR_SAYS(cf_key_check(bad[i]), CUFRAMES_ERR_INVALID_ARG, "key");
    CHECK_ERR_SAYS(cf_key_check("a/b"), CUFRAMES_ERR_INVALID_ARG, "'/' at position 2");
    CHECK_ERR_SAYS(cf_key_check("a\x1b"), CUFRAMES_ERR_INVALID_ARG, "0x1b at position 2");
    CHECK_ERR_SAYS(cf_key_check(""), CUFRAMES_ERR_INVALID_ARG, "empty");
    CHECK_ERR_SAYS(cf_key_check(NULL), CUFRAMES_ERR_INVALID_ARG, "NULL");
    CHECK_ERR_SAYS(cf_key_check("0123456789012345678901234567890123456789012345678901234567890123"),
                   CUFRAMES_ERR_INVALID_ARG, "longer than 63");
}

TEST(names_are_printable)
{
    CHECK_OK(cf_name_check("detector:1/left!~"));
    CHECK_ERR_SAYS(cf_name_check("two words"), CUFRAMES_ERR_INVALID_ARG, "position 4");
    CHECK_ERR(cf_name_check("tab\t"), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cf_name_check("\x7f"), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cf_name_check("\xff"), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cf_name_check(""), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cf_name_check(NULL), CUFRAMES_ERR_INVALID_ARG);
}

/* The runtime directory. */

static void check_resolves(const char *given, const char *expected)
{
    char path[CF_RUNTIME_DIR_SIZE];

    CHECK_OK(cf_runtime_dir_resolve(given, path));
    CHECK_STR_EQ(path, expected);
}

TEST(directory_is_what_was_given_then_the_variable)
{
    check_resolves("/some/where", "/some/where");
    check_resolves("/some/where///", "/some/where");
    check_resolves("/", "/");
    check_resolves("near/by", "near/by");
    check_resolves(NULL, test_runtime_dir());
    setenv("CUFRAMES_RUNTIME_DIR", "/other/", 1);
    check_resolves(NULL, "/other");
}

static void resolve_as_user(struct test_peer *test, void *argument)
{
    char path[CF_RUNTIME_DIR_SIZE], fallback[64];
    const uid_t uid = 54321;

    (void)argument;
    test_become(uid);
    unsetenv("CUFRAMES_RUNTIME_DIR");
    setenv("XDG_RUNTIME_DIR", "/run/user/54321", 1);
    check_resolves(NULL, "/run/user/54321/cuframes");
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    snprintf(fallback, sizeof(fallback), "/tmp/cuframes-%u", (unsigned)uid);
    check_resolves(NULL, fallback);
    setenv("CUFRAMES_RUNTIME_DIR", "", 1);
    unsetenv("XDG_RUNTIME_DIR");
    check_resolves(NULL, fallback);
    /* Somebody else was there first. */
    test_say(test, 1);
    CHECK_HEAR(test, 2);
    CHECK_ERR_SAYS(cf_runtime_dir_resolve(NULL, path), CUFRAMES_ERR_PERMISSION, "uid 0 made it");
}

TEST(directory_without_variable_is_the_users)
{
    const char *trap = "/tmp/cuframes-54321";
    struct test_peer peer;
    struct stat st;

    test_need_root();
    /* A /run without /run/cuframes, in which only root can make it. */
    test_mount_small("/run", 65536);
    CHECK_SYS(chmod("/run", 0755));
    if (lstat(trap, &st) == 0)
        SKIP("%s exists on this machine", trap);
    test_spawn(&peer, resolve_as_user, NULL, NULL);
    CHECK_HEAR(&peer, 1);
    CHECK_SYS(mkdir(trap, 0777));
    test_say(&peer, 2);
    test_join(&peer);
    CHECK_SYS(rmdir(trap));
}

TEST(directory_that_is_too_long_is_refused_with_the_limit)
{
    char given[5000], path[CF_RUNTIME_DIR_SIZE] = "untouched";

    memset(given, 'd', sizeof(given));
    given[0] = '/';
    given[100] = '\0';
    check_resolves(given, given);
    given[100] = 'd';
    given[101] = '\0';
    CHECK_ERR_SAYS(cf_runtime_dir_resolve(given, path), CUFRAMES_ERR_INVALID_ARG, "100 bytes");
    given[101] = 'd';
    given[sizeof(given) - 1] = '\0';
    CHECK_ERR_SAYS(cf_runtime_dir_resolve(given, path), CUFRAMES_ERR_INVALID_ARG, "100 bytes");
    CHECK_ERR_SAYS(cf_runtime_dir_resolve("", path), CUFRAMES_ERR_INVALID_ARG, "empty");
    CHECK_STR_EQ(path, "untouched");
}

TEST(directory_is_made_with_its_mode)
{
    const char *path = test_runtime_path("new");

    umask(0177);
    CHECK_OK(cf_runtime_dir_ensure(path));
    /* The harness has its directories in /tmp. */
    CHECK_EQ(mode_of(path), strncmp(path, "/tmp/", 5) == 0 ? 0700 : 0755);
    CHECK_OK(cf_runtime_dir_ensure(path));
    CHECK_SYS(chmod(path, 01777));
    CHECK_OK(cf_runtime_dir_ensure(path));
    CHECK_SYS(chmod(path, 0770));
    CHECK_OK(cf_runtime_dir_ensure(path));
    CHECK_SYS(rmdir(path));
}

TEST(directory_that_cannot_be_trusted_is_refused)
{
    char real[200];

    snprintf(real, sizeof(real), "%s", test_runtime_path("real"));
    CHECK_SYS(mkdir(real, 0700));
    CHECK_SYS(chmod(real, 0777));
    CHECK_ERR_SAYS(cf_runtime_dir_ensure(real), CUFRAMES_ERR_PERMISSION, "chmod o-w");
    CHECK_SYS(chmod(real, 0700));
    CHECK_SYS(symlink(real, test_runtime_path("link")));
    CHECK_ERR_SAYS(cf_runtime_dir_ensure(test_runtime_path("link")), CUFRAMES_ERR_PERMISSION,
                   "symbolic link");
    CHECK_SYS(unlink(test_runtime_path("link")));
    CHECK_SYS(rmdir(real));
    close(CHECK_SYS(open(test_runtime_path("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    CHECK_ERR_SAYS(cf_runtime_dir_ensure(test_runtime_path("file")), CUFRAMES_ERR_IO,
                   "not a directory");
    CHECK_ERR(cf_runtime_dir_ensure(test_runtime_path("file/sub")), CUFRAMES_ERR_IO);
    CHECK_SYS(unlink(test_runtime_path("file")));
    CHECK_ERR_SAYS(cf_runtime_dir_ensure(test_runtime_path("no/where")), CUFRAMES_ERR_IO,
                   "cannot make");
}

static void ensure_as_user(struct test_peer *test, void *argument)
{
    const char *dir = argument;
    char below[200];

    test_become(54321);
    snprintf(below, sizeof(below), "%s/below", dir);
    test_say(test, 1);
    CHECK_HEAR(test, 2); /* root's, 0755 */
    CHECK_ERR_SAYS(cf_runtime_dir_ensure(dir), CUFRAMES_ERR_PERMISSION, "uid 0 owns it");
    CHECK_ERR_SAYS(cf_runtime_dir_ensure(below), CUFRAMES_ERR_PERMISSION, "CUFRAMES_RUNTIME_DIR");
    test_say(test, 3);
    CHECK_HEAR(test, 4); /* another user's */
    CHECK_ERR_SAYS(cf_runtime_dir_ensure(dir), CUFRAMES_ERR_PERMISSION, "belongs to uid 54322");
    test_say(test, 5);
    CHECK_HEAR(test, 6); /* this user's */
    CHECK_OK(cf_runtime_dir_ensure(dir));
}

TEST(directory_of_another_user_is_refused)
{
    char dir[200];
    struct test_peer peer;

    test_need_root();
    /* Not in the runtime directory, which only root may enter. */
    snprintf(dir, sizeof(dir), "/tmp/cuframes-test-XXXXXX");
    CHECK(mkdtemp(dir));
    CHECK_SYS(chmod(dir, 0755));
    test_spawn(&peer, ensure_as_user, dir, NULL);
    CHECK_HEAR(&peer, 1);
    test_say(&peer, 2);
    CHECK_HEAR(&peer, 3);
    CHECK_SYS(chown(dir, 54322, 54322));
    test_say(&peer, 4);
    CHECK_HEAR(&peer, 5);
    CHECK_SYS(chown(dir, 54321, 54321));
    test_say(&peer, 6);
    test_join(&peer);
    CHECK_SYS(rmdir(dir));
}
