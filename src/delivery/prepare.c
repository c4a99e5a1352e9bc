/*
 * prepare: which way a job goes, before it may have a slot. Strategies are evaluated for each of
 * its recipients; where all go is looked up.
 */
#include "base/check.h"
#include "delivery/events.h"
#include "delivery/filters.h"
#include "delivery/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "smtp/reply.h"

enum { STRATEGY_WAIT_MS = 60 * 1000, STORE_WAIT_MS = 60 * 1000 };

void job_waits(struct job *j, enum wait_reason reason, int64_t ms, struct str text)
{
    struct date until = date_add(clock_date(), ms);

    queue_prepared(j->work, PREPARED_WAIT, STR_EMPTY, reason, until, text);
}

struct err envelope_read(struct work *w, struct store *s, struct when by)
{
    if (w->parcel == NULL) {
        struct err e = store_fetch(s, w->message, &w->parcel, by);

        if (e.code) {
            return e;
        }
        w->to = NULL;
    }
    if (w->to == NULL) {
        w->to_count = job_members(&w->parcel->message, w->first, &w->arena, &w->to);
    }
    return ERR_OK;
}

static struct subject subject_of(const struct job *j, uint32_t at)
{
    return (struct subject){.message = &j->work->parcel->message,
                            .recipient = job_recipient(j, at),
                            .facts = {.now = clock_date(), .mx = STR_EMPTY}};
}

/* Recipient `at`'s questions: its strategies hear the same answers. */
static struct asking asking_of(const struct job *j, uint32_t at)
{
    return (struct asking){
        .asker = j->l->d->options.asker, .arena = &j->work->arena, .answers = j->answers[at]};
}

/* A decision that is none. */
static bool waits_for_strategy(struct job *j, uint32_t at, const char *which,
                               const struct decision *d)
{
    struct arena *a = &j->work->arena;
    struct str place = decision_place(d, a);
    struct str why = arena_printf(a, "%s strategy at %.*s: %.*s", which, STR_ARG(place),
                                  STR_ARG(d->why));

    event_raise(&ev_delivery_waits, f_message(j->work->message),
                f_rcpt(job_recipient(j, at)->address), f_reason(STR("strategy")), f_text(why));
    job_waits(j, WAIT_STRATEGY, STRATEGY_WAIT_MS, why);
    return false;
}

/* The recipients go different ways: their hints are put right and they become jobs of their own. No
 * attempt is spent and no time changes. */
static void part(struct job *j, const struct plan_route *const *routes)
{
    struct work *w = j->work;

    w->results = arena_array(&w->arena, w->to_count, sizeof *w->results);
    for (uint32_t i = 0; i < w->to_count; i++) {
        w->results[i] = state_next(job_recipient(j, i));
        w->results[i].site = plan_site(routes[i], job_recipient(j, i)->address, &w->arena);
    }
    queue_prepared(w, PREPARED_RESULTS, STR_EMPTY, WAIT_NOT_DUE, DATE_NEVER, STR_EMPTY);
}

static bool goes_elsewhere(const struct job *j, const struct plan_route *route, uint32_t at)
{
    return route != j->route ||
           (route->settings->type == ROUTE_MX &&
            !str_eq_nocase(address_domain(job_recipient(j, at)->address), j->domain));
}

/* False: the answer was given. */
static bool decide_routes(struct job *j, struct when by)
{
    struct work *w = j->work;
    const struct plan_route **routes = arena_array(&w->arena, w->to_count, sizeof(void *));
    bool is_one = true;

    for (uint32_t i = 0; i < w->to_count; i++) {
        struct subject s = subject_of(j, i);
        struct asking asking = asking_of(j, i);
        struct decision d;

        if (j->picks != NULL && j->picks[i].route != NULL) {
            routes[i] = j->picks[i].route;
        } else {
            routes[i] = ask_route(w->plan, &s, &asking, &w->arena, &d, by);
            j->answers[i] = asking.answers;
        }
        if (routes[i] == NULL) {
            return waits_for_strategy(j, i, "route", &d);
        }
        if (i == 0) {
            j->route = routes[0];
            j->domain = routes[0]->settings->type == ROUTE_MX
                            ? address_domain(job_recipient(j, 0)->address)
                            : STR_EMPTY;
        }
        is_one = is_one && !goes_elsewhere(j, routes[i], i);
    }
    if (!is_one) {
        part(j, routes);
    }
    return is_one;
}

