/* /api/v1/fibers: what each loop's fibers wait for. */
#include "admin/json.h"
#include "admin/part.h"
#include "runtime/clock.h"

struct census {
    struct post post;
    struct buf *out;
    struct loop *at, *home;
    struct fiber *waits;
    bool is_back;
};

static void note(void *ctx, const struct fiber_note *n)
{
    struct census *c = ctx;
    struct when now = clock_now();

    json_next(c->out);
    buf_byte(c->out, '{');
    json_text(c->out, "loop", str_of(loop_name(c->at)));
    json_number(c->out, "index", loop_index(c->at));
    json_text(c->out, "group", str_of(n->group));
    json_text(c->out, "name", str_of(n->name));
    if (n->what != NULL) {
        json_text(c->out, "waits_for", str_of(n->what));
        json_number(c->out, "since_ms", (uint64_t)((now.ns - n->since.ns) / NS_PER_MS));
        if (!when_is_never(n->until)) {
            json_number(c->out, "until_ms",
                        n->until.ns > now.ns ? (uint64_t)((n->until.ns - now.ns) / NS_PER_MS) : 0);
        }
    }
    json_bool(c->out, "cancelled", n->cancelled);
    buf_byte(c->out, '}');
}

static void back(struct post *p)
{
    struct census *c = CONTAINER_OF(p, struct census, post);

    c->is_back = true;
    fiber_wake(c->waits);
}

static void count_here(struct post *p)
{
    struct census *c = CONTAINER_OF(p, struct census, post);

    fiber_census(note, c);
    p->run = back;
    loop_post(c->home, p);
}

void admin_fibers(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_READS);

    if (ad == NULL) {
        return;
    }
    buf_put(&answer->body, STR("{\"items\":["));
    for (unsigned i = 0; i < ad->options.loop_count; i++) {
        struct census c = {.post.run = count_here,
                           .out = &answer->body,
                           .at = ad->loops[i],
                           .home = loop_self(),
                           .waits = fiber_self()};

        loop_post(c.at, &c.post);
        while (!c.is_back) {
            fiber_wait_firm("a census", by);
        }
    }
    buf_put(&answer->body, STR("]}\n"));
}
