/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A conversion by several threads: each has a share of the rows. They are started for it and end with
 * it: that takes some microseconds each, and leaves no thread behind that fork() or an exit could meet.
 */
#include <pthread.h>
#include <signal.h>

#include "colors.h"

#define MOST_THREADS 8
/* Fewer pixels are converted sooner than a thread is started. */
#define LEAST_PIXELS (256 * 1024)

struct share {
    const struct pycf_picture *picture;
    enum pycf_order order;
    uint8_t *out;
    size_t pitch;
    int first, end;
    bool done;
    pthread_t thread;
    bool started;
};

static void *convert_share(void *argument)
{
    struct share *s = argument;

    s->done = pycf_convert_rows(s->picture, s->order, s->out, s->pitch, s->first, s->end);
    return NULL;
}

static int count_shares(const struct pycf_picture *picture, int threads)
{
    int most = (int)((int64_t)picture->width * picture->height / LEAST_PIXELS);

    if (most > MOST_THREADS)
        most = MOST_THREADS;
    if (threads > most)
        threads = most;
    return threads > 1 ? threads : 1;
}

/* Signals are for the program's own threads. */
static void start(struct share *shares, int count)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < count; i++)
        shares[i].started = pthread_create(&shares[i].thread, NULL, convert_share, &shares[i]) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool pycf_convert(const struct pycf_picture *picture, enum pycf_order order, uint8_t *out,
                  size_t pitch, int threads)
{
    const int count = count_shares(picture, threads);
    const int rows = (picture->height / count + 1) & ~1;
    struct share shares[MOST_THREADS];
    bool done = true;

    for (int i = 0, first = 0; i < count; i++) {
        const int left = picture->height - first;
        const int end = i == count - 1 || left < rows ? picture->height : first + rows;

        shares[i] = (struct share){picture, order, out, pitch, first, end, .done = false};
        first = end;
    }
    start(shares + 1, count - 1);
    for (int i = 0; i < count; i++) {
        if (shares[i].started)
            pthread_join(shares[i].thread, NULL);
        else
            convert_share(&shares[i]);
        done = done && shares[i].done;
    }
    return done;
}
