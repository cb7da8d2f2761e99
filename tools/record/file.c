/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "record/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"

void recording_file_init(struct recording_file *file)
{
    *file = (struct recording_file){.fd = -1};
}

bool recording_file_create(struct recording_file *file, const char *path, bool overwrite)
{
    int fd = file_open(path, O_WRONLY | O_CREAT | (overwrite ? O_TRUNC : O_EXCL), 0666);

    if (fd < 0)
        return false;
    *file = (struct recording_file){.fd = fd};
    snprintf(file->path, sizeof(file->path), "%s", path);
    return true;
}

static bool write_some(void *user, const uint8_t *data, size_t size)
{
    struct recording_file *file = user;

    while (size > 0 && !file->error) {
        ssize_t written = pwrite(file->fd, data, size, file->place);

        if (written < 0 && errno != EINTR)
            file->error = errno;
        if (written <= 0)
            continue;
        data += written;
        size -= (size_t)written;
        file->place += written;
        if (file->place > file->end)
            file->end = file->place;
    }
    return !file->error;
}

static int64_t seek(void *user, int64_t offset, int whence)
{
    struct recording_file *file = user;
    int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file->place : file->end;

    if (base + offset < 0)
        return -1;
    file->place = base + offset;
    return file->place;
}

static void mark(void *user)
{
    struct recording_file *file = user;

    file->whole = file->end;
}

struct packet_sink recording_file_sink(struct recording_file *file)
{
    return (struct packet_sink){.user = file, .write = write_some, .seek = seek, .mark = mark};
}

void recording_file_cut(struct recording_file *file)
{
    /* Nothing else can be done about it: then the end is what a kill would have left. */
    if (file->whole < file->end && ftruncate(file->fd, file->whole) == 0)
        file->end = file->whole;
}

bool recording_file_close(struct recording_file *file)
{
    int fd = file->fd;
    struct stat status;

    if (fd < 0)
        return true;
    file->fd = -1;
    /* A device is nothing that was made here. */
    if (file->end == 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        unlink(file->path);
    /* Some file systems tell only now that there was no room. */
    return close(fd) == 0;
}
