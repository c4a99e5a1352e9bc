/*
 * What decides about a queued recipient, by the configuration file and by what the server tells of
 * its state. The server may still have an older file; a look-up is named, not performed.
 */
#include "admin/view.h"
#include "base/check.h"
#include "cli/explain.h"
#include "cli/show.h"
#include "runtime/clock.h"

static enum source source_of(struct str word)
{
    for (unsigned i = 0; i < SOURCE_COUNT; i++) {
        if (str_eq(source_name((enum source)i), word)) {
            return (enum source)i;
        }
    }
    return SOURCE_UNAUTHENTICATED;
}

static enum last_error error_of(struct str word)
{
    for (unsigned i = 0; i < LAST_ERROR_COUNT; i++) {
        if (str_eq(last_error_name((enum last_error)i), word)) {
            return (enum last_error)i;
        }
    }
    return LAST_NONE;
}

static const struct message_policy *policy_of(const struct view_message *v, struct arena *a)
{
    struct message_policy *p = ARENA_NEW(a, struct message_policy);
    struct message_meta *meta = arena_array(a, v->meta_count, sizeof *meta);

    for (size_t i = 0; i < v->meta_count; i++) {
        meta[i] = (struct message_meta){v->meta[i].name, (enum meta_kind)v->meta[i].kind,
                                        v->meta[i].text, v->meta[i].number};
    }
    *p = (struct message_policy){v->schedule, v->queue, meta, (uint32_t)v->meta_count};
    return p;
}

static void fill(const struct view_message *v, struct arena *a, struct message *m)
{
    *m = (struct message){.arrived = v->arrived,
                          .source = source_of(v->source),
                          .is_trusted = v->is_trusted,
                          .sender = v->sender,
                          .priority = (int8_t)v->priority,
                          .client_ip = v->client_ip,
                          .client_name = v->client_name,
                          .listener = v->listener,
                          .authenticated_as = v->authenticated_as,
                          .size = v->size,
                          .policy = policy_of(v, a),
                          .to = arena_array(a, v->to_count + 1, sizeof *m->to)};
    for (size_t i = 0; i < v->to_count; i++) {
        const struct view_rcpt *r = &v->to[i];

        m->to[m->to_count++] = (struct recipient){
            .address = r->address,
            .state = {.attempts = (uint16_t)r->attempts,
                      .notices = (uint16_t)r->notices,
                      .next = r->next,
                      .expires = r->expires,
                      .queue = r->queue,
                      .last = {.error = error_of(r->last_error),
                               .code = (uint16_t)r->last_code,
                               .text = r->last_text,
                               .host = r->last_host,
                               .at = r->last_at}}};
    }
}

static void put(enum strategy which, const struct decision *d, struct buf *out)
{
    struct arena a ARENA_LOCAL = {0};

    buf_printf(out, "%s%s ", which == STRATEGY_SCHEDULE ? " is decided by: " : ", ",
               explain_strategy(which));
    if (d->status == DECIDED) {
        buf_printf(out, "%.*s", STR_ARG(d->name));
    } else if (d->status == DECISION_NEEDS) {
        expr_lookup_print(out, &d->lookup);
    } else {
        buf_put(out, STR("none: "));
        show_text(d->why, out);
    }
    buf_printf(out, " (%.*s)", STR_ARG(decision_place(d, &a)));
}

void explain_queued(struct plan *p, const struct view_message *v, size_t at, struct buf *out)
{
    struct arena a ARENA_LOCAL = {0};
    struct message m;
    struct recipient then;
    struct decision d;
    struct subject s = {.message = &m, .facts = {.now = clock_date(), .mx = STR_EMPTY}};

    if (!v->to[at].waits) {
        return;
    }
    fill(v, &a, &m);
    show_text(m.to[at].address, out);
    /* The schedule was asked when the last attempt had failed, before that was counted. */
    then = m.to[at];
    then.state.attempts = then.state.attempts > 0 ? then.state.attempts - 1 : 0;
    s.recipient = &then;
    (void)decide_schedule(p, &s, &a, &d);
    put(STRATEGY_SCHEDULE, &d, out);
    s.recipient = &m.to[at];
    if (v->to[at].route.len == 0) {
        (void)decide_route(p, &s, &a, &d);
        put(STRATEGY_ROUTE, &d, out);
    } else {
        buf_printf(out, ", route %.*s (an operator)", STR_ARG(v->to[at].route));
    }
    (void)decide_connection(p, &s, &a, &d);
    put(STRATEGY_CONNECTION, &d, out);
    (void)decide_tls(p, &s, &a, &d);
    put(STRATEGY_TLS, &d, out);
    buf_byte(out, '\n');
}
