/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzz target without libFuzzer.
 *
 *   (no arguments)       the honest inputs, and a fixed series of changed ones
 *   --corpus DIRECTORY   the inputs in that directory, then the same
 *   --write DIRECTORY    writes the honest inputs there, as a corpus to start from
 *   FILE…                the inputs in these files
 */
#include <dirent.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"

#define CHANGED_INPUTS 50000
#define MOST_SECONDS   2

/* A linear congruential generator: the same series on every machine. */
static uint64_t state = 1;

static uint32_t pick(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(((state >> 32) * below) >> 32);
}

static void run_exact(const uint8_t *data, size_t size)
{
    /* Memory that ends with the input, for sanitizers to watch. */
    uint8_t *copy = malloc(size ? size : 1);

    FUZZ_REQUIRE(copy);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static unsigned run_seeds(void)
{
    uint8_t data[FUZZ_SIZE];
    unsigned count = 0;
    size_t size;

    while ((size = fuzz_seed(count, data)) != 0) {
        run_exact(data, size);
        count++;
    }
    return count;
}

/* Values at which checks of ranges and products break, if they do. */
static uint8_t pick_byte(void)
{
    const uint8_t edges[] = {0, 1, 2, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xfe, 0xff};

    return pick(2) ? edges[pick(sizeof(edges))] : (uint8_t)pick(256);
}

static void run_changed(unsigned seeds)
{
    uint8_t data[FUZZ_SIZE];
    size_t size = fuzz_seed(pick(seeds), data);
    uint32_t changes = pick(6);

    while (changes-- > 0) {
        size_t at = pick((uint32_t)size);
        size_t run = 1 + pick(8);

        while (run-- > 0 && at < size)
            data[at++] = pick_byte();
    }
    if (pick(8) == 0)
        size = pick((uint32_t)size + 1);
    run_exact(data, size);
}

static int write_seeds(const char *directory)
{
    uint8_t data[FUZZ_SIZE];
    size_t size;

    for (unsigned i = 0; (size = fuzz_seed(i, data)) != 0; i++) {
        char path[4096];
        FILE *file;

        snprintf(path, sizeof(path), "%s/seed-%02u", directory, i);
        file = fopen(path, "wbe");
        if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
            perror(path);
            return 1;
        }
    }
    return 0;
}

static int run_file(const char *path)
{
    uint8_t data[FUZZ_SIZE];
    FILE *file = fopen(path, "rbe");
    size_t size;

    if (!file) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    run_exact(data, size);
    return 0;
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Every file, in the order of their names; -1 after an error. The directory is closed before: some
 * targets count descriptors. */
static int run_corpus(const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_input, alphasort), failed = 0;

    if (count < 0) {
        perror(directory);
        return -1;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        failed |= run_file(path);
        free(entries[i]);
    }
    free(entries);
    return failed ? -1 : count;
}

static void run_series(int kept)
{
    const time_t begin = time(NULL);
    unsigned seeds = run_seeds(), changed = 0;

    FUZZ_REQUIRE(seeds > 0);
    while (changed < CHANGED_INPUTS && time(NULL) - begin < MOST_SECONDS) {
        run_changed(seeds);
        changed++;
    }
    printf("%d inputs of the corpus, %u honest ones, %u changed ones\n", kept, seeds, changed);
}

int main(int argc, char **argv)
{
    int kept = 0;

    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_seeds(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) {
        /* An empty one would pass without a word. */
        if ((kept = run_corpus(argv[2])) <= 0)
            return 1;
    } else if (argc > 1) {
        for (int i = 1; i < argc; i++)
            if (run_file(argv[i]) != 0)
                return 1;
        return 0;
    }
    run_series(kept);
    return 0;
}
