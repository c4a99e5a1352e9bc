/* An explanation for people, and as JSON. */
#include "cli/explain.h"
#include "cli/show.h"
#include "config/units.h"

enum { ALIKE_MIN = 4 };

void explain_place(struct position at, struct buf *out)
{
    if (at.line == 0) {
        buf_put(out, STR("built in"));
    } else {
        position_print(at, out);
    }
}

static void put_date(struct date d, struct buf *out)
{
    char text[DATE_ISO_BYTES];
    struct str iso = date_iso(d, text);

    buf_printf(out, "%.*s %.*s", 10, iso.ptr, 8, iso.ptr + 11);
}

/* ---- decisions ---- */

static const char *const result_words[] = {
    [RULE_PASSED] = "no", [RULE_CHOSE] = "yes", [RULE_STUCK] = "stuck"};

static void put_rule(const struct explain_rule *r, struct buf *out)
{
    struct buf place BUF_LOCAL = {0};

    explain_place(r->look.at, &place);
    buf_printf(out, "    %-5s  %-24.*s  ", result_words[r->look.result], STR_ARG(buf_str(&place)));
    if (r->look.condition.len > 0) {
        buf_put(out, STR("if "));
        show_text(r->look.condition, out);
    } else {
        buf_put(out, STR("always"));
    }
    if (r->look.value.len > 0 && r->look.result != RULE_PASSED) {
        buf_put(out, STR(" then "));
        show_text(r->look.value, out);
    }
    buf_byte(out, '\n');
    for (size_t i = 0; i < r->read_count; i++) {
        buf_printf(out, "           %-24s  %s = ", "", r->reads[i].name);
        value_print(out, &r->reads[i].value);
        buf_byte(out, '\n');
    }
}

static void put_decision(const struct explain_decision *d, struct buf *out)
{
    const char *name = explain_strategy(d->which);

    if (d->decision.status == DECISION_NEEDS) {
        buf_printf(out, "  %s: not known without the answer to ", name);
        expr_lookup_print(out, &d->decision.lookup);
        buf_put(out, STR("\n    give it: --answer \""));
        expr_lookup_print(out, &d->decision.lookup);
        buf_put(out, STR("=…\"\n"));
    } else if (d->decision.status == DECISION_FAILED) {
        buf_printf(out, "  %s: none, so it waits (strategy): ", name);
        show_text(d->decision.why, out);
        buf_byte(out, '\n');
    } else {
        buf_printf(out, "  %s: %.*s  (", name, STR_ARG(d->decision.name));
        explain_place(d->object_at, out);
        buf_printf(out, ": %.*s)\n", STR_ARG(d->object));
        if (d->decision.is_fallback) {
            buf_put(out, STR("    the rules gave no usable answer, so default serves: "));
            show_text(d->decision.why, out);
            buf_byte(out, '\n');
        }
    }
    for (size_t i = 0; i < d->rule_count; i++) {
        put_rule(&d->rules[i], out);
    }
    if (d->decided_after > 0) {
        buf_printf(out, "    asked when attempt %u had failed\n", d->decided_after);
    }
    if (d->is_late) {
        buf_put(out, STR("    these rules read the host: they are asked again for each host and "
                         "address (--mx, --remote-ip)\n"));
    }
}

/* ---- the time line ---- */

static int64_t gap(const struct course_step *s)
{
    return s[1].at.ms - s[0].at.ms;
}

/* How many attempts from here come in equal steps, in the same queue. */
static size_t regular(const struct explain_rcpt *r, size_t at)
{
    const struct course_step *s = r->steps;
    size_t n = at;

    while (n + 1 < r->step_count && s[n].kind == COURSE_ATTEMPT &&
           s[n + 1].kind == COURSE_ATTEMPT && gap(&s[n]) == gap(&s[at]) &&
           str_eq(s[n + 1].queue, s[at].queue) && str_eq(s[n + 1].schedule, s[at].schedule)) {
        n++;
    }
    return n - at + 1;
}

