/*
 * POST /api/v1/queue/ACTION: hold, release, retry, cancel, move, reschedule. What is meant is said
 * in the body (request.h); with "progress": true lines come while it goes on, and the answer last.
 */
#include "admin/events.h"
#include "admin/json.h"
#include "admin/part.h"
#include "admin/request.h"
#include "base/check.h"
#include "mail/envelope.h"
#include "queue/operate.h"
#include "queue/queue.h"
#include "queue/settings.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/store.h"
#include "strategy/strategy.h"

enum { ACTION_MS = 3600 * 1000, PROGRESS_MS = 500 };

struct changing {
    struct operation operation;
    const struct request *ask;
    struct action action;
    struct http_answer *answer;
    struct buf missing; /* ids that are not in the queue, as JSON texts */
    struct when told;   /* progress, the last time */
    bool is_streamed;   /* some was: the answer follows as a line */
    struct when by;
};

/* ---- answers ---- */

static void write_counts(const struct operation *o, struct buf *out)
{
    json_number(out, "messages", o->messages);
    json_number(out, "recipients", o->recipients);
    json_number(out, "done", o->done);
    json_number(out, "requested", o->requested);
    json_number(out, "running", o->running);
    json_number(out, "held", o->held);
    json_number(out, "unchanged", o->unchanged);
    json_number(out, "ended", o->ended);
    json_number(out, "failed", o->failed_to);
}

static void tell_progress(void *ctx, const struct operation *o)
{
    struct changing *c = ctx;
    struct buf out BUF_LOCAL = {0};

    if (!c->ask->progress || clock_now().ns < c->told.ns) {
        return;
    }
    c->told = when_after(PROGRESS_MS);
    buf_put(&out, STR("{\"progress\":{"));
    write_counts(o, &out);
    buf_put(&out, STR("}}\n"));
    c->answer->type = "application/x-ndjson";
    c->is_streamed = true;
    /* Whoever asked may have gone: what was begun is done all the same. */
    (void)http_push(c->answer, buf_str(&out), c->by);
}

static void note_missing(void *ctx, uint64_t id)
{
    struct changing *c = ctx;

    json_next(&c->missing);
    buf_printf(&c->missing, "\"%016llx\"", (unsigned long long)id);
}

static void write_answer(struct changing *c, struct buf *out)
{
    buf_byte(out, '{');
    json_text(out, "action", str_of(action_name(c->action.kind)));
    json_bool(out, "dry_run", c->ask->dry_run);
    write_counts(&c->operation, out);
    json_key(out, "missing");
    buf_printf(out, "[%.*s]}\n", STR_ARG(buf_str(&c->missing)));
}

static void answer_end(struct changing *c, struct err e)
{
    struct str why = str_of(c->operation.failed != NULL ? c->operation.failed : err_text(e.code));
    struct buf line BUF_LOCAL = {0};

    if (e.code == OK && !c->is_streamed) {
        write_answer(c, &c->answer->body);
    } else if (e.code == OK) {
        write_answer(c, &line);
    } else if (!c->is_streamed) {
        http_answer_error(c->answer, c->operation.failed != NULL ? 400 : 503, why);
    } else { /* the status has gone out */
        buf_byte(&line, '{');
        json_text(&line, "error", why);
        buf_put(&line, STR("}\n"));
    }
    if (line.len > 0) {
        (void)http_push(c->answer, buf_str(&line), c->by);
    }
}

/* ---- what is asked ---- */

/* Names of queues and routes that there are not are said at once. */
static bool fill_move(struct changing *c)
{
    const struct request *ask = c->ask;
    struct plan *plan = c->action.plan;
    struct buf why BUF_LOCAL = {0};

    if (ask->to_queue.len > 0 && plan_queue(plan, ask->to_queue) == NULL) {
        buf_printf(&why, "there is no virtual queue %.*s; there are",
                   STR_ARG(str_head(ask->to_queue, 40)));
        for (size_t i = 0; i < plan->queue_count; i++) {
            buf_printf(&why, " %.*s", STR_ARG(plan->queues[i].name));
        }
    } else if (ask->to_route.len > 0 && plan_route(plan, ask->to_route) == NULL) {
        buf_printf(&why, "there is no route %.*s; there are", STR_ARG(str_head(ask->to_route, 40)));
        for (size_t i = 0; i < plan->route_count; i++) {
            buf_printf(&why, " %.*s", STR_ARG(plan->routes[i].name));
        }
    }
    if (why.len > 0) {
        http_answer_error(c->answer, 400, buf_str(&why));
    }
    return why.len == 0;
}

static bool fill_action(struct changing *c)
{
    const struct request *ask = c->ask;
    struct action *act = &c->action;

    act->who = ask->by.len > 0 ? ask->by : STR("operator");
    act->why = ask->reason;
    act->at = ask->at;
    act->is_silent = ask->silent;
    act->queue = ask->to_queue;
    act->route = ask->to_route;
    act->plan = queue_plan(c->operation.queue, c->by);
    if (ask->quarantine) {
        const struct quarantine_settings *s = config_settings(act->plan->config, &quarantine_table);

        act->drop = date_add(clock_date(), s->hold_max_ms);
    }
    return act->kind != ACTION_MOVE || fill_move(c);
}

static void act(struct changing *c, struct arena *a)
{
    struct operation *o = &c->operation;
    struct err e = queue_operate(o, c->by);

    answer_end(c, e);
    if (!c->ask->dry_run) { /* what was done before an error is done all the same */
        event_raise(&ev_admin_action, f_name(str_of(action_name(c->action.kind))),
                    f_count((int64_t)o->messages), f_recipients((int64_t)(o->done + o->requested)),
                    f_by(c->action.who), f_text(request_says(c->ask, a)));
    }
}

void admin_queue_change(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_CHANGES);
    struct changing c = {.answer = answer, .by = when_after(ACTION_MS)};
    struct buf bad BUF_LOCAL = {0};
    struct request ask;
    struct str why;

    (void)by; /* a large queue takes longer */
    if (ad == NULL) {
        return;
    }
    if (!action_by_name(r->parts[0], &c.action.kind)) {
        http_answer_error(answer, 404,
                          STR("there are hold, release, retry, cancel, move, "
                              "reschedule, pause and resume"));
        return;
    }
    if (!request_read((enum request_kind)c.action.kind, r->body, r->arena, &ask, &why)) {
        http_answer_error(answer, 400, why);
        return;
    }
    if (select_compile(&ask.which, &bad).code != OK) {
        http_answer_error(answer, 400, buf_str(&bad));
        return;
    }
    c.ask = &ask;
    c.operation = (struct operation){.queue = ad->options.queue,
                                     .store = ad->options.store,
                                     .action = &c.action,
                                     .selection = &ask.which,
                                     .ids = ask.ids.items,
                                     .id_count = ask.ids.count,
                                     .dry_run = ask.dry_run,
                                     .progress = tell_progress,
                                     .missing = note_missing,
                                     .ctx = &c};
    if (fill_action(&c)) {
        act(&c, r->arena);
    }
    plan_give(c.action.plan);
    buf_done(&c.missing);
    select_done(&ask.which);
}
