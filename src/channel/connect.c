/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscriber's first attachment: how long the program waits for a publisher to come and for its
 * answer, and how it ends the wait before. One connection is made and waited at, in pieces only where
 * the program wants to be asked: a publisher that was stopped finds no crowd of dead connections.
 *
 * Everything here is under the subscriber's lock, which nobody else has yet.
 */
#include "base/clock.h"
#include "base/error.h"
#include "channel/subscriber.h"

/* How long a publisher may take to answer one that does not wait for it to come. */
#define ANSWER_MS 1000
/* The same at the other end of a connection that was made elsewhere: it may still be on its way. */
#define HANDED_OVER_MS 5000
/* Between two questions whether to go on. */
#define ASK_MS 50
/* Between two tries while the publisher's queue of connections is full. */
#define CROWDED_MS 2

struct patience {
    const cuframes_connect_options_t *options; /* never NULL */
    int64_t deadline;                          /* for a publisher, and its answer */
    int32_t answer_ms;                         /* for the answer alone; 0 = no limit of its own */
    int64_t silent_since; /* since when one that is there says nothing; 0 = nobody is there */
};

static const cuframes_connect_options_t *options_of(const cuframes_subscriber_config_t *config)
{
    static const cuframes_connect_options_t none;

    return config->connect ? config->connect : &none;
}

static bool shall_stop(const struct patience *p)
{
    return p->options->stop && p->options->stop(p->options->user) != 0;
}

static int stopped(const cuframes_subscriber_t *s)
{
    return cf_fail(CUFRAMES_ERR_WOULD_BLOCK, "the program ended the wait for a publisher of %s",
                   s->key[0] ? s->key : "this connection");
}

static int64_t answer_deadline(const struct patience *p)
{
    int64_t answer = CF_NEVER;

    if (p->answer_ms > 0 && p->silent_since)
        answer = p->silent_since + p->answer_ms * CF_NS_PER_MS;
    return answer < p->deadline ? answer : p->deadline;
}

/* The end of the next piece of a wait that ends at `deadline` at the latest. */
static int64_t piece(const struct patience *p, int64_t deadline)
{
    int64_t ask = cf_now_ns() + ASK_MS * CF_NS_PER_MS;

    return p->options->stop && ask < deadline ? ask : deadline;
}

/* Waits on a connection until it is attached or refused. */
static int await_answer(cuframes_subscriber_t *s, struct patience *p)
{
    int err;

    if (!p->silent_since)
        p->silent_since = cf_now_ns();
    for (;;) {
        err = cf_attach(s, piece(p, answer_deadline(p)));
        if (err != CUFRAMES_ERR_TIMEOUT || s->refused)
            return err;
        if (shall_stop(p))
            return stopped(s);
        if (cf_now_ns() >= answer_deadline(p))
            return cf_endpoint_silent(s->key);
    }
}

/* Nobody answers. Waits for that to change; OK = try again. */
static int await_publisher(cuframes_subscriber_t *s, struct patience *p, int32_t timeout_ms)
{
    const int64_t now = cf_now_ns();

    if (s->crowded && !p->silent_since)
        p->silent_since = now;
    else if (!s->crowded)
        p->silent_since = 0;
    if (shall_stop(p))
        return stopped(s);
    if (s->crowded && now >= answer_deadline(p))
        return cf_endpoint_silent(s->key);
    if (!s->crowded && timeout_ms == 0)
        return CUFRAMES_ERR_NOT_FOUND;
    if (!s->crowded && now >= p->deadline)
        return cf_fail(CUFRAMES_ERR_TIMEOUT, "the key \"%s\" has no publisher in %s; waited %d ms",
                       s->key, s->dir, timeout_ms);
    cf_attach_await(s, s->crowded ? now + CROWDED_MS * CF_NS_PER_MS : piece(p, p->deadline));
    return CUFRAMES_OK;
}

int cf_connect(cuframes_subscriber_t *s, const cuframes_subscriber_config_t *config)
{
    const int32_t timeout_ms = config->connect_timeout_ms;
    struct patience p = {.options = options_of(config),
                         .deadline = timeout_ms == 0 ? CF_NEVER : cf_deadline(timeout_ms)};
    int err;

    p.answer_ms = p.options->answer_timeout_ms > 0 ? p.options->answer_timeout_ms
                  : timeout_ms == 0                ? ANSWER_MS
                                                   : 0;
    for (;;) {
        err = cf_attach(s, 0);
        if (err == CUFRAMES_ERR_WOULD_BLOCK && !s->refused)
            err = await_answer(s, &p);
        /* DISCONNECTED: a publisher that went away while it was asked; another may come. */
        if ((err != CUFRAMES_ERR_NOT_FOUND || s->refused) && err != CUFRAMES_ERR_DISCONNECTED)
            return err;
        if ((err = await_publisher(s, &p, timeout_ms)) != 0)
            return err;
    }
}

int cf_connect_over(cuframes_subscriber_t *s, const cuframes_subscriber_config_t *config,
                    int socket)
{
    const int32_t timeout_ms = config->connect_timeout_ms;
    struct patience p = {.options = options_of(config),
                         .deadline = cf_deadline(timeout_ms > 0 ? timeout_ms : HANDED_OVER_MS)};
    int err = cf_attach_over(s, socket);

    p.answer_ms = p.options->answer_timeout_ms;
    return err ? err : await_answer(s, &p);
}
