/* The decisions of an explanation, and its time line. */
#include "base/check.h"
#include "cli/explain.h"
#include "config/units.h"

const char *explain_strategy(enum strategy which)
{
    static const char *const names[STRATEGY_COUNT] = {
        [STRATEGY_SCHEDULE] = "schedule",
        [STRATEGY_ROUTE] = "route",
        [STRATEGY_CONNECTION] = "connection",
        [STRATEGY_TLS] = "tls",
    };

    return names[which];
}

/* ---- one decision ---- */

struct looking {
    struct explain_decision *d;
    const struct plan *plan;
    const struct subject *subject;
    struct arena *arena;
};

static void look(void *ctx, const struct rule_look *seen)
{
    struct looking *l = ctx;
    struct explain_decision *d = l->d;
    struct explain_rule *rule;

    if (d->rule_count == d->rule_room) {
        struct explain_rule *more = arena_array(l->arena, d->rule_room * 2 + 8, sizeof *more);

        if (d->rule_count > 0) {
            memcpy(more, d->rules, d->rule_count * sizeof *more);
        }
        d->rules = more;
        d->rule_room = d->rule_room * 2 + 8;
    }
    rule = &d->rules[d->rule_count++];
    rule->look = *seen;
    rule->reads = arena_array(l->arena, EXPR_VARIABLES_MAX, sizeof *rule->reads);
    for (unsigned id = 0; plan_variable_name(l->plan, id) != NULL; id++) {
        if ((seen->reads >> id & 1) != 0) {
            rule->reads[rule->read_count++] = (struct explain_read){
                plan_variable_name(l->plan, id), plan_variable(l->plan, l->subject, id, l->arena)};
        }
    }
}

static void put_durations(const char *key, const struct duration_list *list, struct buf *out)
{
    buf_printf(out, ", %s", key);
    for (size_t i = 0; i < list->count; i++) {
        buf_byte(out, ' ');
        duration_print(list->items[i], out);
    }
    if (list->count == 0) {
        buf_put(out, STR(" never"));
    }
}

static void say_schedule(const struct schedule *s, struct buf *out)
{
    buf_printf(out, "queue %.*s", STR_ARG(s->queue_name));
    put_durations("retry", &s->settings->retry, out);
    put_durations("notify", &s->settings->notify, out);
    if (s->attempts_max > 0) {
        buf_printf(out, ", %u attempts", s->attempts_max);
    } else {
        buf_put(out, STR(", expire "));
        duration_print(s->expire_ms, out);
    }
}

static void say_targets(const struct plan_route *r, struct buf *out)
{
    for (size_t i = 0; i < r->target_count; i++) {
        const struct plan_target *t = &r->targets[i];

        buf_printf(out, "%s%.*s port %u", i > 0 ? ", " : "", STR_ARG(t->host), t->port);
    }
}

static void say_route(const struct plan_route *r, struct buf *out)
{
    const struct route_settings *s = r->settings;
    bool is_lmtp = s->type == ROUTE_LOCAL || s->protocol == PROTOCOL_LMTP;

    switch (s->type) {
    case ROUTE_MX:
        buf_printf(out, "type mx, port %u", r->port);
        break;
    case ROUTE_LOCAL:
        if (s->deliver == DELIVER_MAILDIR) {
            buf_printf(out, "type local, maildir at %.*s", STR_ARG(s->path));
            break;
        }
        if (s->deliver == DELIVER_PIPE) {
            buf_printf(out, "type local, to the program %.*s", STR_ARG(s->command.items[0]));
            break;
        }
        buf_put(out, STR("type local, LMTP to "));
        say_targets(r, out);
        break;
    case ROUTE_RELAY:
        buf_printf(out, "type relay, %s to ", is_lmtp ? "LMTP" : "SMTP");
        say_targets(r, out);
        break;
    case ROUTE_DISCARD:
        buf_put(out, STR("type discard"));
        break;
    case ROUTE_REJECT:
        buf_printf(out, "type reject, %u %.*s", s->reply_code, STR_ARG(s->reply_text));
        break;
    }
}

