#include "admin/queue_walk.h"

#include "mail/envelope.h"
#include "queue/select.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "store/store.h"

/* Others on this loop are let in after so many evaluations. */
enum { BATCH = 256, TURN = 1000 };

/* The waiting recipients that the expression chooses; false when there is none. */
static bool choose(struct queue_walk *w, const struct message *m, struct arena *a, const bool **ret)
{
    bool *is_meant = arena_array(a, m->to_count, sizeof(*is_meant));
    bool any = false;

    for (uint32_t i = 0; i < m->to_count && w->failed == NULL; i++) {
        struct arena scratch ARENA_LOCAL = {0};

        is_meant[i] = m->to[i].state.status == RCPT_WAITING &&
                      select_match(w->selection, m, &m->to[i], clock_date(), &scratch, &w->failed);
        any = any || is_meant[i];
    }
    *ret = is_meant;
    return any;
}

uint32_t queue_match_count(const struct queue_match *match)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < match->message->to_count; i++) {
        count += match->is_meant == NULL || match->is_meant[i];
    }
    return count;
}

struct err queue_walk(struct queue_walk *w, struct when by)
{
    uint64_t evaluated = 0;
    bool go_on = true;

    while (go_on) {
        struct arena a ARENA_LOCAL = {0};
        struct message *messages;
        struct queue_match *matches;
        uint32_t count, matched = 0;
        struct err e = store_walk(w->store, w->after, BATCH, &a, &messages, &count, by);

        if (e.code != OK || count == 0) {
            return e;
        }
        w->after = messages[count - 1].id;
        matches = arena_array(&a, count, sizeof(*matches));
        for (uint32_t i = 0; i < count && w->failed == NULL; i++) {
            matches[matched].message = &messages[i];
            matched += w->selection == NULL ||
                       choose(w, &messages[i], &a, &matches[matched].is_meant);
            evaluated += w->selection == NULL ? 0 : messages[i].to_count;
            if (evaluated > TURN) {
                evaluated = 0;
                (void)fiber_yield(by);
            }
        }
        if (w->failed != NULL) {
            return err_of(ERR_CONFIG);
        }
        w->total += matched;
        e = matched > 0 ? w->fn(w->ctx, matches, matched, &a, &go_on, by) : ERR_OK;
        if (e.code != OK) {
            return e;
        }
    }
    return ERR_OK;
}
