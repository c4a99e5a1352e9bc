/*
 * What a recipient shares with other mail: the lane of its queue, whose turns it takes, and the
 * limiters that count it, on its way out and, as far as is said of its client, when it arrived.
 */
#include "base/check.h"
#include "cli/explain.h"
#include "cli/show.h"
#include "config/units.h"
#include "strategy/visitors.h"

#include <stdio.h>

/* ---- which ---- */

static const char *const visitor_counts[] = {[VISITOR_CLIENTS] = "sessions",
                                             [VISITOR_SENDERS] = "transactions",
                                             [VISITOR_RECIPIENTS] = "recipients"};
static const enum answer_row visitor_answers[] = {[VISITOR_CLIENTS] = ANSWER_RATE_CLIENT,
                                                  [VISITOR_SENDERS] = ANSWER_RATE,
                                                  [VISITOR_RECIPIENTS] = ANSWER_RATE};

static bool is_host_known(const struct explanation *e)
{
    return e->facts.mx.len > 0 || e->facts.remote_ip.family != 0;
}

static bool is_of_host(struct str key)
{
    return str_eq(key, STR("mx")) || str_eq(key, STR("remote_ip")) || str_eq(key, STR("local_ip"));
}

/* What was not said of the client; its own side of the connection never is. */
static bool is_unsaid(const struct explanation *e, struct str key)
{
    const struct message *m = &e->message;

    return str_eq(key, STR("local_ip")) ||
           (str_eq(key, STR("remote_ip")) && m->client_ip.len == 0) ||
           (str_eq(key, STR("listener")) && m->listener.len == 0) ||
           (str_eq(key, STR("helo_domain")) && m->client_name.len == 0);
}

static void add_leaving(const struct explanation *e, struct explain_rcpt *r,
                        const struct plan_limiter *l, struct str values)
{
    bool knows = l->class == LIMITER_MESSAGES || is_host_known(e);
    struct explain_limit *new = &r->limits[r->limit_count++];

    *new = (struct explain_limit){
        .name = l->name, .settings = l->settings, .at = l->at, .values = values};
    new->counts = l->class == LIMITER_HOSTS ? "connections" : "messages";
    new->is_open = !knows && l->by.match != NULL &&expr_facts(l->by.match)->is_late;
    for (uint32_t i = 0; i < l->settings->key.count && !knows; i++) {
        new->unknown |= (uint32_t)(values.len == 0 || is_of_host(l->settings->key.items[i])) << i;
    }
}

static bool is_added(const struct explain_rcpt *r, const struct plan_limiter *l)
{
    for (uint32_t i = 0; i < r->limit_count; i++) {
        if (r->limits[i].settings == l->settings) {
            return true;
        }
    }
    return false;
}

static void add_all_leaving(struct explanation *e, struct explain_rcpt *r, const struct subject *s,
                            bool is_local)
{
    const struct plan *p = e->plan;
    struct limit_use *uses = arena_array(e->arena, p->limiter_count + 1, sizeof *uses);

    for (int c = LIMITER_MESSAGES; c <= LIMITER_HOSTS; c++) {
        const struct plan_limiter *failed;
        uint32_t count = decide_limits(p, (enum limiter_class)c, s, is_local, e->arena, uses,
                                       &failed);

        for (uint32_t i = 0; i < count; i++) {
            add_leaving(e, r, &p->limiters[uses[i].limiter], uses[i].values);
        }
        r->left_out = failed != NULL ? failed->name : r->left_out;
    }
    for (uint32_t i = 0; i < p->limiter_count && !is_host_known(e); i++) {
        const struct plan_limiter *l = &p->limiters[i];

        if (l->by.match != NULL && expr_facts(l->by.match)->is_late && !is_added(r, l) &&
            (!is_local || l->settings->include_local)) {
            add_leaving(e, r, l, STR_EMPTY); /* whether it does, the host decides */
        }
    }
}