static void say_connection(const struct plan_connection *c, struct buf *out)
{
    char at[ADDR_BYTES];

    buf_printf(out, "ehlo-hostname %.*s", STR_ARG(c->ehlo_hostname));
    for (size_t i = 0; i < c->source_count; i++) {
        buf_printf(out, "%s%.*s", i == 0 ? ", from " : " ",
                   STR_ARG(addr_print_ip(&c->sources[i].ip, at)));
    }
    buf_put(out, STR(", connect within "));
    duration_print(c->settings->connect_ms, out);
}

static void say_tls(const struct plan_tls *t, struct buf *out)
{
    static const char *const words[] = {[TLS_DISABLE] = "disable",
                                        [TLS_OPTIONAL] = "optional",
                                        [TLS_IF_OFFERED] = "if-offered",
                                        [TLS_REQUIRE] = "require"};

    buf_printf(out, "starttls %s, dane %s, mta-sts %s", words[t->settings->starttls],
               words[t->settings->dane], words[t->settings->mta_sts]);
}

static void decide_one(struct explanation *e, struct explain_decision *d, struct subject s)
{
    struct looking looking = {d, e->plan, &s, e->arena};
    struct decision_watch watch = {look, &looking};
    struct buf out BUF_LOCAL = {0};
    const struct schedule *schedule;
    const struct plan_route *route;
    const struct plan_connection *connection;
    const struct plan_tls *tls;

    s.watch = &watch;
    d->is_late = plan_is_late(e->plan, d->which);
    if (d->which == STRATEGY_SCHEDULE) {
        schedule = decide_schedule(e->plan, &s, e->arena, &d->decision);
        if (schedule != NULL) {
            d->object_at = schedule->at;
            say_schedule(schedule, &out);
        }
    } else if (d->which == STRATEGY_ROUTE) {
        route = decide_route(e->plan, &s, e->arena, &d->decision);
        if (route != NULL) {
            d->object_at = route->at;
            say_route(route, &out);
        }
    } else if (d->which == STRATEGY_CONNECTION) {
        connection = decide_connection(e->plan, &s, e->arena, &d->decision);
        if (connection != NULL) {
            d->object_at = connection->at;
            say_connection(connection, &out);
        }
    } else {
        tls = decide_tls(e->plan, &s, e->arena, &d->decision);
        if (tls != NULL) {
            d->object_at = tls->at;
            say_tls(tls, &out);
        }
    }
    d->object = arena_dup(e->arena, buf_str(&out));
}

/* ---- a recipient ---- */

static void keep(struct explanation *e, struct explain_rcpt *r, const struct course_step *step)
{
    if (r->steps == NULL) {
        r->steps = arena_array(e->arena, EXPLAIN_STEPS_MAX, sizeof *r->steps);
    }
    if (r->step_count < EXPLAIN_STEPS_MAX) {
        r->steps[r->step_count++] = *step;
    } else {
        r->has_more = true;
    }
}

/* What holds when the attempt that was asked about begins. */
static void decide_at(struct explanation *e, struct explain_rcpt *r, const struct course *c,
                      struct date at)
{
    struct recipient now = c->recipient, decided = c->decided;
    struct subject s = {.message = &e->message, .facts = e->facts, .answers = &e->answers};

    r->attempt_at = at;
    r->queue = arena_dup(e->arena, now.state.queue);
    r->decisions[STRATEGY_SCHEDULE].decided_after = decided.state.last.at.ms > 0
                                                        ? decided.state.attempts + 1u
                                                        : 0;
    for (unsigned i = 0; i < STRATEGY_COUNT; i++) {
        r->decisions[i].which = (enum strategy)i;
        s.recipient = i == STRATEGY_SCHEDULE ? &decided : &now;
        s.facts.now = i == STRATEGY_SCHEDULE ? c->decided_at : at;
        decide_one(e, &r->decisions[i], s);
    }
    explain_share(e, r, &now, at);
}

