#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/events.h"
#include "store/log.h"

/*
 * The keeper: one fiber that looks after room. It makes spare segments, writes checkpoints, gives
 * dead segments back, and moves the survivors of nearly dead ones.
 */

enum { KEEPER_MS = 10000, RETRY_MS = 1000, CHECKPOINT_SHARE = 4 };

static void say_failed(const char *what, struct err e)
{
    char text[128];

    event_raise(&ev_store_disk_failed, f_name(str_of(what)), f_text(err_say(e, text, sizeof text)));
}

void keep_spares(struct store *s)
{
    while (s->spare_count < SPARE_WANTED && !s->is_closing) {
        struct err e = spare_make(s, WHEN_NEVER);

        if (e.code) {
            if (e.code != ERR_FULL) {
                say_failed("make a segment", e);
            }
            s->wants_checkpoint = s->wants_checkpoint || e.code == ERR_FULL;
            return;
        }
    }
}

static bool checkpoint_is_due(const struct store *s)
{
    uint64_t least = s->options.checkpoint_bytes;

    /* A long index is written less often, so that it costs at most a share of the log. */
    if (s->last_checkpoint_bytes * CHECKPOINT_SHARE > least) {
        least = s->last_checkpoint_bytes * CHECKPOINT_SHARE;
    }
    return s->bytes_since_checkpoint >= least;
}

static void checkpoint(struct store *s)
{
    struct err e = checkpoint_write(s, WHEN_NEVER);

    if (e.code == ERR_FULL && s->spare_count > 0) {
        /* What the reserve is for (invariant 7): its room, not its file. */
        s->room_is_kept = true; /* or the committer takes it for a segment */
        spare_give_up(s, WHEN_NEVER);
        e = checkpoint_write(s, WHEN_NEVER);
        s->room_is_kept = false;
    }
    if (e.code) {
        s->checkpoint_after = when_after(RETRY_MS);
        say_failed("checkpoint", e);
    }
}

bool recycle_dead(struct store *s)
{
    uint32_t covered = is_broken(s, BROKEN_RECYCLE_EARLY) ? UINT32_MAX : s->covered;
    bool any = false;

    for (uint32_t i = 0; i < s->segments.count;) {
        struct segment *g = s->segments.list[i];

        if (segment_may_be_recycled(g, covered)) {
            segment_recycle(s, g, WHEN_NEVER);
            any = true;
            i = 0; /* the list changed while we waited */
        } else {
            i++;
        }
    }
    return any;
}

static void keep_house(struct store *s)
{
    keep_spares(s);
    if ((checkpoint_is_due(s) || (s->wants_checkpoint && s->bytes_since_checkpoint > 0)) &&
        s->checkpoint_after.ns <= clock_now().ns) {
        checkpoint(s);
    }
    s->wants_checkpoint = false;
    if (recycle_dead(s)) {
        keep_spares(s);
    }
    gather_states(s, WHEN_NEVER);
    move_survivors(s, WHEN_NEVER);
    room_update(s, WHEN_NEVER);
    totals_update(s);
}

/* Until the next housework. While mail is refused for want of room, room is looked for meanwhile:
 * senders who were told to try later must not hear it again when there is some. */
static void await_work(struct store *s)
{
    struct when next = when_after(KEEPER_MS);

    for (;;) {
        bool seeks = store_room(s) != STORE_ROOM && !s->has_stopped;
        bool retries = s->checkpoint_after.ns > clock_now().ns;
        struct when soon = seeks || retries ? when_earlier(next, when_after(RETRY_MS)) : next;

        if (signal_wait(&s->keeper_work, "housework of the store", soon).code != ERR_TIMEOUT ||
            retries || soon.ns >= next.ns || s->is_closing) {
            return;
        }
        keep_spares(s);
        room_update(s, WHEN_NEVER);
    }
}

void keeper_run(void *store)
{
    struct store *s = store;

    while (!s->is_closing) {
        keep_house(s);
        if (!s->is_closing) {
            await_work(s);
        }
    }
    /* The committer has its last batch to write; the checkpoint comes after it. */
}
