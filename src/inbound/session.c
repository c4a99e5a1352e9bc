/*
 * The answers to what smtp/ asks, for one client. Decisions are in policy.c and intake.c.
 */
#include "base/mem.h"
#include "inbound/events.h"
#include "inbound/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/store.h"
#include "tls/tls.h"

#include <stdio.h>

static const int64_t ask_ms = 600000; /* RFC 5321 section 4.5.3.2.6: clients wait ten minutes */

static bool may_wish(enum wishers who, bool trusted)
{
    return who == WISHERS_ALL || (who == WISHERS_TRUSTED && trusted);
}

static unsigned extensions_for(const struct wishes *w, bool trusted)
{
    unsigned offered = 0;

    offered |= may_wish(w->future_release, trusted) ? OFFER_FUTURERELEASE : 0;
    offered |= may_wish(w->deliver_by, trusted) ? OFFER_DELIVERBY : 0;
    offered |= may_wish(w->mt_priority, trusted) ? OFFER_MT_PRIORITY : 0;
    return offered;
}

static void take_policy(struct session *s)
{
    const struct server_settings *limits;
    struct policy *newest = worker_policy(s->worker);

    if (s->policy != newest) {
        policy_drop(s->policy);
        s->policy = policy_share(newest);
    }
    limits = s->policy->settings;
    s->trusted = policy_is_trusted(s->policy, &s->remote);
    s->server.options = (struct server_options){
        .hostname = s->policy->hostname,
        .tls = s->starttls ? s->policy->tls : NULL,
        .size_max = limits->message_bytes_max,
        .extensions = extensions_for(&s->wishes, s->trusted),
        .hold_s_max = (uint32_t)(limits->hold_ms_max / 1000),
        .deliver_by_s_min = (uint32_t)((limits->deliver_by_ms_min + 999) / 1000),
        .line_bytes_max = (uint32_t)limits->line_bytes_max,
        .errors_max = limits->errors_max,
        .refusals_max = limits->refusals_max,
        .commands_max = limits->commands_max,
        .idle_ms = limits->idle_ms,
        .data_ms = limits->data_ms,
        .message_ms = limits->message_ms,
        .ask_ms = ask_ms,
    };
}

static struct event_field f_peer(const struct session *s)
{
    return f_remote(s->remote_text);
}

static void on_connect(void *ctx, struct answer *ret, struct when by)
{
    struct session *s = ctx;

    event_raise(&ev_session_opened, f_session(s->id), f_listener(str_of(s->listener)), f_peer(s));
    if (visitor_connects(s, ret, by) && has_filters(s)) {
        filter_connect(s, ret, by);
    }
}

static void on_helo(void *ctx, struct str name, bool extended, struct answer *ret, struct when by)
{
    if (has_filters(ctx)) {
        filter_helo(ctx, name, extended, ret, by);
    }
}

static void on_tls(void *ctx, struct err e)
{
    struct session *s = ctx;
    char text[128];

    if (e.code == OK) {
        struct tls_facts facts = tls_describe(s->stream);
        int n = snprintf(text, sizeof text, "%.*s %.*s", STR_ARG(facts.protocol),
                         STR_ARG(facts.cipher));

        event_raise(&ev_session_tls, f_session(s->id), f_peer(s),
                    f_tls(str_head(str_of(text), (size_t)n)));
    } else {
        struct str why = tls_failure(s->stream);

        event_raise(&ev_session_tls_failed, f_session(s->id), f_peer(s),
                    f_text(why.len > 0 ? why : str_of(err_text(e.code))));
    }
}

static bool has_memory(const struct session *s)
{
    uint64_t held = atomic_load_explicit(&s->worker->in->place.held, memory_order_relaxed);

    return s->policy->memory_bytes == 0 || held + parcel_bytes() < s->policy->memory_bytes;
}

