/* /api/v1/queue/pause, resume, pauses: standing rules that stop attempts (queue/pause.h). */
#include "admin/events.h"
#include "admin/json.h"
#include "admin/part.h"
#include "admin/queue_walk.h"
#include "admin/request.h"
#include "queue/pause.h"
#include "queue/queue.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/store.h"

/* ---- how many recipients it covers now ---- */

struct covered {
    uint64_t recipients;
};

static struct err count_batch(void *ctx, const struct queue_match *matches, uint32_t count,
                              struct arena *a, bool *go_on, struct when by)
{
    struct covered *c = ctx;

    (void)a;
    (void)by;
    *go_on = true;
    for (uint32_t i = 0; i < count; i++) {
        c->recipients += queue_match_count(&matches[i]);
    }
    return ERR_OK;
}

static void answer_covered(struct admin *ad, const struct request *ask, struct http_answer *answer,
                           struct arena *a, struct when by)
{
    struct covered c = {0};
    struct queue_walk w = {
        .store = ad->options.store, .selection = &ask->which, .fn = count_batch, .ctx = &c};
    struct err e = queue_walk(&w, by);

    if (e.code != OK) {
        http_answer_error(answer, w.failed != NULL ? 400 : 503,
                          str_of(w.failed != NULL ? w.failed : err_text(e.code)));
        return;
    }
    buf_byte(&answer->body, '{');
    json_text(&answer->body, "name", ask->name);
    json_bool(&answer->body, "dry_run", ask->dry_run);
    json_number(&answer->body, "messages", w.total);
    json_number(&answer->body, "recipients", c.recipients);
    buf_put(&answer->body, STR("}\n"));
    if (!ask->dry_run) {
        event_raise(&ev_admin_action, f_name(STR("pause")), f_count((int64_t)w.total),
                    f_recipients((int64_t)c.recipients),
                    f_by(ask->by.len > 0 ? ask->by : STR("operator")),
                    f_text(arena_printf(a, "%.*s: %.*s", STR_ARG(ask->name),
                                        STR_ARG(request_says(ask, a)))));
    }
}

/* ---- pause ---- */

static bool begin(const struct request *ask, struct admin *ad, struct http_answer *answer,
                  struct when by)
{
    struct pause p = {.name = ask->name,
                      .which = ask->which,
                      .all = ask->all,
                      .who = ask->by.len > 0 ? ask->by : STR("operator"),
                      .why = ask->reason,
                      .since = clock_date(),
                      .until = ask->until.ms > 0 ? ask->until : DATE_NEVER};
    struct buf why BUF_LOCAL = {0};
    struct err e;

    if (p.until.ms <= p.since.ms) {
        http_answer_error(answer, 400, STR("until is in the past"));
        return false;
    }
    e = queue_pause(ad->options.queue, &p, by);
    if (e.code == ERR_EXISTS) {
        buf_printf(&why,
                   "there is a pause named %.*s already: resume it first, or give another name",
                   STR_ARG(ask->name));
        http_answer_error(answer, 409, buf_str(&why));
    } else if (e.code == ERR_LIMIT) {
        buf_printf(&why, "there are %d pauses, and no more are possible: resume one", PAUSES_MAX);
        http_answer_error(answer, 409, buf_str(&why));
    } else if (e.code != OK) {
        http_answer_error(answer, 503, str_of(err_text(e.code)));
    }
    return e.code == OK;
}

void admin_queue_pause(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_CHANGES);
    struct buf bad BUF_LOCAL = {0};
    struct request ask;
    struct str why;

    if (ad == NULL) {
        return;
    }
    if (!request_read(REQUEST_PAUSE, r->body, r->arena, &ask, &why)) {
        http_answer_error(answer, 400, why);
    } else if (select_compile(&ask.which, &bad).code != OK) {
        http_answer_error(answer, 400, buf_str(&bad));
    } else {
        if (ask.dry_run || begin(&ask, ad, answer, by)) {
            answer_covered(ad, &ask, answer, r->arena, by);
        }
        select_done(&ask.which);
    }
}

/* ---- resume, list ---- */

static void no_such_pause(struct admin *ad, struct str name, struct http_answer *answer,
                          struct when by)
{
    struct pauses *all = queue_pauses(ad->options.queue, by);
    struct buf why BUF_LOCAL = {0};

    buf_printf(&why, "there is no pause named %.*s; there %s", STR_ARG(name),
               all == NULL ? "is none" : "are");
    for (uint32_t i = 0; all != NULL && i < all->count; i++) {
        buf_printf(&why, " %.*s", STR_ARG(all->items[i].name));
    }
    pauses_give(all);
    http_answer_error(answer, 404, buf_str(&why));
}

void admin_queue_resume(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_CHANGES);
    struct request ask;
    struct str why;
    struct err e;

    if (ad == NULL) {
        return;
    }
    if (!request_read(REQUEST_RESUME, r->body, r->arena, &ask, &why)) {
        http_answer_error(answer, 400, why);
        return;
    }
    e = queue_resume(ad->options.queue, ask.name, by);
    if (e.code == ERR_NOT_FOUND) {
        no_such_pause(ad, ask.name, answer, by);
        return;
    }
    if (e.code != OK) {
        http_answer_error(answer, 503, str_of(err_text(e.code)));
        return;
    }
    event_raise(&ev_admin_action, f_name(STR("resume")),
                f_by(ask.by.len > 0 ? ask.by : STR("operator")), f_text(ask.name));
    buf_byte(&answer->body, '{');
    json_text(&answer->body, "resumed", ask.name);
    buf_put(&answer->body, STR("}\n"));
}

void admin_queue_pauses(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_READS);
    struct buf *out = &answer->body;
    struct pauses *all;

    if (ad == NULL) {
        return;
    }
    all = queue_pauses(ad->options.queue, by);
    buf_put(out, STR("{\"items\":["));
    for (uint32_t i = 0; all != NULL && i < all->count; i++) {
        const struct pause *p = &all->items[i];

        json_next(out);
        buf_byte(out, '{');
        json_text(out, "name", p->name);
        json_text_if(out, "queue", p->which.queue);
        json_text_if(out, "site", p->which.site);
        json_text_if(out, "sender", p->which.sender);
        json_text_if(out, "rcpt", p->which.rcpt);
        json_text_if(out, "where", p->which.text);
        if (p->all) {
            json_bool(out, "all", true);
        }
        json_text_if(out, "reason", p->why);
        json_text(out, "by", p->who);
        json_date(out, "since", p->since);
        json_date(out, "until", p->until);
        buf_byte(out, '}');
    }
    buf_put(out, STR("]}\n"));
    pauses_give(all);
}