static void add_all_arriving(struct explanation *e, struct explain_rcpt *r)
{
    const struct message *m = &e->message;
    const struct plan *p = e->plan;
    struct visitor_use *uses = arena_array(e->arena, p->visitor_limiter_count + 1, sizeof *uses);
    struct visitor g = {.listener = m->listener,
                        .is_trusted = m->is_trusted,
                        .helo = m->client_name,
                        .authenticated_as = m->authenticated_as,
                        .sender = m->sender,
                        .rcpt = r->address,
                        .priority = m->priority};

    must(addr_parse_ip(STR("0.0.0.0"), &g.local));
    if (!addr_parse_ip(m->client_ip, &g.remote)) {
        g.remote = g.local;
    }
    for (int c = VISITOR_CLIENTS; c <= VISITOR_RECIPIENTS; c++) {
        struct str failed;
        uint32_t count = decide_visitor(p, (enum visitor_class)c, &g, e->arena, uses, &failed);

        for (uint32_t i = 0; i < count; i++) {
            const struct plan_visitor_limiter *l = uses[i].limiter;
            struct explain_limit *new = &r->limits[r->limit_count++];

            *new = (struct explain_limit){.name = l->name,
                                          .settings = l->settings,
                                          .at = l->at,
                                          .arrives = true,
                                          .counts = visitor_counts[l->class],
                                          .full = visitor_answers[l->class],
                                          .values = uses[i].values};
            for (uint32_t k = 0; k < l->settings->key.count; k++) {
                new->unknown |= (uint32_t)is_unsaid(e, l->settings->key.items[k]) << k;
            }
        }
        r->left_out = failed.len > 0 ? failed : r->left_out;
    }
}

void explain_share(struct explanation *e, struct explain_rcpt *r, const struct recipient *now,
                   struct date at)
{
    const struct plan_queue *q = plan_queue(e->plan, r->queue);
    const struct explain_decision *way = &r->decisions[STRATEGY_ROUTE];
    const struct plan_route *route = way->decision.status == DECIDED
                                         ? plan_route(e->plan, way->decision.name)
                                         : NULL;
    struct subject s = {.message = &e->message, .recipient = now, .facts = e->facts};

    s.facts.now = at;
    s.answers = &e->answers;
    r->lane = arena_dup(e->arena, now->state.lane);
    r->weight = q != NULL ? decide_weight(q, r->lane) : 1;
    r->limits = arena_array(e->arena, e->plan->limiter_count + e->plan->visitor_limiter_count + 1,
                            sizeof *r->limits);
    if (e->message.source < SOURCE_DSN) {
        add_all_arriving(e, r);
    }
    add_all_leaving(e, r, &s, route != NULL && route->settings->type == ROUTE_LOCAL);
}

/* ---- for people ---- */

static void put_lane(const struct explanation *e, const struct explain_rcpt *r, struct buf *out)
{
    const struct plan_queue *q = plan_queue(e->plan, r->queue);
    struct position at;

    if (q == NULL) {
        return;
    }
    if (q->fair_by == NULL) {
        buf_printf(out, "  lane: the one that queue %.*s has for all  (", STR_ARG(q->name));
        explain_place(q->at, out);
        buf_put(out, STR(": no fair-by)\n"));
        return;
    }
    buf_put(out, STR("  lane: "));
    if (r->lane.len > 0) {
        show_text(r->lane, out);
    } else {
        buf_put(out, STR("the one without a name"));
    }
    (void)config_where(e->plan->config, q->settings, "fair-by", &at);
    buf_printf(out, ", weight %u  (queue %.*s, ", r->weight, STR_ARG(q->name));
    explain_place(at, out);
    buf_put(out, STR(": fair-by)\n"));
}

/* The value of the key `at`; false: it is not known here. */
static bool key_value(const struct explain_limit *l, uint32_t at, struct str *ret)
{
    struct str rest = l->values;

    for (uint32_t i = 0; i <= at; i++) {
        str_cut(&rest, '\0', ret);
    }
    return (l->unknown >> at & 1) == 0;
}

static void put_rate(const struct limiter_settings *s, struct buf *out)
{
    buf_printf(out, "%llu/", (unsigned long long)s->rate.count);
    duration_print(s->rate.period_ms, out);
}