static void on_mail(void *ctx, const struct mail_args *mail, struct answer *ret, struct when by)
{
    struct session *s = ctx;
    struct store *store = s->worker->in->place.store;

    take_policy(s);
    if (s->worker->stopping) {
        answer_fixed(ret, ANSWER_STOPPING);
    } else if (mail->has_size && mail->size > s->server.options.size_max) {
        answer_fixed(ret, ANSWER_SIZE); /* by a newer policy than the one EHLO spoke of */
    } else if (store_room(store) != STORE_ROOM ||
               (mail->has_size && !store_has_room(store, mail->size))) {
        answer_fixed(ret, ANSWER_NO_ROOM);
    } else if (!has_memory(s)) {
        answer_fixed(ret, ANSWER_MEMORY);
    } else if (visitor_sends(s, mail, ret, by) &&
               (!has_filters(s) || filter_mail(s, mail, ret, by))) {
        intake_mail(&s->intake, mail);
    }
}

static void on_rcpt(void *ctx, const struct rcpt_args *rcpt, struct answer *ret, struct when by)
{
    struct session *s = ctx;
    struct arena scratch ARENA_LOCAL = {0};
    struct str_list addresses;

    s->asked_rcpt = rcpt->to.address;
    if (policy_rcpt(s->policy, s->trusted, &rcpt->to, &scratch, &addresses, ret) &&
        (!has_filters(s) ||
         intake_has_room(&s->intake, addresses.count, s->policy->settings->recipients_max, ret)) &&
        visitor_names(s, rcpt->to.address, ret, by) &&
        (!has_filters(s) || filter_rcpt(s, rcpt, &addresses, ret, by))) {
        intake_rcpt(&s->intake, rcpt, &addresses, s->policy->settings->recipients_max, ret);
    }
    if (answer_is_good(ret)) {
        s->asked_rcpt = STR_EMPTY; /* nothing to log; and the next RCPT may not even have a path */
    }
}

static struct buf *on_data(void *ctx, struct answer *ret, struct when by)
{
    struct session *s = ctx;
    struct message *m = &s->intake.parcel->message;
    struct arena *a = &s->intake.parcel->arena;
    struct tls_facts tls = tls_describe(s->stream);
    struct trace trace = {
        .helo = s->server.helo,
        .client = s->remote,
        .by = s->policy->hostname,
        .protocol = s->server.extended ? TRACE_ESMTP : TRACE_SMTP,
        .is_tls = tls.active,
        .tls_version = tls.protocol,
        .tls_cipher = tls.cipher,
    };

    (void)ret, (void)by;
    m->is_trusted = s->trusted;
    m->client_ip = arena_dup(a, s->ip_text);
    m->client_name = arena_dup(a, s->server.helo);
    m->listener = arena_dup(a, str_of(s->listener));
    if (has_filters(s)) {
        filter_data(s);
    }
    return intake_data(&s->intake, &trace);
}

static struct buf *on_more(void *ctx, struct answer *ret, struct when by)
{
    struct session *s = ctx;

    return intake_more(&s->intake, s->policy->settings, s->policy->memory_bytes, ret, by);
}

static void on_end(void *ctx, const struct content *content, struct answer *ret, struct when by)
{
    struct session *s = ctx;
    const struct message *m = &s->intake.parcel->message;
    bool submission = s->submission == SUBMISSION_TRUE ||
                      (s->submission == SUBMISSION_AUTO && s->trusted);
    struct content now;
    bool is_close;

    if (!intake_check(&s->intake, s->policy->settings, ret)) {
        return;
    }
    if (has_filters(s)) {
        now = *content;
        content = &now;
        if (!filter_end(s, &now, ret, by)) {
            return;
        }
    }
    is_close = ret->close;
    intake_store(&s->intake, content, submission, s->policy->hostname, s->policy->plan, ret, by);
    ret->close = ret->close || is_close;
    if (answer_is_good(ret)) {
        s->messages++;
        event_raise(&ev_message_accepted, f_session(s->id), f_message(m->id),
                    f_listener(str_of(s->listener)), f_peer(s), f_helo(s->server.helo),
                    f_sender(m->sender), f_recipients(m->to_count), f_size((int64_t)m->size));
    }
}

