/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sealed shared memory, the frame memory made of it, and the descriptor helpers: what is refused,
 * what is enforced, and that nothing leaks when a step fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/shm.h"
#include "harness/fault.h"
#include "harness/harness.h"
#include "harness/resources.h"
#include "memory/kinds.h"

#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static int make_memfd(size_t size, int seals)
{
    int fd = CHECK_SYS(memfd_create("cuframes-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));

    CHECK_SYS(ftruncate(fd, (off_t)size));
    if (seals)
        CHECK_SYS(fcntl(fd, F_ADD_SEALS, seals));
    return fd;
}

TEST(created_memory_is_zeroed_sealed_and_reserved)
{
    int CF_CLOSE fd = -1;
    struct cf_map map = {0};
    struct stat st;

    CHECK_OK(cf_shm_create("cuframes-test", 5000, CF_SHM_MAKER_WRITES, &fd, &map));
    CHECK_EQ(map.size, 8192U);
    for (size_t i = 0; i < map.size; i++)
        CHECK_EQ(((uint8_t *)map.addr)[i], 0);
    CHECK_EQ(fcntl(fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_SYS(fstat(fd, &st));
    CHECK_EQ(st.st_size, 8192);
    CHECK_GE(st.st_blocks * 512, 8192);
    cf_map_release(&map);
    CHECK(!map.addr);
    cf_map_release(&map);
}

TEST(attached_memory_is_the_same_memory)
{
    int CF_CLOSE fd = -1;
    struct cf_map ours, theirs;

    CHECK_OK(cf_shm_create("cuframes-test", 4096, CF_SHM_MAKER_WRITES, &fd, &ours));
    CHECK_OK(cf_shm_attach("it", fd, 4096, CF_SHM_MAKER_WRITES, &theirs));
    strcpy(ours.addr, "written after the seal");
    CHECK_STR_EQ((char *)theirs.addr, "written after the seal");
    cf_map_release(&ours);
    CHECK_STR_EQ((char *)theirs.addr, "written after the seal");
    cf_map_release(&theirs);
}

/* Signal that ends a child which writes one byte at `address`; 0 if it lives. */
static int signal_of_write(volatile uint8_t *address)
{
    pid_t pid = CHECK_SYS(fork());
    int status;

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would turn it into an exit */
        *address = 1;
        _exit(0);
    }
    CHECK_SYS(waitpid(pid, &status, 0));
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(readers_map_cannot_be_written)
{
    int CF_CLOSE fd = -1;
    struct cf_map ours, theirs;

    CHECK_OK(cf_shm_create("cuframes-test", 4096, CF_SHM_MAKER_WRITES, &fd, &ours));
    CHECK_OK(cf_shm_attach("it", fd, 4096, CF_SHM_MAKER_WRITES, &theirs));
    CHECK_EQ(signal_of_write(theirs.addr), SIGSEGV);
    CHECK_EQ(signal_of_write(ours.addr), 0);
    CHECK_EQ(mprotect(theirs.addr, theirs.size, PROT_READ | PROT_WRITE), -1);
    cf_map_release(&ours);
    cf_map_release(&theirs);
}

/* Every other way to change memory behind a descriptor that its maker sealed. */
static void check_unchangeable(int fd)
{
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(pwrite(fd, "x", 1, 0), -1);
    CHECK_EQ(ftruncate(fd, 0), -1);
    CHECK_EQ(ftruncate(fd, 1 << 20), -1);
    CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

TEST(sealed_memory_cannot_be_changed_by_any_descriptor)
{
    int CF_CLOSE fd = -1, CF_CLOSE again = -1;
    struct cf_map map;
    char path[64];

    CHECK_OK(cf_shm_create("cuframes-test", 4096, CF_SHM_MAKER_WRITES, &fd, &map));
    check_unchangeable(fd);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = CHECK_SYS(open(path, O_RDWR | O_CLOEXEC));
    check_unchangeable(again);
    cf_map_release(&map);
}

TEST(peer_written_memory_is_writable_but_of_fixed_size)
{
    int CF_CLOSE fd = -1;
    struct cf_map ours, theirs;

    CHECK_OK(cf_shm_create("cuframes-test", 4096, CF_SHM_PEER_WRITES, &fd, &ours));
    CHECK_OK(cf_shm_attach("it", fd, 4096, CF_SHM_PEER_WRITES, &theirs));
    *(uint32_t *)theirs.addr = 42;
    CHECK_EQ(*(uint32_t *)ours.addr, 42U);
    CHECK_EQ(ftruncate(fd, 0), -1);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(ftruncate(fd, 8192), -1);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    cf_map_release(&ours);
    cf_map_release(&theirs);
}

TEST(memory_without_each_seal_is_refused)
{
    static const int needed[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE};
    struct cf_map map = {0};

    for (size_t i = 0; i < 3; i++) {
        int CF_CLOSE fd = make_memfd(4096, ALL_SEALS & ~F_SEAL_SEAL & ~needed[i]);

        CHECK_ERR_SAYS(cf_shm_attach("test memory", fd, 4096, CF_SHM_MAKER_WRITES, &map),
                       CUFRAMES_ERR_PROTOCOL, "test memory is not sealed");
        CHECK(!map.addr);
    }
    int CF_CLOSE fd = make_memfd(4096, F_SEAL_GROW);

    CHECK_ERR_SAYS(cf_shm_attach("test memory", fd, 4096, CF_SHM_PEER_WRITES, &map),
                   CUFRAMES_ERR_PROTOCOL, "not sealed");
}

TEST(memory_that_is_too_small_is_refused)
{
    int CF_CLOSE fd = make_memfd(4096, ALL_SEALS & ~F_SEAL_SEAL);
    struct cf_map map = {0};

    CHECK_ERR_SAYS(cf_shm_attach("test memory", fd, 4097, CF_SHM_MAKER_WRITES, &map),
                   CUFRAMES_ERR_PROTOCOL, "smaller");
    CHECK_ERR(cf_shm_attach("test memory", fd, SIZE_MAX, CF_SHM_MAKER_WRITES, &map),
              CUFRAMES_ERR_PROTOCOL);
    CHECK_ERR(cf_shm_attach("test memory", fd, SIZE_MAX - 4096, CF_SHM_MAKER_WRITES, &map),
              CUFRAMES_ERR_PROTOCOL);
    CHECK_ERR(cf_shm_attach("test memory", fd, 0, CF_SHM_MAKER_WRITES, &map),
              CUFRAMES_ERR_PROTOCOL);
    CHECK(!map.addr);
}

TEST(descriptors_that_are_no_memory_are_refused)
{
    struct cf_map map = {0};
    int CF_CLOSE null = CHECK_SYS(open("/dev/null", O_RDWR | O_CLOEXEC));
    int CF_CLOSE event = CHECK_SYS(eventfd(0, EFD_CLOEXEC));
    int CF_CLOSE sock = CHECK_SYS(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int CF_CLOSE dir = CHECK_SYS(open("/", O_RDONLY | O_CLOEXEC));
    int fds[] = {null, event, sock, dir, -1, 9999};

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        CHECK_ERR(cf_shm_attach("test memory", fds[i], 4096, CF_SHM_PEER_WRITES, &map),
                  CUFRAMES_ERR_PROTOCOL);
}

/* A group of processes can be without a right to them: then the first look would be a SIGBUS. */
TEST(huge_pages_are_refused)
{
    int CF_CLOSE fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    struct cf_map map = {0};

    if (fd < 0)
        SKIP("this kernel has no huge pages");
    CHECK_SYS(ftruncate(fd, 2 << 20));
    CHECK_SYS(
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL));
    CHECK_ERR_SAYS(cf_shm_attach("memory", fd, 4096, CF_SHM_MAKER_WRITES, &map),
                   CUFRAMES_ERR_PROTOCOL, "huge pages");
    CHECK(!map.addr);
}

TEST(impossible_sizes_are_an_error_and_leave_nothing)
{
    struct test_resources before;
    int fd = -1;
    struct cf_map map = {0};

    test_resources_take(&before);
    CHECK_NE(cf_shm_create("cuframes-test", SIZE_MAX, CF_SHM_MAKER_WRITES, &fd, &map), 0);
    CHECK_NE(cf_shm_create("cuframes-test", SIZE_MAX / 2, CF_SHM_MAKER_WRITES, &fd, &map), 0);
    CHECK_NE(cf_shm_create("cuframes-test", 0, CF_SHM_MAKER_WRITES, &fd, &map), 0);
    CHECK_EQ(fd, -1);
    CHECK(!map.addr);
    CHECK_NO_LEAK(&before, "after impossible sizes");
    test_resources_free(&before);
}

TEST(more_memory_than_there_is_is_not_even_tried)
{
    static const size_t sizes[] = {(size_t)1 << 45, (size_t)1 << 42, (size_t)1 << 40};
    struct cf_map map = {0};
    int fd = -1;

    test_fault_install();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        /* Whatever the check says, this test reserves nothing: that would end other programs. */
        test_fault_arm(TEST_FAULT_FALLOCATE, 1, ENOSPC);
        CHECK_ERR_SAYS(cf_shm_create("cuframes-test", sizes[i], CF_SHM_MAKER_WRITES, &fd, &map),
                       CUFRAMES_ERR_OUT_OF_MEMORY, "fewer slots");
        CHECK_EQ(test_fault_calls(TEST_FAULT_FALLOCATE), 0U);
        CHECK(!test_fault_disarm());
    }
    CHECK_EQ(fd, -1);
}

static void check_failing_step(enum test_fault call, int errnum, int error)
{
    struct test_resources before;
    struct cf_memory *memory = NULL;

    test_resources_take(&before);
    test_fault_arm(call, 1, errnum);
    CHECK_ERR(cf_host_create(100000, &memory), error);
    CHECK(test_fault_disarm());
    CHECK(!memory);
    CHECK(*cuframes_last_error() != '\0');
    CHECK_NO_LEAK(&before, test_fault_name(call));
    test_resources_free(&before);
}

TEST(each_failing_step_of_creating_is_reported_and_leaves_nothing)
{
    test_fault_install();
    check_failing_step(TEST_FAULT_CALLOC, ENOMEM, CUFRAMES_ERR_OUT_OF_MEMORY);
    check_failing_step(TEST_FAULT_MEMFD_CREATE, EMFILE, CUFRAMES_ERR_TOO_MANY);
    check_failing_step(TEST_FAULT_MEMFD_CREATE, ENOMEM, CUFRAMES_ERR_OUT_OF_MEMORY);
    check_failing_step(TEST_FAULT_FALLOCATE, ENOSPC, CUFRAMES_ERR_OUT_OF_MEMORY);
    check_failing_step(TEST_FAULT_MMAP, ENOMEM, CUFRAMES_ERR_OUT_OF_MEMORY);
    check_failing_step(TEST_FAULT_ADD_SEALS, EPERM, CUFRAMES_ERR_PERMISSION);
}

TEST(old_kernels_and_signals_are_no_error)
{
    struct cf_memory *memory = NULL;

    test_fault_install();
    /* Linux before 6.3 refuses MFD_NOEXEC_SEAL with EINVAL. */
    test_fault_arm(TEST_FAULT_MEMFD_CREATE, 1, EINVAL);
    CHECK_OK(cf_host_create(4096, &memory));
    CHECK(test_fault_disarm());
    cf_memory_destroy(memory);
    test_fault_arm(TEST_FAULT_FALLOCATE, 1, EINTR);
    CHECK_OK(cf_host_create(4096, &memory));
    CHECK(test_fault_disarm());
    cf_memory_destroy(memory);
}

TEST(frame_memory_is_imported_read_only)
{
    struct cf_memory *ours, *theirs;

    CHECK_OK(cf_host_create(10000, &ours));
    CHECK_GE(ours->size, 10000U);
    CHECK_OK(cf_host_import(ours->fd, 10000, &theirs));
    CHECK_EQ(theirs->fd, -1);
    memset(ours->base, 7, ours->size);
    CHECK_MEM_EQ(ours->base, theirs->base, ours->size);
    CHECK_EQ(signal_of_write(theirs->base), SIGSEGV);
    cf_memory_destroy(ours);
    CHECK_EQ(((uint8_t *)theirs->base)[9999], 7);
    cf_memory_destroy(theirs);
    cf_memory_destroy(NULL);
}

TEST(each_failing_step_of_importing_leaves_nothing)
{
    static const enum test_fault calls[] = {TEST_FAULT_CALLOC, TEST_FAULT_GET_SEALS,
                                            TEST_FAULT_MMAP};
    struct cf_memory *ours, *theirs = NULL;
    struct test_resources before;

    test_fault_install();
    CHECK_OK(cf_host_create(10000, &ours));
    test_resources_take(&before);
    for (size_t i = 0; i < 3; i++) {
        test_fault_arm(calls[i], 1, 0);
        CHECK_NE(cf_host_import(ours->fd, 10000, &theirs), CUFRAMES_OK);
        CHECK(test_fault_disarm());
        CHECK(!theirs);
        CHECK_NO_LEAK(&before, test_fault_name(calls[i]));
    }
    test_resources_free(&before);
    cf_memory_destroy(ours);
}

TEST(kinds_of_memory)
{
    struct cf_memory_place place = {0};

    CHECK_OK(cf_memory_choose(CUFRAMES_MEMORY_HOST, 0, NULL, &place));
    CHECK_EQ(place.memory, CUFRAMES_MEMORY_HOST);
    CHECK(!place.cuda);
    CHECK_ERR_SAYS(cf_memory_choose((cuframes_memory_t)17, 0, NULL, &place),
                   CUFRAMES_ERR_INVALID_ARG, "17");
}

TEST(closing_keeps_errno_and_clears_the_number)
{
    int fd = CHECK_SYS(open("/dev/null", O_RDONLY | O_CLOEXEC));

    errno = ENOTTY;
    cf_close(&fd);
    CHECK_EQ(fd, -1);
    cf_close(&fd);
    CHECK_EQ(errno, ENOTTY);
}