static void explain_one(struct explanation *e, struct recipient *to, struct explain_rcpt *r)
{
    struct subject s = {.message = &e->message, .recipient = to, .answers = &e->answers};
    struct course_step step;
    struct course c;
    bool is_found = false;

    r->address = to->address;
    course_begin(&c, e->plan, &s, &e->failure, e->arena);
    while (course_next(&c, &step) && !r->has_more) {
        if (step.kind == COURSE_ATTEMPT && step.number == e->attempt) {
            is_found = true;
            decide_at(e, r, &c, step.at);
        }
        keep(e, r, &step);
    }
    if (!is_found) { /* no such attempt, or the schedule could not be decided: say how far it came
                      */
        r->was_over = r->step_count > 0;
        decide_at(e, r, &c, r->was_over ? r->steps[r->step_count - 1].at : e->message.arrived);
    }
}

void explain_all(struct explanation *e)
{
    e->to = arena_array(e->arena, e->message.to_count, sizeof *e->to);
    for (uint32_t i = 0; i < e->message.to_count; i++) {
        explain_one(e, &e->message.to[i], &e->to[i]);
    }
    explain_quotas(e);
}

/* ---- look-ups ---- */

/* An argument: text in quotes of either kind, or a number; *rest follows it. */
static bool argument(struct str *rest, struct value *ret)
{
    struct str s = str_trim(*rest);
    size_t end = 0;
    int64_t number;

    if (s.len > 0 && (s.ptr[0] == '\'' || s.ptr[0] == '"')) {
        size_t close = str_find(str_skip(s, 1), s.ptr[0]);

        if (close == STR_NONE) {
            return false;
        }
        *ret = value_text(str_make(s.ptr + 1, close));
        *rest = str_trim(str_skip(s, close + 2));
        return true;
    }
    while (end < s.len && s.ptr[end] != ',' && s.ptr[end] != ')') {
        end++;
    }
    if (!str_to_i64(str_trim(str_head(s, end)), &number)) {
        return false;
    }
    *ret = value_int(number);
    *rest = str_skip(s, end);
    return true;
}

static bool kind_of(struct str name, enum expr_lookup_kind *ret)
{
    for (unsigned i = 0; i < EXPR_LOOKUP_COUNT; i++) {
        if (str_eq(str_of(expr_lookup_name((enum expr_lookup_kind)i)), name)) {
            *ret = (enum expr_lookup_kind)i;
            return true;
        }
    }
    return false;
}

bool explain_answer(struct explanation *e, struct str word, struct buf *why)
{
    struct expr_lookup l = {0};
    struct str rest = word, name;
    struct value value;
    int64_t number;

    str_cut(&rest, '(', &name);
    if (!kind_of(str_trim(name), &l.kind)) {
        buf_printf(why, "there is no look-up %.*s", STR_ARG(name));
        return false;
    }
    while (l.arg_count < EXPR_ARGS_MAX && argument(&rest, &l.args[l.arg_count])) {
        l.arg_count++;
        if (rest.len == 0 || rest.ptr[0] != ',') {
            break;
        }
        rest = str_skip(rest, 1);
    }
    if (rest.len == 0 || rest.ptr[0] != ')') {
        buf_put(why, STR("write it as key_get('store', 'key')=value"));
        return false;
    }
    rest = str_trim(str_skip(rest, 1));
    if (rest.len == 0 || rest.ptr[0] != '=') {
        buf_put(why, STR("what is the answer? =value is missing"));
        return false;
    }
    rest = str_trim(str_skip(rest, 1));
    value = str_to_i64(rest, &number) ? value_int(number) : value_text(rest);
    if (!expr_answers_add(&e->answers, e->arena, &l, &value, ERR_OK)) {
        buf_put(why, STR("too many answers"));
        return false;
    }
    return true;
}
