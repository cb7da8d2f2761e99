/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/sys.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
/* From this size on it is asked first whether the memory is there. */
#define LARGE_SIZE (UINT64_C(64) << 20)
/* The same for control groups, whose limits are smaller. */
#define LARGE_FOR_A_GROUP (UINT64_C(1) << 20)

static int wanted_seals(enum cf_shm_writer writer)
{
    switch (writer) {
    case CF_SHM_MAKER_WRITES:
        return SIZE_SEALS | F_SEAL_FUTURE_WRITE;
    case CF_SHM_NOBODY_WRITES:
        return SIZE_SEALS | F_SEAL_WRITE;
    default:
        return SIZE_SEALS;
    }
}

size_t cf_page_round(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

static int open_memfd(const char *name)
{
    unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = cf_sys.memfd_create(name, flags | MFD_NOEXEC_SEAL);

    /* Linux before 6.3 does not know MFD_NOEXEC_SEAL. */
    if (fd < 0 && errno == EINVAL)
        fd = cf_sys.memfd_create(name, flags);
    return fd;
}

/* Bytes that /proc/meminfo says can be had without harm to others, 0 if it cannot be read. */
static uint64_t available_memory(void)
{
    static const char label[] = "MemAvailable:";
    int CF_CLOSE fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    char text[1024];
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    const char *found;

    if (length <= 0)
        return 0;
    text[length] = '\0';
    found = strstr(text, label);
    return found ? strtoull(found + sizeof(label) - 1, NULL, 10) * 1024 : 0;
}

static uint64_t total_memory(void)
{
    struct sysinfo info;

    return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
}

/* What the process's container, or any other control group, allows. */
static int check_groups(size_t size)
{
    uint64_t left;

    if (size < LARGE_FOR_A_GROUP)
        return CUFRAMES_OK;
    left = cf_cgroup_memory_left("/proc/self/cgroup", "/sys/fs/cgroup");
    if (size <= left)
        return CUFRAMES_OK;
    return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY,
                   "%.1f MiB of shared memory are wanted and the memory limit of this process's "
                   "container or control group leaves %.1f MiB: raise the limit, or use fewer "
                   "slots or a smaller picture",
                   (double)size / 1048576, (double)left / 1048576);
}

/* Reserving more than there is does not fail: the kernel ends other programs to make room. So
 * what is plainly too much must not be tried. */
static int check_available(size_t size)
{
    uint64_t available;
    int err = check_groups(size);

    if (err || size < LARGE_SIZE)
        return err;
    available = available_memory();
    if (available == 0)
        available = total_memory();
    if (size <= available)
        return CUFRAMES_OK;
    return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY,
                   "%zu MiB of shared memory are wanted and this machine has %llu MiB to give: use "
                   "fewer slots or a smaller picture",
                   size >> 20, (unsigned long long)(available >> 20));
}

int cf_shm_create(const char *name, size_t size, enum cf_shm_writer writer, int *fd,
                  struct cf_map *map)
{
    size_t rounded = cf_page_round(size);
    int CF_CLOSE file = -1;
    void *addr;
    int err = check_available(rounded);

    if (err)
        return err;
    file = open_memfd(name);
    if (file < 0)
        return cf_fail_errno(errno, "cannot make shared memory (memfd_create)");
    /* Reserves the pages now: memory that is missing is an error here, not a SIGBUS later. */
    while (cf_sys.fallocate(file, 0, 0, (off_t)rounded) != 0)
        if (errno != EINTR)
            return cf_fail_errno(errno, "cannot reserve %zu bytes of shared memory", rounded);
    addr = cf_sys.mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (addr == MAP_FAILED)
        return cf_fail_errno(errno, "cannot map %zu bytes of shared memory", rounded);
    if (cf_sys.add_seals(file, wanted_seals(writer) | F_SEAL_SEAL) != 0) {
        int errnum = errno;

        munmap(addr, rounded);
        return cf_fail_errno(errnum, "cannot seal shared memory (Linux 5.1 or newer is needed)");
    }
    *fd = cf_steal_fd(&file);
    *map = (struct cf_map){.addr = addr, .size = rounded};
    return CUFRAMES_OK;
}

static int write_all(int file, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(file, bytes, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return cf_fail_errno(written < 0 ? errno : EIO, "cannot fill shared memory");
        bytes += written;
        size -= (size_t)written;
    }
    return CUFRAMES_OK;
}

int cf_shm_create_constant(const char *name, const void *bytes, size_t size, int *fd)
{
    int CF_CLOSE file = open_memfd(name);
    int err;

    if (file < 0)
        return cf_fail_errno(errno, "cannot make shared memory (memfd_create)");
    while (cf_sys.fallocate(file, 0, 0, (off_t)cf_page_round(size)) != 0)
        if (errno != EINTR)
            return cf_fail_errno(errno, "cannot reserve %zu bytes of shared memory", size);
    if ((err = write_all(file, bytes, size)) != 0)
        return err;
    if (cf_sys.add_seals(file, wanted_seals(CF_SHM_NOBODY_WRITES) | F_SEAL_SEAL) != 0)
        return cf_fail_errno(errno, "cannot seal shared memory");
    *fd = cf_steal_fd(&file);
    return CUFRAMES_OK;
}

int cf_shm_attach(const char *what, int fd, size_t size, enum cf_shm_writer writer,
                  struct cf_map *map)
{
    int wanted = wanted_seals(writer);
    int prot = writer == CF_SHM_PEER_WRITES ? PROT_READ | PROT_WRITE : PROT_READ;
    size_t rounded = cf_page_round(size);
    int seals = cf_sys.get_seals(fd);
    struct statfs fs;
    struct stat st;
    void *addr;

    if (size == 0 || rounded < size)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer describes %s of %zu bytes", what, size);
    if (seals < 0 || (seals & wanted) != wanted)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's %s is not sealed (seals %#x, needed %#x): refused, because it "
                       "could change or vanish under this process",
                       what, seals < 0 ? 0U : (unsigned)seals, (unsigned)wanted);
    if (fstatfs(fd, &fs) != 0 || fs.f_type != TMPFS_MAGIC)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's %s is not a memfd of ordinary pages: refused, because this "
                       "process may have no right to others, such as huge pages",
                       what);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0 ||
        (uint64_t)st.st_size < rounded)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's %s is smaller than the %zu bytes it says",
                       what, rounded);
    addr = cf_sys.mmap(NULL, rounded, prot, MAP_SHARED, fd, 0);
    if (addr == MAP_FAILED)
        return cf_fail_errno(errno, "cannot map the peer's %s (%zu bytes)", what, rounded);
    *map = (struct cf_map){.addr = addr, .size = rounded};
    return CUFRAMES_OK;
}

void cf_map_release(struct cf_map *map)
{
    if (map->addr)
        munmap(map->addr, map->size);
    *map = (struct cf_map){0};
}
