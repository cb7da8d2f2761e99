// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A program with one process for each GPU that uses a KittensBroker, with its include and its
 * namespace changed. Its ranks come from the environment, or it starts four of itself.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cuframes/broker.hpp>

#include <fcntl.h>

using cuframes::KittensBroker;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            throw std::runtime_error("not true: " #condition);                                     \
    } while (0)

static int open_numbered(int number)
{
    const int fd = memfd_create("broker", MFD_CLOEXEC);

    CHECK(fd >= 0 && pwrite(fd, &number, sizeof(number), 0) == sizeof(number));
    return fd;
}

static int number_of(int fd)
{
    int number = -1;

    CHECK(pread(fd, &number, sizeof(number), 0) == sizeof(number));
    return number;
}

static void exchange_bytes(KittensBroker &broker, int rank, int size)
{
    std::vector<double> all(static_cast<std::size_t>(size) * 100);
    std::vector<double> mine(100, rank + 0.5);

    broker.exchange_data(all.data(), mine.data(), mine.size() * sizeof(double));
    for (int i = 0; i < size * 100; i++)
        CHECK(all[static_cast<std::size_t>(i)] == i / 100 + 0.5);
}

static void exchange_descriptors(KittensBroker &broker, int rank, int size)
{
    std::vector<int> fds(static_cast<std::size_t>(size), -2);
    const int own = open_numbered(100 + rank);

    broker.exchange_fds(fds.data(), own);
    for (int i = 0; i < size; i++) {
        const int fd = fds[static_cast<std::size_t>(i)];

        if (i == rank) {
            CHECK(fd == -1);
            continue;
        }
        CHECK(number_of(fd) == 100 + i);
        close(fd);
    }
    /* The broker has closed it. */
    CHECK(fcntl(own, F_GETFD) == -1);
}

static void broadcast_descriptors(KittensBroker &broker, int rank, int size)
{
    for (int root = 0; root < size; root++) {
        int received = -1;
        const int own = rank == root ? open_numbered(200 + root) : -1;

        broker.broadcast_fd(rank == root ? nullptr : &received, own, root);
        if (rank == root) {
            CHECK(fcntl(own, F_GETFD) == -1);
            continue;
        }
        CHECK(number_of(received) == 200 + root);
        close(received);
    }
}

static int run(int rank, int size, const char *name)
{
    try {
        KittensBroker first(rank, size, name, 20000);
        KittensBroker broker(std::move(first));

        for (int round = 0; round < 3; round++) {
            exchange_bytes(broker, rank, size);
            exchange_descriptors(broker, rank, size);
            broadcast_descriptors(broker, rank, size);
            if (rank < 2 && size > 1)
                broker.sync(2);
            broker.sync();
        }
        std::printf("rank %d of %d\n", rank, size);
        return 0;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "rank %d: %s\n", rank, e.what());
        return 1;
    }
}

static int run_four()
{
    int failed = 0;

    for (int rank = 0; rank < 4; rank++)
        if (fork() == 0) {
            /* Not exit(): what stdio holds is each process's own. */
            const int result = run(rank, 4, "broker-test");

            std::fflush(nullptr);
            _exit(result);
        }
    for (int rank = 0, status; rank < 4; rank++)
        failed += wait(&status) < 0 || status != 0;
    return failed ? 1 : 0;
}

int main()
{
    char dir[] = "/tmp/cuframes-broker-XXXXXX";

    if (const char *rank = std::getenv("LOCAL_RANK"))
        return run(std::atoi(rank), std::atoi(std::getenv("LOCAL_WORLD_SIZE")), "");
    if (!mkdtemp(dir))
        return 1;
    setenv("CUFRAMES_RUNTIME_DIR", dir, 1);
    const int failed = run_four();
    /* Not empty if a rank has left something. */
    return rmdir(dir) == 0 && !failed ? 0 : 1;
}
