/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The wait policy: a publisher's thread that sleeps until its subscribers have got on, and evicts
 * those who keep it waiting for longer than the policy allows.
 *
 * Subscribers say that they let something go in a word of their own page (`ack`), and only while
 * the ring's header says that the publisher waits. What else can end a wait happens in this
 * process and is told by `progress`. A sleeper notes the words, looks whether it still has to
 * wait, and only then sleeps, so that nothing told after the look is missed.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "channel/publisher.h"

/* How long closing a channel waits for a subscriber at most. */
#define MOST_CLOSE_MS 1000

static_assert(CUFRAMES_MAX_SLOTS < CF_FUTEX_MAX_LOOKS, "one word for each slot, and `progress`");

/* The words of one sleep. The pages stay mapped while it lasts. */
struct sleep {
    uint32_t count;
    struct cf_futex_look looks[CUFRAMES_MAX_SLOTS + 1];
    struct cf_page *pages[CUFRAMES_MAX_SLOTS + 1]; /* NULL for words that are not in a page */
};

static void note_word(struct sleep *sleep, const _Atomic uint32_t *word, struct cf_page *page)
{
    for (uint32_t i = 0; i < sleep->count; i++)
        if (sleep->looks[i].word == word)
            return;
    sleep->pages[sleep->count] = page ? cf_page_ref(page) : NULL;
    /* Acquire: pairs with the release of `ack` in notify_publisher() (reader.c): who sees the word
     * changed sees what was let go. */
    sleep->looks[sleep->count++] = (struct cf_futex_look){
        .word = word, .seen = atomic_load_explicit(word, memory_order_acquire)};
}

static void note_client(struct sleep *sleep, const struct cf_client *client)
{
    note_word(sleep, &cf_page_holds(client->page)->ack, client->page);
}

/* Sleeps, not under the lock, until a word changes, the deadline, or for a while. INTERRUPTED if the
 * program ends the wait. */
static int sleep_until(cuframes_publisher_t *publisher, const struct sleep *sleep, int64_t deadline)
{
    bool interrupted;

    publisher->waiters++;
    pthread_mutex_unlock(&publisher->lock);
    cf_futex_wait_any(sleep->looks, sleep->count, cf_interrupt_slice(deadline));
    interrupted = cf_interrupted();
    pthread_mutex_lock(&publisher->lock);
    publisher->waiters--;
    return interrupted ? cf_fail_interrupted() : CUFRAMES_OK;
}

static void end_sleep(struct sleep *sleep)
{
    for (uint32_t i = 0; i < sleep->count; i++)
        cf_page_unref(sleep->pages[i]);
}

void cf_wait_progress(cuframes_publisher_t *publisher)
{
    /* Release: as for `ack`. */
    atomic_fetch_add_explicit(&publisher->progress, 1, memory_order_release);
    if (publisher->waiters > 0)
        cf_futex_wake_all(&publisher->progress);
}

static void evict(cuframes_publisher_t *publisher, struct cf_client *client)
{
    cf_log(CUFRAMES_LOG_WARNING, "%s: evicting %s: it kept the publisher waiting for %d ms",
           publisher->key, client->name, publisher->current->info.ack_timeout_ms);
    publisher->stats.evicted++;
    cf_clients_dismiss(publisher, client, CUFRAMES_ERR_EVICTED);
}

/* Most time between two looks at a subscriber whose holds a GPU clears, which wakes nobody. */
#define GPU_LOOK_NS (CF_NS_PER_MS / 4)

/* ---- for a slot ---- */

/* What a wait for a slot is about: a frame, and since when it is in the way. */
struct slot_wait {
    uint32_t slot;
    uint64_t seq;
    bool late;     /* in the way are those who have yet to take the frame, not those who hold it */
    uint64_t mark; /* of the subscribers that were in the way then */
    int64_t deadline;
};

static bool is_in_the_way(const cuframes_publisher_t *publisher,
                          const struct cf_ring_writer *writer, uint32_t client,
                          const struct slot_wait *wait)
{
    return wait->late ? cf_writer_late(writer, &publisher->peers, client, wait->slot)
                      : cf_writer_blocks(writer, &publisher->peers, client, wait->slot, true);
}

