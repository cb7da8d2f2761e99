/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The layout of the public structures, against what earlier lines had, and the values of the
 * constants that programs have compiled in. A program that was built against an earlier line must
 * find every field where it left it.
 */
#include <stdio.h>

#include <cuframes/cuframes.h>

static int differences;

static void compare(const char *line, const char *what, unsigned long long found,
                    unsigned long long kept)
{
    if (found == kept)
        return;
    printf("%s: %s is %llu, was %llu\n", line, what, found, kept);
    differences++;
}

#define SIZE(type, size)           compare(line, "size of " #type, sizeof(type), size);
#define FIELD(type, field, offset) compare(line, #type "." #field, offsetof(type, field), offset);

static void check_0_4(void)
{
    const char *line = "0.4";
#include "layout-0.4.def"
}

static void check_0_5(void)
{
    const char *line = "0.5";
#include "layout-0.5.def"
}

#define VALUE(name, value) compare("0.4", #name, (unsigned long long)(name), value)
#define ERROR(name, value) compare("0.4", #name, (unsigned long long)-(name), value)

static void check_values(void)
{
    ERROR(CUFRAMES_OK, 0);
    ERROR(CUFRAMES_ERR_INVALID_ARG, 1);
    ERROR(CUFRAMES_ERR_OUT_OF_MEMORY, 2);
    ERROR(CUFRAMES_ERR_CUDA, 3);
    ERROR(CUFRAMES_ERR_IO, 4);
    ERROR(CUFRAMES_ERR_PROTOCOL, 5);
    ERROR(CUFRAMES_ERR_NOT_FOUND, 6);
    ERROR(CUFRAMES_ERR_TIMEOUT, 7);
    ERROR(CUFRAMES_ERR_ALREADY_EXISTS, 8);
    ERROR(CUFRAMES_ERR_DISCONNECTED, 9);
    ERROR(CUFRAMES_ERR_FORMAT, 10);
    ERROR(CUFRAMES_ERR_WOULD_BLOCK, 11);
    ERROR(CUFRAMES_ERR_TOO_MANY, 12);
    ERROR(CUFRAMES_ERR_PACKET_OVERSIZED, 20);
    ERROR(CUFRAMES_ERR_NO_PACKET_RING, 21);
    ERROR(CUFRAMES_ERR_NO_CODEC_PARAMS, 22);
    ERROR(CUFRAMES_ERR_PACKET_OVERRUN, 23);
    ERROR(CUFRAMES_ERR_INTERNAL, 100);
    VALUE(CUFRAMES_FORMAT_NV12, 0);
    VALUE(CUFRAMES_FORMAT_YUV420P, 1);
    VALUE(CUFRAMES_FORMAT_RGB, 2);
    VALUE(CUFRAMES_FORMAT_BGR, 3);
    VALUE(CUFRAMES_FORMAT_RGBA, 4);
    VALUE(CUFRAMES_FORMAT_GRAYSCALE, 5);
    VALUE(CUFRAMES_MODE_NEWEST_ONLY, 0);
    VALUE(CUFRAMES_MODE_STRICT_ORDER, 1);
    VALUE(CUFRAMES_POLICY_DROP_OLDEST, 0);
    VALUE(CUFRAMES_POLICY_STRICT_WAIT, 1);
    VALUE(CUFRAMES_OWNERSHIP_LIBRARY, 0);
    VALUE(CUFRAMES_OWNERSHIP_EXTERNAL, 1);
}

int main(void)
{
    if (sizeof(void *) != 8) {
        printf("the lists are for 64-bit machines\n");
        return 77;
    }
    check_0_4();
    check_0_5();
    check_values();
    return differences != 0;
}