/* A filter's choice makes nothing weaker (P8). */
static void pick_tls(struct job *j, uint32_t at)
{
    const struct pick *p = j->picks != NULL ? &j->picks[at] : NULL;

    if (p == NULL || p->tls == NULL) {
        return;
    }
    if (!tls_is_stronger(j->tls[at], p->tls)) {
        j->tls[at] = p->tls;
        return;
    }
    event_raise(&ev_filter_unmade, f_message(j->work->message),
                f_rcpt(job_recipient(j, at)->address), f_name(p->by),
                f_text(STR("the tls it chose is weaker than what the strategy asks for")));
}

static bool decide_rest(struct job *j, struct when by)
{
    struct work *w = j->work;

    j->connections = arena_array(&w->arena, w->to_count, sizeof(void *));
    j->tls = arena_array(&w->arena, w->to_count, sizeof(void *));
    for (uint32_t i = 0; i < w->to_count; i++) {
        struct subject s = subject_of(j, i);
        struct asking asking = asking_of(j, i);
        struct decision d;

        if (j->picks != NULL && j->picks[i].connection != NULL) {
            j->connections[i] = j->picks[i].connection;
        } else if (!plan_is_late(w->plan, STRATEGY_CONNECTION)) {
            j->connections[i] = ask_connection(w->plan, &s, &asking, &w->arena, &d, by);
            if (j->connections[i] == NULL) {
                return waits_for_strategy(j, i, "connection", &d);
            }
        }
        /* A late list is asked here too, for what the domain wants; the stronger answer counts. */
        j->tls[i] = ask_tls(w->plan, &s, &asking, &w->arena, &d, by);
        j->answers[i] = asking.answers;
        if (j->tls[i] == NULL) {
            return waits_for_strategy(j, i, "tls", &d);
        }
        pick_tls(j, i);
    }
    return true;
}

static void answer_ready(struct job *j)
{
    struct work *w = j->work;
    struct str site = plan_site(j->route, job_recipient(j, 0)->address, &w->arena);

    if (j->connections[0] != NULL) {
        w->rests = j->connections[0]->settings->rest;
        w->turn_messages = j->connections[0]->settings->turn_messages;
        w->turn_ms = j->connections[0]->settings->turn_ms;
    }
    job_limits(j);
    queue_prepared(w, PREPARED_READY, site, WAIT_NO_SLOT, DATE_NEVER, STR_EMPTY);
}

static void answer_results(struct job *j, const struct outcome *all, struct when by)
{
    struct work *w = j->work;
    struct str site = j->route ? plan_site(j->route, job_recipient(j, 0)->address, &w->arena)
                               : STR_EMPTY;

    for (uint32_t i = 0; i < w->to_count; i++) {
        j->outcomes[i] = *all;
    }
    results_of(j, 0, by);
    queue_prepared(w, PREPARED_RESULTS, site, WAIT_NOT_DUE, DATE_NEVER, STR_EMPTY);
}

/* Whether the time of all is over: then nothing is tried any more (PY-20 lets those through that
 * were never tried). */
static bool are_over(const struct job *j)
{
    struct date now = clock_date();

    for (uint32_t i = 0; i < j->work->to_count; i++) {
        if (schedule_verdict(&job_recipient(j, i)->state, now, false) == SCHEDULE_WAITS) {
            return false;
        }
    }
    return true;
}

static void answer_over(struct job *j)
{
    struct work *w = j->work;

    w->results = arena_array(&w->arena, w->to_count, sizeof *w->results);
    for (uint32_t i = 0; i < w->to_count; i++) {
        w->results[i] = state_next(job_recipient(j, i));
        state_fail(&w->parcel->message, job_recipient(j, i), &w->results[i]);
    }
    queue_prepared(w, PREPARED_RESULTS, STR_EMPTY, WAIT_NOT_DUE, DATE_NEVER, STR_EMPTY);
}

/* The words of a route that rejects, as if a host had said them: an enhanced code may come first.
 */