static void put_limit(const struct explain_limit *l, struct buf *out)
{
    const struct limiter_settings *set = l->settings;

    buf_printf(out, "  limit%s: %.*s  (", l->arrives ? " on arrival" : "", STR_ARG(l->name));
    explain_place(l->at, out);
    buf_put(out, STR(": "));
    if (set->rate.count > 0) {
        buf_put(out, STR("rate "));
        put_rate(set, out);
    }
    if (set->concurrency > 0) {
        buf_printf(out, "%sconcurrency %u", set->rate.count > 0 ? ", " : "", set->concurrency);
    }
    buf_printf(out, "; counts %s", l->counts);
    for (uint32_t i = 0; i < set->key.count; i++) {
        struct str name = set->key.items[i], value;

        if (key_value(l, i, &value)) {
            buf_printf(out, "%s%.*s ", i == 0 ? " of " : ", ", STR_ARG(name));
            show_text(value, out);
        } else {
            buf_printf(out, "%seach %.*s", i == 0 ? " of " : ", ", STR_ARG(name));
        }
    }
    if (l->is_open) {
        buf_put(out, STR("; if its match holds for the host, --mx, --remote-ip"));
    }
    if (l->arrives) {
        buf_put(out, STR("; without room: "));
        explain_answer_line(l->full, out);
    }
    buf_put(out, STR(")\n"));
}

void explain_share_text(const struct explanation *e, const struct explain_rcpt *r, struct buf *out)
{
    if (r->queue.len == 0) {
        return;
    }
    put_lane(e, r, out);
    for (uint32_t i = 0; i < r->limit_count; i++) {
        put_limit(&r->limits[i], out);
    }
    if (r->limit_count == 0) {
        buf_put(out, STR("  limit: none counts it\n"));
    }
    if (r->left_out.len > 0) {
        buf_printf(out, "    %.*s is left out: its match gives no value\n", STR_ARG(r->left_out));
    }
}

/* ---- JSON ---- */

static void json_at(struct buf *out, const char *key, struct position at)
{
    struct buf text BUF_LOCAL = {0};

    explain_place(at, &text);
    json_text(out, key, buf_str(&text));
}

static void json_lane(const struct explanation *e, const struct explain_rcpt *r, struct buf *out)
{
    const struct plan_queue *q = plan_queue(e->plan, r->queue);
    struct position at;

    json_key(out, "lane");
    buf_byte(out, '{');
    json_text(out, "queue", r->queue);
    json_text(out, "name", r->lane);
    json_number(out, "weight", r->weight);
    if (q != NULL && q->fair_by != NULL) {
        (void)config_where(e->plan->config, q->settings, "fair-by", &at);
        json_at(out, "fair_by", at);
    }
    buf_byte(out, '}');
}

static void json_limit(const struct explain_limit *l, struct buf *out)
{
    struct buf rate BUF_LOCAL = {0}, answer BUF_LOCAL = {0};

    json_next(out);
    buf_byte(out, '{');
    json_text(out, "name", l->name);
    json_text(out, "way", l->arrives ? STR("inbound") : STR("outbound"));
    json_at(out, "at", l->at);
    json_text(out, "counts", str_of(l->counts));
    if (l->settings->rate.count > 0) {
        put_rate(l->settings, &rate);
    }
    json_text_if(out, "rate", buf_str(&rate));
    if (l->settings->concurrency > 0) {
        json_number(out, "concurrency", l->settings->concurrency);
    }
    if (l->arrives) {
        explain_answer_line(l->full, &answer);
    }
    json_text_if(out, "full", buf_str(&answer));
    json_bool(out, "needs_host", l->is_open || l->unknown > 0);
    json_key(out, "key");
    buf_byte(out, '{');
    for (uint32_t i = 0; i < l->settings->key.count; i++) {
        struct str value;
        char name[NAME_BYTES_MAX + 1];

        (void)snprintf(name, sizeof name, "%.*s", STR_ARG(l->settings->key.items[i]));
        if (key_value(l, i, &value)) {
            json_text(out, name, value);
        } else {
            json_key(out, name);
            buf_put(out, STR("null"));
        }
    }
    buf_put(out, STR("}}"));
}

void explain_share_json(const struct explanation *e, const struct explain_rcpt *r, struct buf *out)
{
    json_lane(e, r, out);
    json_key(out, "limits");
    buf_byte(out, '[');
    for (uint32_t i = 0; i < r->limit_count; i++) {
        json_limit(&r->limits[i], out);
    }
    buf_byte(out, ']');
    json_text_if(out, "limiter_left_out", r->left_out);
}