static const char *told(const struct explanation *e, const struct course_step *s)
{
    const struct message *m = &e->message;

    if (m->sender.len == 0 || m->source == SOURCE_DSN || m->source == SOURCE_REPORT) {
        return s->kind == COURSE_NOTICE ? "nobody is told" : "dropped: there is nobody to tell";
    }
    return s->kind == COURSE_NOTICE ? "the sender is told of the delay" : "bounced to the sender";
}

static void put_step(const struct explanation *e, const struct explain_rcpt *r, size_t at,
                     struct buf *out)
{
    const struct course_step *s = &r->steps[at];
    struct buf after BUF_LOCAL = {0}, what BUF_LOCAL = {0};

    buf_byte(&after, '+');
    duration_print(s->at.ms - e->message.arrived.ms, &after);
    if (s->kind == COURSE_END) {
        buf_put(&what, STR("the end"));
    } else {
        buf_printf(&what, "%s %u", s->kind == COURSE_NOTICE ? "notice" : "attempt", s->number);
    }
    buf_printf(out, "    %-12.*s  ", STR_ARG(buf_str(&after)));
    put_date(s->at, out);
    buf_printf(out, "  %-12.*s  ", STR_ARG(buf_str(&what)));
    if (s->kind == COURSE_ATTEMPT) {
        buf_printf(out, "queue %.*s  (schedule %.*s, ", STR_ARG(s->queue), STR_ARG(s->schedule));
        explain_place(s->rule, out);
        buf_byte(out, ')');
        if (s->number == e->attempt && e->attempt > 1) {
            buf_put(out, STR("  <- decided above"));
        }
    } else {
        buf_put(out, str_of(told(e, s)));
    }
    buf_byte(out, '\n');
}

static void put_steps(const struct explanation *e, const struct explain_rcpt *r, struct buf *out)
{
    buf_put(out, STR("  time line, if every attempt fails\n"));
    for (size_t i = 0; i < r->step_count; i++) {
        size_t alike = regular(r, i);

        put_step(e, r, i, out);
        if (alike >= ALIKE_MIN) {
            buf_printf(out, "    %-12s  %-19s  %-12s  every ", "", "", "...");
            duration_print(gap(&r->steps[i]), out);
            buf_byte(out, '\n');
            i += alike - 2;
        }
    }
    if (r->has_more) {
        buf_put(out, STR("    and so on\n"));
    }
}

static void put_rcpt(const struct explanation *e, const struct explain_rcpt *r, struct buf *out)
{
    buf_put(out, STR("\nto "));
    show_text(r->address, out);
    if (r->was_over) {
        buf_printf(out, ": there is no attempt %llu, it is over before; at its end\n",
                   (unsigned long long)e->attempt);
    } else if (r->queue.len > 0) {
        buf_printf(out, ", attempt %llu, due ", (unsigned long long)e->attempt);
        put_date(r->attempt_at, out);
        buf_printf(out, " in queue %.*s", STR_ARG(r->queue));
        if (e->attempt > 1) {
            buf_printf(out, ", after: %.*s", STR_ARG(last_error_name(e->failure.error)));
            if (e->failure.code > 0) {
                buf_printf(out, " (%u ", e->failure.code);
                show_text(e->failure.text, out);
                buf_byte(out, ')');
            }
        }
        buf_byte(out, '\n');
    } else {
        buf_byte(out, '\n');
    }
    for (unsigned i = 0; i < STRATEGY_COUNT; i++) {
        put_decision(&r->decisions[i], out);
    }
    explain_share_text(e, r, out);
    explain_quota_text(r, out);
    if (r->step_count > 0) {
        put_steps(e, r, out);
    }
}

void explain_text(const struct explanation *e, struct buf *out)
{
    const struct message *m = &e->message;

    buf_put(out, STR("a message from <"));
    show_text(m->sender, out);
    buf_put(out, STR(">, "));
    size_print(m->size, out);
    buf_printf(out, ", source %.*s, priority %d, accepted ", STR_ARG(source_name(m->source)),
               m->priority);
    put_date(m->arrived, out);
    buf_put(out, STR(" UTC\n"));
    for (uint32_t i = 0; i < m->to_count; i++) {
        put_rcpt(e, &e->to[i], out);
    }
}

/* ---- JSON ---- */

