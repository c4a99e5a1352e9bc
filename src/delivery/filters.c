#include "delivery/filters.h"

#include "base/mem.h"

struct filters *filters_new(const struct delivery_filters *f)
{
    struct filters *ret = MEM_NEW(struct filters);

    atomic_init(&ret->references, 1);
    ret->f = *f;
    return ret;
}

struct filters *filters_share(struct filters *f)
{
    if (f != NULL) {
        atomic_fetch_add_explicit(&f->references, 1, memory_order_relaxed);
    }
    return f;
}

void filters_drop(struct filters *f)
{
    if (f == NULL || atomic_fetch_sub_explicit(&f->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    if (f->f.ended != NULL) {
        f->f.ended(f->f.ctx);
    }
    mem_free(f);
}

bool filters_ask(const struct filters *f, const struct hook_view *view, bool is_trusted,
                 struct arena *a, struct verdict *ret, struct when by)
{
    struct talk *t = talk_new(f->f.engine, f->f.chain, view);
    struct engine_question q = {
        .view = view, .bounds = f->f.bounds, .is_trusted = is_trusted, .may_be_binary = false};
    struct err e = engine_ask(t, &q, a, ret, by);

    talk_free(t);
    return e.code == OK;
}
