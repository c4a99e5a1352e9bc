#include "oracle.h"

#include "base/mem.h"

#include <inttypes.h>

struct known *oracle_add(struct oracle *o, uint64_t id, uint32_t to_count, uint64_t size)
{
    struct known *k = MEM_NEW(struct known);

    if (id <= o->last_id) {
        oracle_violated(o, id, "an id that is not greater than all before");
    }
    o->last_id = id > o->last_id ? id : o->last_id;
    k->id = id;
    k->to_count = to_count;
    k->size = size;
    for (uint32_t i = 0; i < to_count; i++) {
        k->to[i] = (struct told){.acked = 1, .posted = 1};
    }
    if (o->count == o->size) {
        o->size = o->size ? o->size * 2 : 256;
        o->all = mem_grow(o->all, o->size, sizeof(struct known *));
    }
    o->all[o->count++] = k;
    map_put_num(&o->by_id, id, k);
    return k;
}

void oracle_violated(struct oracle *o, uint64_t id, const char *what)
{
    sim_fail(o->run, "message %016" PRIx64 ": %s", id, what);
}

void oracle_found(struct oracle *o, const struct message *m)
{
    struct known *k = map_get_num(&o->by_id, m->id);

    if (k == NULL) {
        oracle_violated(o, m->id, "found, but nobody ever gave it");
        return;
    }
    if (k->is_seen) {
        oracle_violated(o, m->id, "found twice");
    }
    k->is_seen = true;
    if (k->fate == FATE_REFUSED) {
        oracle_violated(o, m->id, "found, but was refused");
    }
    if (k->fate == FATE_OVER && !o->forgives_missing) {
        oracle_violated(o, m->id, "is back, though it was over: it would be sent twice");
    }
    if (m->to_count != k->to_count || m->size != k->size) {
        oracle_violated(o, m->id, "is another message now");
        return;
    }
    k->fate = FATE_STORED;
    for (uint32_t i = 0; i < k->to_count; i++) {
        struct told *t = &k->to[i];
        const struct rcpt_state *s = &m->to[i].state;
        bool is_over = s->status != RCPT_WAITING && s->owed == OWED_NONE;

        if ((s->version < t->acked && !o->forgives_missing) || s->version > t->posted) {
            oracle_violated(o, m->id, "a recipient's result was lost, or never told");
        } else if (is_over != (s->version == t->posted ? t->posted_over : t->acked_over) &&
                   !o->forgives_missing) {
            oracle_violated(o, m->id, "a recipient's state is not what was stored");
        }
        *t = (struct told){s->version, s->version, is_over, is_over};
    }
}

/* Over, for all we were told; or, `perhaps`, if what was not answered was stored too. */
static bool is_over(const struct known *k, bool perhaps)
{
    for (uint32_t i = 0; i < k->to_count; i++) {
        if (!(perhaps ? k->to[i].posted_over : k->to[i].acked_over)) {
            return false;
        }
    }
    return true;
}

static void judge_one(struct oracle *o, struct known *k)
{
    if (k->is_seen) {
        if (is_over(k, false)) {
            oracle_violated(o, k->id, "is back, though all its recipients are over");
        }
        return;
    }
    if (k->fate == FATE_STORED && !is_over(k, true)) {
        o->missing++;
        if (!o->forgives_missing) {
            oracle_violated(o, k->id, "was answered 250, and is lost");
        }
    }
    k->fate = k->fate == FATE_REFUSED ? FATE_REFUSED : FATE_OVER;
}

/* One commit stored a message and a change of its twin: both or none. */
static void judge_twin(struct oracle *o, struct known *k)
{
    struct known *t = k->twin;

    k->twin = NULL;
    if (t->is_seen && !o->forgives_missing &&
        k->is_seen != (t->to[k->twin_index].acked >= k->twin_version)) {
        oracle_violated(o, k->id, "half of a commit was stored");
    }
}

void oracle_judge(struct oracle *o)
{
    for (uint32_t i = 0; i < o->count; i++) {
        if (o->all[i]->twin != NULL) {
            judge_twin(o, o->all[i]);
        }
    }
    for (uint32_t i = 0; i < o->count; i++) {
        judge_one(o, o->all[i]);
        o->all[i]->is_seen = false;
    }
}

void oracle_done(struct oracle *o)
{
    for (uint32_t i = 0; i < o->count; i++) {
        mem_free(o->all[i]);
    }
    mem_free(o->all);
    map_done(&o->by_id);
}