static void begin_slot_wait(cuframes_publisher_t *publisher, const struct cf_generation *from,
                            const struct cf_ring_blocker *blocker, struct slot_wait *wait)
{
    *wait = (struct slot_wait){
        .slot = blocker->slot,
        .seq = from->writer.slots[blocker->slot].seq,
        .late = blocker->late,
        .mark = ++publisher->last_block_mark,
        .deadline = cf_deadline(from->info.ack_timeout_ms),
    };
    for (uint32_t i = 0; i < publisher->peers.count; i++)
        if (is_in_the_way(publisher, &from->writer, i, wait))
            publisher->clients[i]->block_mark = wait->mark;
}

/* Evicts the subscribers that were in the way at first and still are. */
static void evict_blockers(cuframes_publisher_t *publisher, const struct cf_ring_writer *writer,
                           const struct slot_wait *wait)
{
    for (uint32_t i = publisher->peers.count; i-- > 0;)
        if (publisher->clients[i]->block_mark == wait->mark &&
            is_in_the_way(publisher, writer, i, wait))
            evict(publisher, publisher->clients[i]);
}

/* W12. Whether a subscriber has left it to a GPU to clear hold words. It says so (R11) before it
 * looks whether the publisher waits (R8), and the publisher says that it waits (W9) before this
 * look: one sees the other. */
static bool leaves_to_gpu(const struct cf_client *client)
{
    return atomic_load_explicit(&cf_page_holds(client->page)->releasing, memory_order_relaxed) != 0;
}

/* Sleeps until one of the subscribers in the way lets something go. */
static int sleep_for_slot(cuframes_publisher_t *publisher, const struct cf_generation *from,
                          int64_t deadline)
{
    const struct cf_ring_writer *writer = &from->writer;
    struct cf_ring_blocker blockers[CUFRAMES_MAX_SLOTS];
    struct sleep sleep = {.count = 0};
    uint32_t count;
    bool gpu = false;
    int err = CUFRAMES_OK;

    note_word(&sleep, &publisher->progress, NULL);
    /* W10: first the words, then a look. */
    count = cf_writer_blockers(writer, &publisher->peers, true, blockers);
    for (uint32_t i = 0; i < count; i++)
        note_client(&sleep, publisher->clients[blockers[i].peer]);
    for (uint32_t i = 0; i < count; i++)
        gpu = gpu || leaves_to_gpu(publisher->clients[blockers[i].peer]);
    if (gpu && deadline > cf_now_ns() + GPU_LOOK_NS)
        deadline = cf_now_ns() + GPU_LOOK_NS;
    /* The look after the words were noted: whoever has moved since moves its word. */
    for (uint32_t i = 0; i < count; i++)
        if (!cf_writer_blocks(writer, &publisher->peers, blockers[i].peer, blockers[i].slot, true))
            count = 0;
    if (count > 0)
        err = sleep_until(publisher, &sleep, deadline);
    end_sleep(&sleep);
    return err;
}

int cf_no_own_slot(void)
{
    return cf_fail(CUFRAMES_ERR_TOO_MANY, "every slot is in this program's own hands: publish or "
                                          "drop some, or make the channel with more slots");
}

/* No slot is with a subscriber alone: waits for one that waits for its stream. */
static int wait_for_streams(cuframes_publisher_t *publisher, const struct cf_generation *from,
                            int64_t *deadline)
{
    struct sleep sleep = {.count = 0};
    int err;

    if (publisher->completion.count == 0)
        return cf_no_own_slot();
    if (*deadline == 0)
        *deadline = cf_deadline(from->info.ack_timeout_ms);
    if (*deadline != CF_NEVER && cf_now_ns() >= *deadline)
        return cf_fail(CUFRAMES_ERR_TIMEOUT,
                       "every slot waits for GPU work, which takes longer than %d ms "
                       "(consumer_ack_timeout_ms)",
                       from->info.ack_timeout_ms);
    note_word(&sleep, &publisher->progress, NULL);
    err = sleep_until(publisher, &sleep, *deadline);
    end_sleep(&sleep);
    return err;
}