static void json_place(struct buf *out, const char *key, struct position at)
{
    struct buf text BUF_LOCAL = {0};

    explain_place(at, &text);
    json_text(out, key, buf_str(&text));
}

static void json_rule(const struct explain_rule *r, struct buf *out)
{
    json_next(out);
    buf_byte(out, '{');
    json_place(out, "rule", r->look.at);
    json_text_if(out, "if", r->look.condition);
    json_text_if(out, "then", r->look.value);
    json_text(out, "result", str_of(result_words[r->look.result]));
    json_key(out, "reads");
    buf_byte(out, '{');
    for (size_t i = 0; i < r->read_count; i++) {
        struct buf value BUF_LOCAL = {0};

        value_print(&value, &r->reads[i].value);
        json_text(out, r->reads[i].name, buf_str(&value));
    }
    buf_put(out, STR("}}"));
}

static void json_decision(const struct explain_decision *d, struct buf *out)
{
    json_key(out, explain_strategy(d->which));
    buf_byte(out, '{');
    if (d->decision.status == DECIDED) {
        json_text(out, "name", d->decision.name);
        json_place(out, "at", d->object_at);
        json_text(out, "says", d->object);
    }
    if (d->decision.status == DECISION_NEEDS) {
        struct buf call BUF_LOCAL = {0};

        expr_lookup_print(&call, &d->decision.lookup);
        json_text(out, "needs", buf_str(&call));
    }
    json_place(out, "rule", d->decision.at);
    json_bool(out, "fallback", d->decision.is_fallback);
    json_bool(out, "late", d->is_late);
    json_text_if(out, "why", d->decision.why);
    json_key(out, "rules");
    buf_byte(out, '[');
    for (size_t i = 0; i < d->rule_count; i++) {
        json_rule(&d->rules[i], out);
    }
    buf_put(out, STR("]}"));
}

static void json_step(const struct explanation *e, const struct course_step *s, struct buf *out)
{
    static const char *const kinds[] = {
        [COURSE_ATTEMPT] = "attempt", [COURSE_NOTICE] = "notice", [COURSE_END] = "end"};

    json_next(out);
    buf_byte(out, '{');
    json_text(out, "what", str_of(kinds[s->kind]));
    json_number(out, "number", s->number);
    json_date(out, "at", s->at);
    json_number(out, "after_ms", (uint64_t)(s->at.ms - e->message.arrived.ms));
    json_text(out, "queue", s->queue);
    json_text(out, "schedule", s->schedule);
    json_place(out, "rule", s->rule);
    buf_byte(out, '}');
}

static void json_rcpt(const struct explanation *e, const struct explain_rcpt *r, struct buf *out)
{
    json_next(out);
    buf_byte(out, '{');
    json_text(out, "address", r->address);
    json_number(out, "attempt", e->attempt);
    json_bool(out, "over", r->was_over);
    json_date(out, "due", r->attempt_at);
    json_text(out, "queue", r->queue);
    json_text(out, "last_error",
              e->attempt > 1 ? last_error_name(e->failure.error) : last_error_name(LAST_NONE));
    json_key(out, "decisions");
    buf_byte(out, '{');
    for (unsigned i = 0; i < STRATEGY_COUNT; i++) {
        json_decision(&r->decisions[i], out);
    }
    buf_byte(out, '}');
    explain_share_json(e, r, out);
    explain_quota_json(r, out);
    json_key(out, "timeline");
    buf_byte(out, '[');
    for (size_t i = 0; i < r->step_count; i++) {
        json_step(e, &r->steps[i], out);
    }
    buf_put(out, STR("]}"));
}

void explain_json(const struct explanation *e, struct buf *out)
{
    const struct message *m = &e->message;

    buf_byte(out, '{');
    json_text(out, "sender", m->sender);
    json_text(out, "source", source_name(m->source));
    json_number(out, "size", m->size);
    json_date(out, "accepted", m->arrived);
    json_key(out, "recipients");
    buf_byte(out, '[');
    for (uint32_t i = 0; i < m->to_count; i++) {
        json_rcpt(e, &e->to[i], out);
    }
    buf_put(out, STR("]}\n"));
}
