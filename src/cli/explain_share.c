/*
 * What a recipient shares with other mail: the lane of its queue, whose turns it takes, and the
 * limiters that count it.
 */
#include "base/check.h"
#include "cli/explain.h"
#include "cli/show.h"
#include "config/units.h"

/* ---- which ---- */

static bool is_host_known(const struct explanation *e)
{
    return e->facts.mx.len > 0 || e->facts.remote_ip.family != 0;
}

static bool reads_host(const struct plan_limiter *l)
{
    return l->by.match != NULL && expr_facts(l->by.match)->is_late;
}

static void add(const struct explanation *e, struct explain_rcpt *r, const struct plan_limiter *l,
                struct str values)
{
    for (uint32_t i = 0; i < r->limit_count; i++) {
        if (r->limits[i].limiter == l) {
            return;
        }
    }
    r->limits[r->limit_count++] = (struct explain_limit){
        l, values, l->class == LIMITER_MESSAGES || is_host_known(e)};
}

static void add_limits(struct explanation *e, struct explain_rcpt *r, const struct subject *s,
                       bool is_local)
{
    const struct plan *p = e->plan;
    struct limit_use *uses = arena_array(e->arena, p->limiter_count + 1, sizeof *uses);

    r->limits = arena_array(e->arena, p->limiter_count + 1, sizeof *r->limits);
    for (int c = LIMITER_MESSAGES; c <= LIMITER_HOSTS; c++) {
        const struct plan_limiter *failed;
        uint32_t count = decide_limits(p, (enum limiter_class)c, s, is_local, e->arena, uses,
                                       &failed);

        for (uint32_t i = 0; i < count; i++) {
            add(e, r, &p->limiters[uses[i].limiter], uses[i].values);
        }
        r->left_out = failed != NULL ? failed : r->left_out;
    }
    for (uint32_t i = 0; i < p->limiter_count && !is_host_known(e); i++) {
        const struct plan_limiter *l = &p->limiters[i];

        if (reads_host(l) && (!is_local || l->settings->include_local)) {
            add(e, r, l, STR_EMPTY); /* whether it does, the host decides */
        }
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
    add_limits(e, r, &s, route != NULL && route->settings->type == ROUTE_LOCAL);
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

static bool is_of_host(unsigned variable)
{
    static const char *const names[] = {"mx", "remote_ip", "local_ip"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_eq(str_of(variable_name(variable)), str_of(names[i]))) {
            return true;
        }
    }
    return false;
}

/* The value of the key `at`; false: it is not known without the host. */
static bool key_value(const struct explain_limit *l, uint32_t at, struct str *ret)
{
    struct str rest = l->values;

    if (!l->is_host_known && (l->values.len == 0 || is_of_host(l->limiter->by.keys[at]))) {
        return false;
    }
    for (uint32_t i = 0; i <= at; i++) {
        str_cut(&rest, '\0', ret);
    }
    return true;
}

static void put_rate(const struct limiter_settings *s, struct buf *out)
{
    buf_printf(out, "%llu/", (unsigned long long)s->rate.count);
    duration_print(s->rate.period_ms, out);
}

static void put_limit(const struct explain_limit *l, struct buf *out)
{
    const struct plan_limiter *limiter = l->limiter;
    const struct limiter_settings *set = limiter->settings;
    const char *what = limiter->class == LIMITER_HOSTS ? "connections" : "messages";

    buf_printf(out, "  limit: %.*s  (", STR_ARG(limiter->name));
    explain_place(limiter->at, out);
    buf_put(out, STR(": "));
    if (set->rate.count > 0) {
        buf_put(out, STR("rate "));
        put_rate(set, out);
    }
    if (set->concurrency > 0) {
        buf_printf(out, "%sconcurrency %u", set->rate.count > 0 ? ", " : "", set->concurrency);
    }
    buf_printf(out, "; counts %s", what);
    for (uint32_t i = 0; i < limiter->by.key_count; i++) {
        const char *name = variable_name(limiter->by.keys[i]);
        struct str value;

        if (key_value(l, i, &value)) {
            buf_printf(out, "%s%s ", i == 0 ? " of " : ", ", name);
            show_text(value, out);
        } else {
            buf_printf(out, "%seach %s", i == 0 ? " of " : ", ", name);
        }
    }
    if (!l->is_host_known && reads_host(limiter)) {
        buf_put(out, STR("; if its match holds for the host, --mx, --remote-ip"));
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
        buf_put(out, STR("  limit: no queue.limiter.outbound counts it\n"));
    }
    if (r->left_out != NULL) {
        buf_printf(out, "    %.*s is left out: its match gives no value (",
                   STR_ARG(r->left_out->name));
        explain_place(r->left_out->at, out);
        buf_put(out, STR(")\n"));
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
    const struct plan_limiter *limiter = l->limiter;
    struct buf rate BUF_LOCAL = {0};

    json_next(out);
    buf_byte(out, '{');
    json_text(out, "name", limiter->name);
    json_at(out, "at", limiter->at);
    json_text(out, "counts",
              limiter->class == LIMITER_HOSTS ? STR("connections") : STR("messages"));
    if (limiter->settings->rate.count > 0) {
        put_rate(limiter->settings, &rate);
    }
    json_text_if(out, "rate", buf_str(&rate));
    if (limiter->settings->concurrency > 0) {
        json_number(out, "concurrency", limiter->settings->concurrency);
    }
    json_bool(out, "needs_host", !l->is_host_known);
    json_key(out, "key");
    buf_byte(out, '{');
    for (uint32_t i = 0; i < limiter->by.key_count; i++) {
        struct str value;

        if (key_value(l, i, &value)) {
            json_text(out, variable_name(limiter->by.keys[i]), value);
        } else {
            json_key(out, variable_name(limiter->by.keys[i]));
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
    if (r->left_out != NULL) {
        json_text(out, "limiter_left_out", r->left_out->name);
    }
}