/*
 * Those that were in the way of a frame for the whole of the timeout are evicted, so every round
 * either ends, or evicts somebody, or finds that the ring has moved on. A subscriber that only
 * holds a frame is not evicted while another is late for one.
 */
int cf_wait_for_slot(cuframes_publisher_t *publisher, struct cf_generation **generation,
                     uint32_t *slot)
{
    const int64_t began = cf_now_ns();
    struct slot_wait wait = {.slot = CF_NO_SLOT};
    int64_t streams_deadline = 0;
    int err = CUFRAMES_OK;

    for (;;) {
        struct cf_ring_blocker blocker;
        struct cf_generation *from = cf_publisher_source(publisher);
        struct cf_ring_writer *writer = &from->writer;

        *generation = from;
        if ((err = cf_publisher_failure(publisher)) != 0)
            break;
        cf_writer_set_waiting(writer, true);
        *slot = cf_writer_acquire(writer, &publisher->peers, true, &blocker);
        if (*slot != CF_NO_SLOT)
            break;
        if (blocker.slot == CF_NO_SLOT) {
            if ((err = wait_for_streams(publisher, from, &streams_deadline)) != 0)
                break;
            continue;
        }
        if (blocker.slot != wait.slot || writer->slots[blocker.slot].seq != wait.seq ||
            blocker.late != wait.late) {
            begin_slot_wait(publisher, from, &blocker, &wait);
        } else if (wait.deadline != CF_NEVER && cf_now_ns() >= wait.deadline) {
            evict_blockers(publisher, writer, &wait);
            wait.slot = CF_NO_SLOT;
            continue;
        }
        if ((err = sleep_for_slot(publisher, from, wait.deadline)) != 0)
            break;
    }
    if (publisher->waiters == 0)
        cf_writer_set_waiting(&(*generation)->writer, false);
    publisher->stats.waited_ns += (uint64_t)(cf_now_ns() - began);
    return err;
}

/* ---- for a change of generation ---- */

/* An in-order subscriber that has not been sent the current generation. */
static struct cf_client *find_straggler(const cuframes_publisher_t *publisher)
{
    for (uint32_t i = 0; i < publisher->peers.count; i++)
        if (publisher->peers.peers[i].in_order && publisher->clients[i]->page->fd >= 0)
            return publisher->clients[i];
    return NULL;
}

int cf_wait_for_followers(cuframes_publisher_t *publisher, int64_t *deadline, bool *again)
{
    const int64_t now = cf_now_ns();
    struct sleep sleep = {.count = 0};
    struct cf_client *straggler;
    int err;

    note_word(&sleep, &publisher->progress, NULL);
    straggler = find_straggler(publisher);
    *again = straggler != NULL;
    if (!straggler)
        return CUFRAMES_OK;
    if (*deadline == 0)
        *deadline = cf_deadline(publisher->current->info.ack_timeout_ms);
    if (*deadline != CF_NEVER && now >= *deadline) {
        evict(publisher, straggler);
        return CUFRAMES_OK;
    }
    err = sleep_until(publisher, &sleep, *deadline);
    publisher->stats.waited_ns += (uint64_t)(cf_now_ns() - now);
    return err;
}

void cf_wait_for_last_followers(cuframes_publisher_t *publisher)
{
    int32_t patience_ms = MOST_CLOSE_MS;
    int64_t deadline;
    bool again = true;

    if (publisher->packets_only)
        return;
    pthread_mutex_lock(&publisher->lock);
    if (publisher->current->info.ack_timeout_ms >= 0 &&
        publisher->current->info.ack_timeout_ms < patience_ms)
        patience_ms = publisher->current->info.ack_timeout_ms;
    deadline = cf_deadline(patience_ms);
    while (publisher->current->info.policy == CUFRAMES_POLICY_STRICT_WAIT && again &&
           cf_now_ns() < deadline &&
           cf_wait_for_followers(publisher, &deadline, &again) == CUFRAMES_OK)
        continue;
    pthread_mutex_unlock(&publisher->lock);
}
