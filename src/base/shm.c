/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/sys.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static int wanted_seals(enum cf_shm_writer writer)
{
    return writer == CF_SHM_MAKER_WRITES ? SIZE_SEALS | F_SEAL_FUTURE_WRITE : SIZE_SEALS;
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

int cf_shm_create(const char *name, size_t size, enum cf_shm_writer writer, int *fd,
                  struct cf_map *map)
{
    size_t rounded = cf_page_round(size);
    int CF_CLOSE file = open_memfd(name);
    void *addr;

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

int cf_shm_attach(const char *what, int fd, size_t size, enum cf_shm_writer writer,
                  struct cf_map *map)
{
    int wanted = wanted_seals(writer);
    int prot = writer == CF_SHM_MAKER_WRITES ? PROT_READ : PROT_READ | PROT_WRITE;
    size_t rounded = cf_page_round(size);
    int seals = cf_sys.get_seals(fd);
    struct stat st;
    void *addr;

    if (size == 0 || rounded < size)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer describes %s of %zu bytes", what, size);
    if (seals < 0 || (seals & wanted) != wanted)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's %s is not sealed (seals %#x, needed %#x): refused, because it "
                       "could change or vanish under this process",
                       what, seals < 0 ? 0U : (unsigned)seals, (unsigned)wanted);
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