static void on_reset(void *ctx)
{
    struct session *s = ctx;

    if (has_filters(s)) {
        filter_reset(s);
    }
    intake_reset(&s->intake);
    visitor_resets(s);
}

static void on_refused(void *ctx, enum command command, const struct answer *a)
{
    struct session *s = ctx;
    struct message *m = s->intake.parcel ? &s->intake.parcel->message : NULL;
    struct str sender = m != NULL ? m->sender : STR_EMPTY;
    char esc[ENHANCED_BYTES];
    struct str status = enhanced_print(a->esc, esc);

    if (command == COMMAND_RCPT && s->asked_rcpt.len > 0) {
        event_raise(&ev_rcpt_refused, f_session(s->id), f_peer(s), f_sender(sender),
                    f_rcpt(s->asked_rcpt), f_code(a->code), f_status(status), f_text(a->text));
    } else {
        const struct event_kind *kind = command == COMMAND_MAIL ? &ev_sender_refused
                                        : command == COMMAND_DATA || command == COMMAND_BDAT
                                            ? &ev_message_refused
                                            : &ev_command_refused;

        event_raise(kind, f_session(s->id), f_peer(s), f_stage(command_name(command)),
                    f_sender(sender), f_code(a->code), f_status(status), f_text(a->text));
    }
    s->asked_rcpt = STR_EMPTY;
}

static const struct server_asks asks = {
    .connect = on_connect,
    .helo = on_helo,
    .tls = on_tls,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .more = on_more,
    .end = on_end,
    .reset = on_reset,
    .refused = on_refused,
};

static void session_fiber(void *arg)
{
    struct session *s = arg;
    struct err e;

    s->stream = guest_stream(s->guest);
    s->guest = NULL;
    s->began = clock_now();
    s->remote_text = addr_print(&s->remote, s->remote_at);
    s->ip_text = addr_print_ip(&s->remote, s->ip_at);
    s->server.stream = s->stream;
    s->server.asks = &asks;
    s->server.ctx = s;
    s->intake.place = &s->worker->in->place;
    take_policy(s);
    e = server_run(&s->server, WHEN_NEVER);
    event_raise(&ev_session_closed, f_session(s->id), f_peer(s), f_helo(s->server.helo),
                f_count((int64_t)s->messages), f_duration((clock_now().ns - s->began.ns) / 1000),
                f_text(e.code == OK ? STR("quit") : str_of(err_text(e.code))));
    filter_done(s);
    server_done(&s->server);
    stream_close(s->stream);
    s->stream = NULL;
    policy_drop(s->policy);
    s->policy = NULL;
    list_remove(&s->link);
    list_push(&s->worker->ended, &s->link);
    signal_raise(&s->worker->changed);
}

static void turn_away(struct session *s)
{
    char line[ANSWER_LINE_BYTES];
    struct answer a;

    answer_fixed(&a,
                 s->worker->stopping || s->worker->closed ? ANSWER_STOPPING : ANSWER_SESSIONS_MANY);
    guest_refuse(s->guest, answer_line(&a, line));
    s->guest = NULL;
    s->post.run = session_come_home;
    loop_post(s->worker->in->home, &s->post);
}

void session_arrive(struct post *post)
{
    struct session *s = CONTAINER_OF(post, struct session, post);

    group_init(&s->group, "session", 1);
    if (s->worker->stopping || s->worker->closed ||
        group_spawn_now(&s->group, "session", session_fiber, s).code != OK) {
        turn_away(s);
        return;
    }
    list_push(&s->worker->sessions, &s->link);
}

void session_stop(struct session *s)
{
    s->server.stopping = true;
    if (s->server.phase == SERVER_IDLE) {
        group_cancel(&s->group);
    }
}
