/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file broker.hpp
 * The calls of a KittensBroker over a group: for programs with one process per GPU that use such
 * a broker, and want timeouts, errors instead of hangs, names of their own, and more than a few
 * bytes a rank. A program changes its include and its namespace; the class, its calls, and who
 * owns which descriptor stay as they are. Header-only, C++17.
 */
#ifndef CUFRAMES_BROKER_HPP
#define CUFRAMES_BROKER_HPP

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <cuframes/group.h>

namespace cuframes
{

/**
 * A rank among the processes of one host. Every call is collective (see group.h) and throws
 * std::runtime_error with the reason when it fails: a rank died, left, or did not come in time.
 * Move-only; one thread at a time.
 */
class KittensBroker
{
  public:
    /** How long a call waits for the other ranks unless another timeout is given. */
    static constexpr int default_timeout_ms = 60000;

    /**
     * Meets the other local_world_size - 1 processes. `name` keeps jobs apart; empty = the
     * connection in $CUFRAMES_GROUP_FD (set by `cuframes group`), else the name in
     * $CUFRAMES_GROUP_NAME, else one made of the launcher's job number ($TORCHELASTIC_RUN_ID,
     * $SLURM_JOB_ID, $OMPI_MCA_ess_base_jobid, $PMIX_NAMESPACE), else "broker".
     */
    KittensBroker(int local_rank, int local_world_size, const std::string &name = "",
                  int timeout_ms = default_timeout_ms)
        : timeout_ms_(timeout_ms)
    {
        const std::string group_name = name.empty() ? job_name() : name;
        const char *fd = std::getenv("CUFRAMES_GROUP_FD");
        cuframes_group_config_t config = {};

        config.name = group_name.c_str();
        config.rank = local_rank;
        config.size = local_world_size;
        config.timeout_ms = timeout_ms;
        if (local_rank < 0)
            throw std::runtime_error("KittensBroker: the local rank must not be negative");
        if (name.empty() && fd && *fd) {
            const int connection = std::atoi(fd);

            /* The connection serves one group: another broker of this process needs a name. */
            ::unsetenv("CUFRAMES_GROUP_FD");
            check(cuframes_group_create_from_fd(&config, connection, &group_));
        } else {
            check(cuframes_group_create(&config, &group_));
        }
    }

    KittensBroker(const KittensBroker &) = delete;
    KittensBroker &operator=(const KittensBroker &) = delete;

    /** Takes the group of the other one over. */
    KittensBroker(KittensBroker &&other) noexcept
        : group_(std::exchange(other.group_, nullptr)), timeout_ms_(other.timeout_ms_)
    {
    }

    /** Leaves its own group and takes that of the other one over. */
    KittensBroker &operator=(KittensBroker &&other) noexcept
    {
        if (this != &other) {
            destroy();
            group_ = std::exchange(other.group_, nullptr);
            timeout_ms_ = other.timeout_ms_;
        }
        return *this;
    }

    ~KittensBroker()
    {
        destroy();
    }

    /** Leaves the group. */
    void destroy() noexcept
    {
        cuframes_group_destroy(std::exchange(group_, nullptr));
    }

    /** Waits until the first `num_ranks` ranks (-1 = all) are here; the others must not call it. */
    void sync(int num_ranks = -1)
    {
        if (num_ranks == 0 || num_ranks < -1)
            throw std::runtime_error("KittensBroker: invalid number of ranks");
        check(cuframes_group_barrier(group_, num_ranks == -1 ? 0 : num_ranks, timeout_ms_));
    }

    /** Gives `size` bytes at `src`; `dst` receives those of all ranks, in their order. */
    void exchange_data(void *dst, const void *src, std::size_t size)
    {
        check(cuframes_group_all_gather(group_, src, size, dst, timeout_ms_));
    }

    /**
     * Gives the descriptor `data_fd`, which is closed here. `dst` has room for one for each rank
     * and receives the others', owned by the caller; its entry for this rank is -1.
     */
    void exchange_fds(int *dst, int data_fd)
    {
        const Closer closer{data_fd};
        const int rank = cuframes_group_rank(group_);
        const int size = cuframes_group_size(group_);

        if (!dst || data_fd < 0)
            throw std::runtime_error("KittensBroker: exchange_fds() needs room and a descriptor");
        check(size);
        std::vector<int> all(static_cast<std::size_t>(size), -1);
        check(cuframes_group_all_gather_fds(group_, &data_fd, 1, all.data(),
                                            static_cast<std::uint32_t>(size), nullptr,
                                            timeout_ms_));
        ::close(all[static_cast<std::size_t>(rank)]);
        all[static_cast<std::size_t>(rank)] = -1;
        for (int i = 0; i < size; i++)
            dst[i] = all[static_cast<std::size_t>(i)];
    }

    /**
     * Sends `data_fd` of the rank `src_local_rank`, where it is closed, to all others, whose `dst`
     * receives a descriptor that they own. `dst` may be null in the sender, whose own is not
     * written; `data_fd` is not looked at elsewhere.
     */
    void broadcast_fd(int *dst, int data_fd, int src_local_rank)
    {
        const bool sends = cuframes_group_rank(group_) == src_local_rank;
        const Closer closer{sends ? data_fd : -1};
        int fd = sends ? data_fd : -1;

        if (sends ? data_fd < 0 : dst == nullptr)
            throw std::runtime_error("KittensBroker: broadcast_fd() needs a descriptor in the "
                                     "sender and room elsewhere");
        check(cuframes_group_broadcast_fds(group_, src_local_rank, &fd, 1, timeout_ms_));
        if (!sends)
            *dst = fd;
    }

    /** The group underneath, for what a broker has no call for. Stays the broker's. */
    cuframes_group_t *raw() const noexcept
    {
        return group_;
    }

  private:
    struct Closer {
        int fd;
        ~Closer()
        {
            if (fd >= 0)
                ::close(fd);
        }
    };

    static void check(int result)
    {
        if (result < 0)
            throw std::runtime_error(std::string("KittensBroker: ") + cuframes_last_error());
    }

    /* A name that the ranks of one job have in common. */
    static std::string job_name()
    {
        if (const char *name = std::getenv("CUFRAMES_GROUP_NAME"); name && *name)
            return name;
        for (const char *variable :
             {"TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE"})
            if (const char *job = std::getenv(variable); job && *job)
                return "broker-" + as_name(job);
        return "broker";
    }

    /* What a group's name may consist of. */
    static std::string as_name(const std::string &text)
    {
        std::string name;

        for (const char c : text.substr(0, CUFRAMES_GROUP_NAME_MAX - 7))
            name += std::isalnum(static_cast<unsigned char>(c)) || c == '-' ? c : '_';
        return name;
    }

    cuframes_group_t *group_ = nullptr;
    int timeout_ms_;
};

} // namespace cuframes

#endif
