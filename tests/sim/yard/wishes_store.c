/* What the store has of the recipients of wishes.h, in the middle of a life and after a crash; and
 * what must be so at the end. */
#include "runtime/clock.h"
#include "wishes.h"

enum { SETTLED_MS = 1500, WALK_MAX = 1000 };

static int64_t now_ms(void)
{
    return clock_date().ms;
}

static const char *address_of(const struct wish_book *w, const struct wish *k)
{
    return w->ledger->mail[k->number].to[k->at].address;
}

static void check_stored(struct wish_book *w, const struct ledger_rcpt *r, unsigned number,
                         const struct rcpt_state *s)
{
    struct fate *fate = wishes_fate(w, r, number);
    bool waits = s->status == RCPT_WAITING;

    if (fate->is_shown && fate->is_final && waits) {
        sim_fail(w->run, "%s waits after %u attempts, and filters were asked about its end",
                 r->address, s->attempts);
    }
    if (fate->is_shown && !fate->is_final && waits && s->attempts < fate->shown_attempts) {
        sim_fail(w->run, "%s has %u attempts in the store, and filters were asked about %u",
                 r->address, s->attempts, fate->shown_attempts);
    }
    if (fate->due_ms > 0 && fate->is_durable && waits && s->held_since.ms == 0 &&
        !wishes_is_near(s->next.ms, fate->due_ms)) {
        sim_fail(w->run, "%s is due at %lld, and the store has %lld", r->address,
                 (long long)fate->due_ms, (long long)s->next.ms);
    }
    if (fate->is_given_up && !fate->is_uncertain && waits) {
        sim_fail(w->run, "%s waits, and was given up", r->address);
    }
}

static bool walk(struct wish_book *w, struct machine *m, struct when by,
                 void (*fn)(struct wish_book *w, const struct ledger_rcpt *r, unsigned number,
                            const struct rcpt_state *s))
{
    struct arena a ARENA_LOCAL = {0};
    struct message *all;
    uint32_t count;

    if (store_walk(m->store, 0, WALK_MAX, &a, &all, &count, by).code != OK) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < all[i].to_count; k++) {
            unsigned number;
            struct ledger_rcpt *r = ledger_rcpt(w->ledger, all[i].to[k].address, &number);

            if (r != NULL) {
                fn(w, r, number, &all[i].to[k].state);
            }
        }
    }
    return true;
}

void wishes_begin(struct wish_book *w, struct machine *m)
{
    w->world = m->world;
    for (unsigned i = 0; i < w->ledger->count; i++) {
        for (unsigned k = 0; k < w->ledger->mail[i].to_count; k++) {
            struct fate *fate = &w->fates[i][k];

            if (fate->due_ms > 0 && fate->due_ms < now_ms()) {
                fate->due_ms = now_ms();
                fate->is_durable = false;
            }
        }
    }
    (void)walk(w, m, WHEN_NEVER, check_stored);
}

void wishes_end(struct wish_book *w, bool crashed, int64_t at_ms)
{
    memset(w->open, 0, sizeof w->open);
    memset(w->cancelled_ms, 0, sizeof w->cancelled_ms);
    memset(w->drop_said, 0, sizeof w->drop_said);
    for (unsigned i = 0; i < w->ledger->count; i++) {
        for (unsigned k = 0; k < w->ledger->mail[i].to_count; k++) {
            struct fate *fate = &w->fates[i][k];

            if (fate->is_given_up && fate->is_uncertain && fate->given_up_life == w->ledger->life &&
                crashed && fate->given_up_ms > at_ms - WISHES_WINDOW_MS) {
                fate->may_be_given_up = fate->is_given_up;
                fate->is_given_up = fate->untold[0] = fate->untold[1] = false;
                w->ledger->mail[i].to[k].cancelled = false;
            }
            if (!fate->is_durable && crashed && fate->due_since_ms > at_ms - WISHES_WINDOW_MS) {
                fate->due_ms = 0;
            }
            if (fate->is_given_up) {
                fate->is_uncertain = false;
            }
        }
    }
}

static void check_shown(struct wish_book *w, const struct ledger_rcpt *r, unsigned number,
                        const struct rcpt_state *s)
{
    struct fate *fate = wishes_fate(w, r, number);
    int64_t now = now_ms();

    if (s->status != RCPT_WAITING || s->held_since.ms > 0 || fate->due_ms == 0) {
        return;
    }
    if (now > fate->due_ms + w->late_ms + WISHES_MADE_MS) {
        sim_fail(w->run, "%s was not tried %lld ms after its time", r->address,
                 (long long)(now - fate->due_ms));
    }
    if (now > fate->due_since_ms + SETTLED_MS && fate->due_ms > now + SETTLED_MS &&
        !wishes_is_near(s->next.ms, fate->due_ms)) {
        sim_fail(w->run, "%s is due at %lld, and the queue shows %lld", r->address,
                 (long long)fate->due_ms, (long long)s->next.ms);
    }
}

void wishes_look(struct wish_book *w, struct machine *m, struct when by)
{
    for (unsigned i = 0; i < WISHES_OPEN_MAX; i++) {
        struct wish *k = &w->open[i];
        struct fate *fate = &w->fates[k->number][k->at];

        if (!k->is_open || now_ms() < k->said_ms + WISHES_MADE_MS) {
            continue;
        }
        k->is_open = false;
        if (fate->unmade > 0) {
            fate->unmade--;
        } else {
            sim_fail(w->run, "%s: a filter's wish was neither made nor given up", address_of(w, k));
        }
    }
    for (unsigned i = 0; i < w->added_count; i++) {
        const struct added *a = &w->added[i];

        if (a->life == w->ledger->life && !a->is_added && !a->is_refused &&
            now_ms() > a->said_ms + WISHES_MADE_MS) {
            sim_fail(w->run, "recipient a%u was neither added nor refused", i);
        }
    }
    (void)walk(w, m, by, check_shown);
}

/* Of those whose end was stored, or not, when the machine crashed. */
void wishes_settle(struct wish_book *w)
{
    for (unsigned i = 0; i < w->ledger->count; i++) {
        for (unsigned k = 0; k < w->ledger->mail[i].to_count; k++) {
            struct ledger_rcpt *r = &w->ledger->mail[i].to[k];

            r->cancelled = r->cancelled || (w->fates[i][k].may_be_given_up && r->taken == 0);
        }
    }
}

void wishes_judge(struct wish_book *w)
{
    for (unsigned i = 0; i < w->added_count; i++) {
        const struct added *a = &w->added[i];

        if ((a->is_added && a->taken == 0) || (a->is_refused && a->taken > 0)) {
            sim_fail(w->run, "recipient a%u was %s, and served %u times", i,
                     a->is_added ? "added" : "refused", a->taken);
        }
    }
    for (unsigned i = 0; i < w->ledger->count; i++) {
        for (unsigned k = 0; k < w->ledger->mail[i].to_count; k++) {
            const struct ledger_rcpt *r = &w->ledger->mail[i].to[k];
            const struct fate *fate = &w->fates[i][k];

            if ((fate->untold[0] && r->failed > 0) || (fate->untold[1] && r->delayed > 0)) {
                sim_fail(w->run, "%s: its sender was told what a filter had dropped", r->address);
            }
        }
    }
}