static void reply_words(const struct job *j, const struct route_settings *r, struct outcome *ret)
{
    struct arena *a = &j->work->arena;
    struct str line = arena_printf(a, "%u %.*s\r\n", r->reply_code, STR_ARG(r->reply_text));
    struct reply_parser parser = {0};
    struct reply said;
    size_t used;

    must(reply_parse(&parser, line, &used, &said) == REPLY_WHOLE);
    ret->code = said.code;
    ret->esc = said.esc;
    ret->text = arena_dup(a, said.text);
    reply_parser_done(&parser);
}

/* A route that leads nowhere says itself what becomes of its mail. */
static bool route_answers(const struct job *j, struct outcome *ret)
{
    const struct route_settings *r = j->route->settings;

    if (r->type == ROUTE_DISCARD) {
        *ret = outcome_of(OUTCOME_DONE, LAST_NONE, "2.0.0", STR("discarded"), STR("localhost"));
        return true;
    }
    if (r->type == ROUTE_REJECT) {
        *ret = (struct outcome){.kind = r->reply_code / 100 == 5 ? OUTCOME_FAILED
                                                                 : OUTCOME_LATER_REPLY,
                                .error = LAST_REPLY,
                                .host = STR("localhost")};
        reply_words(j, r, ret);
        return true;
    }
    return false;
}

/* Waits for nothing but look-ups. False: the answer was given. */
static bool decide(struct job *j, struct when by)
{
    struct work *w = j->work;
    struct outcome all;

    by = when_within(by, LOOKUPS_MS);
    j->outcomes = arena_array(&w->arena, w->to_count, sizeof *j->outcomes);
    if (w->to_count == 0 || are_over(j)) {
        answer_over(j);
        return false;
    }
    if (answer_paused(j)) {
        return false;
    }
    j->answers = arena_array(&w->arena, w->to_count, sizeof *j->answers);
    if (filters_ask_at(j->l, HOOK_ROUTE) && !filters_route(j, WHEN_NEVER)) {
        return false;
    }
    if (!decide_routes(j, by)) {
        return false;
    }
    if (route_answers(j, &all)) {
        answer_results(j, &all, by);
        return false;
    }
    j->is_decided = decide_rest(j, by);
    return j->is_decided;
}

/* The schedule too: a route may reject for now. */
static bool must_ask(const struct plan *p)
{
    bool asks = false;

    for (unsigned i = 0; i < STRATEGY_COUNT; i++) {
        asks = asks || plan_asks(p, (enum strategy)i);
    }
    return asks;
}

bool prepare_at_once(struct job *j)
{
    struct work *w = j->work;

    if (w->parcel == NULL || must_ask(w->plan) || filters_ask_at(j->l, HOOK_ROUTE)) {
        return false;
    }
    if (w->to == NULL) {
        w->to_count = job_members(&w->parcel->message, w->first, &w->arena, &w->to);
    }
    if (!decide(j, WHEN_NEVER)) { /* without look-ups nothing is waited for */
        return true;
    }
    if (!hosts_known(j)) {
        return false;
    }
    answer_ready(j);
    return true;
}

void prepare_fiber(void *arg)
{
    struct job *j = arg;
    struct outcome all = {0};
    char why[160];

    if (!j->is_decided) {
        struct err e = envelope_read(j->work, j->l->d->options.store, WHEN_NEVER);

        if (e.code == ERR_NOT_FOUND) { /* no longer stored: nothing is left to do */
            j->work->to_count = 0;
            queue_prepared(j->work, PREPARED_RESULTS, STR_EMPTY, WAIT_NOT_DUE, DATE_NEVER,
                           STR_EMPTY);
            return;
        }
        if (e.code) {
            job_waits(j, WAIT_STORE, STORE_WAIT_MS,
                      arena_dup(&j->work->arena, err_say(e, why, sizeof why)));
            return;
        }
        if (!decide(j, WHEN_NEVER)) {
            return;
        }
    }
    if (hosts_known(j) || hosts_find(j, &all, WHEN_NEVER)) {
        answer_ready(j);
    } else if (all.kind == OUTCOME_NONE) {
        job_waits(j, WAIT_LOOKUP, 1000, STR("the look-up was cut short"));
    } else {
        answer_results(j, &all, WHEN_NEVER);
    }
}
