/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NVRTC as GStreamer up to 1.26 expects it: it compiles its kernels for compute_30 or compute_52, which
 * NVRTC of CUDA 13 refuses. The same calls of the library that $NVRTC names, for an architecture that
 * it still knows.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ARCHITECTURE "--gpu-architecture=compute_"
#define KNOWN        75
#define MOST_OPTIONS 16

typedef struct program *program_t;

static void *find(const char *name)
{
    static void *library;

    if (!library)
        library = dlopen(getenv("NVRTC"), RTLD_NOW);
    return library ? dlsym(library, name) : NULL;
}

#define FORWARD(name, parameters, arguments)                                                       \
    int name parameters;                                                                           \
    int name parameters                                                                            \
    {                                                                                              \
        int(*real) parameters = (int(*) parameters)find(#name);                                    \
                                                                                                   \
        return real ? real arguments : 1;                                                          \
    }

FORWARD(nvrtcCreateProgram,
        (program_t * program, const char *source, const char *name, int count,
         const char *const *headers, const char *const *names),
        (program, source, name, count, headers, names))
FORWARD(nvrtcDestroyProgram, (program_t * program), (program))
FORWARD(nvrtcGetPTX, (program_t program, char *text), (program, text))
FORWARD(nvrtcGetPTXSize, (program_t program, size_t *size), (program, size))
FORWARD(nvrtcGetCUBIN, (program_t program, char *binary), (program, binary))
FORWARD(nvrtcGetCUBINSize, (program_t program, size_t *size), (program, size))
FORWARD(nvrtcGetProgramLog, (program_t program, char *text), (program, text))
FORWARD(nvrtcGetProgramLogSize, (program_t program, size_t *size), (program, size))

static int is_old(const char *option)
{
    size_t length = strlen(ARCHITECTURE);

    return strncmp(option, ARCHITECTURE, length) == 0 && atoi(option + length) < KNOWN;
}

int nvrtcCompileProgram(program_t program, int count, const char *const *options);
int nvrtcCompileProgram(program_t program, int count, const char *const *options)
{
    int (*real)(program_t, int, const char *const *) =
        (int (*)(program_t, int, const char *const *))find("nvrtcCompileProgram");
    const char *made[MOST_OPTIONS];

    if (!real || count > MOST_OPTIONS)
        return 1;
    for (int i = 0; i < count; i++)
        made[i] = is_old(options[i]) ? ARCHITECTURE "75" : options[i];
    return real(program, count, made);
}
