/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the driver. The library is opened once and never closed: its threads and its handlers at
 * exit stay. $CUFRAMES_LIBCUDA names another library, for tests; it is ignored in programs that run
 * with raised privileges.
 *
 * What was found, or why not, is written under a lock and constant afterwards. Only a library that
 * could not be opened for want of descriptors or memory is looked for again the next time.
 */
#include "cuda/driver.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fork.h"
#include "cuda/failure.h"

#define SENTENCE_SIZE 512

static struct cf_driver table;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool decided; /* the rest is constant */
static bool ready, absent;
static unsigned fork_count;
static char sentence[SENTENCE_SIZE];

struct symbol {
    const char *name;
    int version;
    size_t offset;
};

static bool find_symbol(void *library, const struct symbol *symbol)
{
    void *address = dlsym(library, symbol->name);

    memcpy((char *)&table + symbol->offset, &address, sizeof(address));
    return address != NULL;
}

/* The driver's own version, as far as it can tell. */
static void describe_version(char *text, size_t size)
{
    int version = 0;

    text[0] = '\0';
    if (table.cuDriverGetVersion && table.cuDriverGetVersion(&version) == CF_CU_SUCCESS)
        snprintf(text, size, " (this one knows CUDA %d.%d)", version / 1000, version % 1000 / 10);
}

static bool fill_table(void *library)
{
#define ENTRY(symbol, version, arguments) {#symbol, version, offsetof(struct cf_driver, symbol)},
    static const struct symbol required[] = {CF_DRIVER_REQUIRED(ENTRY)};
    static const struct symbol optional[] = {CF_DRIVER_OPTIONAL(ENTRY)};
#undef ENTRY
    const struct symbol *missing = NULL;
    char version[64];

    for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
        find_symbol(library, &optional[i]);
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
        if (!find_symbol(library, &required[i]) &&
            (!missing || required[i].version > missing->version))
            missing = &required[i];
    if (!missing)
        return true;
    describe_version(version, sizeof(version));
    snprintf(sentence, sizeof(sentence),
             "the NVIDIA driver is too old: it has no %s, which came with CUDA %d.%d%s; install a "
             "newer driver, or use host memory",
             missing->name, missing->version / 1000, missing->version % 1000 / 10, version);
    return false;
}

/* Whether dlopen() says that the process ran out of something. It gives words, no number. */
static bool ran_out(const char *words)
{
    static const int shortages[] = {EMFILE, ENFILE, ENOMEM};
    char text[128];

    for (size_t i = 0; i < sizeof(shortages) / sizeof(shortages[0]); i++)
        if (strstr(words, strerror_r(shortages[i], text, sizeof(text))))
            return true;
    return false;
}

static void *open_library(bool *again)
{
    const char *other = secure_getenv("CUFRAMES_LIBCUDA");
    const char *name = other && *other ? other : "libcuda.so.1";
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    const char *words = library ? NULL : dlerror();

    if (library)
        return library;
    *again = ran_out(words);
    if (*again) {
        snprintf(sentence, sizeof(sentence), "cannot open the NVIDIA driver: %s", words);
        return NULL;
    }
    /* A library that is named, or there and broken, is another thing than none. */
    absent = !(other && *other) && strstr(words, "cannot open shared object file") != NULL;
    snprintf(sentence, sizeof(sentence),
             "there is no NVIDIA driver here (%s cannot be opened): install it; in a container, "
             "start it with the GPU (docker run --gpus all, or the device's CDI name)",
             name);
    return NULL;
}

/* False: it may be tried again. */
static bool load(void)
{
    bool again = false;
    void *library = open_library(&again);
    cf_CUresult result;
    int count = 0;

    if (!library || !fill_table(library))
        return !again;
    fork_count = cf_fork_count();
    result = table.cuInit(0);
    if (result == CF_CU_SUCCESS)
        result = table.cuDeviceGetCount(&count);
    if (result == CF_CU_SUCCESS && count == 0)
        result = CF_CU_NO_DEVICE;
    if (result == CF_CU_SUCCESS) {
        ready = true;
        return true;
    }
    absent = cf_cuda_explain_start(&table, result, sentence, sizeof(sentence));
    return true;
}

/* A child of fork() sees it whole. */
static void take_lock(void)
{
    pthread_mutex_lock(&lock);
}

static void drop_lock(void)
{
    pthread_mutex_unlock(&lock);
}

static void heed_forks(void)
{
    pthread_atfork(take_lock, drop_lock, drop_lock);
}

static int load_once(void)
{
    static pthread_once_t heeded = PTHREAD_ONCE_INIT;
    int err = CUFRAMES_OK;

    pthread_once(&heeded, heed_forks);
    pthread_mutex_lock(&lock);
    if (!atomic_load_explicit(&decided, memory_order_relaxed)) {
        if (load())
            atomic_store_explicit(&decided, true, memory_order_release);
        else
            err = cf_fail(CUFRAMES_ERR_TOO_MANY, "%s", sentence);
    }
    pthread_mutex_unlock(&lock);
    return err;
}

int cf_driver_load(const struct cf_driver **driver)
{
    /* Acquire: pairs with the release of who has loaded it. */
    if (!atomic_load_explicit(&decided, memory_order_acquire) && load_once() != CUFRAMES_OK)
        return CUFRAMES_ERR_TOO_MANY;
    if (!ready)
        return cf_fail(CUFRAMES_ERR_CUDA, "%s", sentence);
    if (fork_count != cf_fork_count())
        return cf_fail(CUFRAMES_ERR_CUDA,
                       "CUDA does not work in a process that was forked off after CUDA was begun: "
                       "fork before the first use of a GPU, or start the child with exec");
    *driver = &table;
    return CUFRAMES_OK;
}

int cf_driver_absent(void)
{
    return absent;
}
