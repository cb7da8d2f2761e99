/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks handover-service for frames, and becomes a program that inherits the descriptor for them.
 *
 *   handover-client PATH [WISH…] -- PROGRAM [ARGUMENT…]
 *
 *   handover-client /tmp/video size=640x480 fps=30 -- gst-launch-1.0 cuframessrc fd=%d ! …
 *
 * "%d" in an argument becomes the descriptor's number. PROGRAM may as well be one that starts a
 * container: nothing but that descriptor is needed in it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE_SIZE = 256, WORD_SIZE = 4096 };

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    /* Stays open in PROGRAM: the service sends frames for as long as it is. */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

static void send_wish(int connection, char **words, int count)
{
    char line[LINE_SIZE];
    size_t length = 0;

    for (int i = 0; i < count && length < sizeof(line); i++)
        length += (size_t)snprintf(line + length, sizeof(line) - length, "%s ", words[i]);
    if (length + 1 >= sizeof(line)) {
        fprintf(stderr, "handover-client: too many wishes\n");
        exit(2);
    }
    line[length++] = '\n';
    if (send(connection, line, length, MSG_NOSIGNAL) < 0) {
        perror("handover-client: the service");
        exit(1);
    }
}

/* The answer's line, and the descriptor that comes with it or -1. */
static int receive_answer(int connection, char *line, size_t size)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = line, .iov_len = size - 1};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.space,
                            .msg_controllen = sizeof(control.space)};
    ssize_t got = recvmsg(connection, &header, MSG_CMSG_CLOEXEC);
    struct cmsghdr *rights = got > 0 ? CMSG_FIRSTHDR(&header) : NULL;
    int fd = -1;

    line[got > 0 ? got : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (rights && rights->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(rights), sizeof(fd));
    return fd;
}

static void put_number(char **argument, int fd)
{
    char *place = strstr(*argument, "%d");
    char word[WORD_SIZE];

    if (!place)
        return;
    snprintf(word, sizeof(word), "%.*s%d%s", (int)(place - *argument), *argument, fd, place + 2);
    place = strdup(word);
    if (place)
        *argument = place;
}

int main(int argc, char **argv)
{
    char line[LINE_SIZE];
    char **program;
    int words = 2, connection, fd;

    while (words < argc && strcmp(argv[words], "--") != 0)
        words++;
    program = argv + words + 1;
    if (words >= argc || !*program) {
        fprintf(stderr, "usage: handover-client PATH [WISH...] -- PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    connection = connect_to(argv[1]);
    send_wish(connection, argv + 2, words - 2);
    fd = receive_answer(connection, line, sizeof(line));
    fprintf(stderr, "handover-client: %s\n", *line ? line : "the service says nothing");
    if (fd < 0)
        return 1;
    fcntl(fd, F_SETFD, 0); /* PROGRAM inherits it */
    for (char **argument = program; *argument; argument++)
        put_number(argument, fd);
    execvp(*program, program);
    perror(*program);
    return 1;
}
