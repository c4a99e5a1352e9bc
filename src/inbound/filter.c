#include "inbound/filter.h"

#include "base/mem.h"
#include "config/config.h"
#include "hooks/engine.h"
#include "inbound/events.h"
#include "inbound/part.h"
#include "inbound/queueing.h"
#include "inbound/rewrite.h"
#include "mail/content.h"
#include "queue/settings.h"
#include "runtime/clock.h"
#include "runtime/log.h"

/* What our own parser takes from a filter: all that we might have offered. */
static const unsigned all_offers = OFFER_SIZE | OFFER_8BITMIME | OFFER_BINARYMIME | OFFER_SMTPUTF8 |
                                   OFFER_DSN | OFFER_AUTH | OFFER_FUTURERELEASE | OFFER_DELIVERBY |
                                   OFFER_MT_PRIORITY;

static const unsigned of_rcpts = 1U << HOOK_EDIT_RCPT_ADD | 1U << HOOK_EDIT_RCPT_REMOVE;
static const unsigned of_body = 1U << HOOK_EDIT_BODY | 1U << HOOK_EDIT_MESSAGE;
static const unsigned of_header = 1U << HOOK_EDIT_FIELDS | 1U << HOOK_EDIT_MESSAGE;

/* ---- asking ---- */

/* Whether anybody is asked at this stage. After a reload there may be others: their talk begins
 * anew. */
static bool is_asked(struct session *s, enum hook_stage stage)
{
    struct filter *f = &s->filter;
    struct chain *c = s->policy->chain;
    struct hook_view view;

    if (f->talk != NULL && talk_chain(f->talk) != c) {
        talk_free(f->talk);
        f->talk = NULL;
    }
    if (c == NULL) {
        return false;
    }
    if (f->talk == NULL) {
        view_session(s, stage, &view);
        f->talk = talk_new(s->worker->in->engine, c, &view);
    }
    return chain_asks(c, stage);
}

static void held(struct filter *f, struct arena *a, const struct verdict *v)
{
    if (!f->is_held) {
        f->is_held = true;
        f->held_by = arena_dup(a, v->by);
        f->held_why = v->is_failure       ? STR("it gave no answer")
                      : v->reason.len > 0 ? arena_dup(a, v->reason)
                      : v->reply.code > 0 ? arena_dup(a, v->reply.text)
                                          : STR("quarantined");
    }
}

static bool refuses(enum hook_action a)
{
    return a == HOOK_REJECT || a == HOOK_DISCONNECT;
}

/* What is said of it; a good answer stays as it is unless a filter had words of its own. */
static void say(const struct verdict *v, bool has_words, struct answer *ret)
{
    bool is_close = ret->close || v->disconnect || v->action == HOOK_DISCONNECT;

    if (v->reply.code > 0 && (refuses(v->action) || has_words)) {
        answer_quote(ret, v->reply.code, v->reply.esc, v->reply.text);
    } else if (refuses(v->action)) {
        answer_fixed(ret, v->action == HOOK_REJECT ? ANSWER_FILTERED : ANSWER_FILTER_CLOSES);
        ret->by_policy = true;
    }
    ret->close = is_close;
}

/* False: there is no verdict, since the session is being cut. */
static bool ask(struct session *s, const struct hook_view *view, struct arena *a, struct verdict *v,
                struct answer *ret, struct when by)
{
    const struct server_settings *limits = s->policy->settings;
    struct engine_question q = {.view = view,
                                .bounds = {.fields_max = INTAKE_FIELDS_MAX,
                                           .recipients_max = limits->recipients_max,
                                           .header_bytes_max = limits->header_bytes_max,
                                           .message_bytes_max = limits->message_bytes_max},
                                .is_trusted = s->trusted,
                                .may_be_binary = s->server.binary_claimed};

    if (engine_ask(s->filter.talk, &q, a, v, by).code == OK) {
        return true;
    }
    answer_fixed(ret, ANSWER_STOPPING);
    return false;
}

/* ---- before there is a transaction ---- */

void filter_connect(struct session *s, struct answer *ret, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view;
    struct verdict v;

    if (!is_asked(s, HOOK_CONNECT)) {
        return;
    }
    view_session(s, HOOK_CONNECT, &view);
    if (ask(s, &view, &a, &v, ret, by)) {
        s->filter.is_held_always |= v.action == HOOK_QUARANTINE;
        say(&v, false, ret);
    }
}

void filter_helo(struct session *s, struct str name, bool extended, struct answer *ret,
                 struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view;
    struct verdict v;

    if (!is_asked(s, HOOK_EHLO)) {
        return;
    }
    view_session(s, HOOK_EHLO, &view);
    view.client.helo = name;
    view.client.extended = extended;
    if (ask(s, &view, &a, &v, ret, by)) {
        s->filter.is_held_always |= v.action == HOOK_QUARANTINE;
        say(&v, false, ret);
    }
}

/* ---- envelope ---- */

bool filter_mail(struct session *s, const struct mail_args *mail, struct answer *ret,
                 struct when by)
{
    struct filter *f = &s->filter;
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view;
    struct verdict v;
    bool asked = is_asked(s, HOOK_MAIL);

    if (f->talk == NULL) {
        return true;
    }
    view_mail_params(mail, &f->arena, &f->params);
    if (!asked) {
        return true;
    }
    view_session(s, HOOK_MAIL, &view);
    view.has_sender = true;
    view.sender = mail->from.address;
    view.sender_params = f->params;
    view.smtputf8 = mail->smtputf8;
    view.priority = mail->priority;
    if (!ask(s, &view, &a, &v, ret, by)) {
        return false;
    }
    f->is_discarded = v.action == HOOK_DISCARD;
    if (v.action == HOOK_QUARANTINE) {
        held(f, &f->arena, &v);
    }
    say(&v, true, ret);
    return answer_is_good(ret);
}

static bool is_named(const struct filter *f, struct str address)
{
    for (uint32_t i = 0; i < f->to_count; i++) {
        if (str_eq(f->to[i].args.to.address, address)) {
            return true;
        }
    }
    return false;
}

/* Kept, since the end of data may want them in another order, or fewer. */
static struct filter_rcpt *keep(struct session *s, const struct rcpt_args *rcpt,
                                const struct str_list *addresses)
{
    struct filter *f = &s->filter;
    struct filter_rcpt *r;
    struct str *items = arena_array(&f->arena, addresses->count + 1, sizeof *items);

    if (f->to_count == f->to_size) {
        f->to_size = f->to_size == 0 ? 8 : f->to_size * 2;
        f->to = mem_grow(f->to, f->to_size, sizeof *f->to);
    }
    r = &f->to[f->to_count++];
    *r = (struct filter_rcpt){.args = *rcpt};
    r->args.to.address = arena_dup(&f->arena, rcpt->to.address);
    r->args.to.local = str_head(r->args.to.address, rcpt->to.local.len);
    r->args.to.domain = str_skip(r->args.to.address, r->args.to.address.len - rcpt->to.domain.len);
    r->args.orcpt = arena_dup(&f->arena, rcpt->orcpt);
    r->args.culprit = STR_EMPTY;
    view_rcpt_params(rcpt, s->intake.parcel->message.smtputf8, &f->arena, &r->params);
    for (size_t i = 0; i < addresses->count; i++) {
        items[i] = arena_dup(&f->arena, addresses->items[i]);
    }
    r->stands_for = (struct str_list){items, addresses->count};
    return r;
}

bool filter_rcpt(struct session *s, const struct rcpt_args *rcpt, const struct str_list *addresses,
                 struct answer *ret, struct when by)
{
    struct filter *f = &s->filter;
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view;
    struct verdict v;

    if (f->talk == NULL) {
        return true;
    }
    if (is_named(f, rcpt->to.address)) {
        return false; /* it is taken already, or thrown away */
    }
    (void)keep(s, rcpt, addresses);
    if (f->is_discarded || !chain_asks(talk_chain(f->talk), HOOK_RCPT)) {
        return true;
    }
    view_envelope(s, HOOK_RCPT, &a, &view);
    if (!ask(s, &view, &a, &v, ret, by)) {
        f->to_count--;
        return false;
    }
    say(&v, true, ret);
    if (refuses(v.action)) {
        f->to_count--;
        return false;
    }
    if (v.action == HOOK_QUARANTINE) {
        held(f, &f->arena, &v);
    }
    f->to[f->to_count - 1].is_discarded = v.action == HOOK_DISCARD;
    return v.action != HOOK_DISCARD;
}

void filter_data(struct session *s)
{
    struct filter *f = &s->filter;

    if (f->talk != NULL && (f->is_discarded || s->intake.to_count == 0)) {
        f->is_discarded = s->intake.is_discarded = true;
    }
}

/* ---- the end of data ---- */

static void tell(const struct session *s, const struct event_kind *kind, struct str rcpt,
                 struct str by, struct str text)
{
    const struct message *m = &s->intake.parcel->message;

    event_raise(kind, f_session(s->id), f_message(m->id), f_name(by), f_sender(m->sender),
                f_rcpt(rcpt), f_text(text));
}

/* An address with parameters, as the argument of MAIL or RCPT. */
static struct str argument(struct str address, const struct hook_params *params, struct arena *a)
{
    struct buf out BUF_LOCAL = {0};

    buf_printf(&out, "<%.*s>", STR_ARG(address));
    for (uint32_t i = 0; i < params->count; i++) {
        buf_printf(&out, " %.*s%s", STR_ARG(params->items[i].key),
                   params->items[i].has_value ? "=" : "");
        buf_put(&out, params->items[i].value);
    }
    return arena_dup(a, buf_str(&out));
}

static void take_sender(struct session *s, const struct verdict *v)
{
    struct message *m = &s->intake.parcel->message;
    struct arena *a = &s->intake.parcel->arena;
    struct mail_args mail;
    enum refusal why = mail_args_parse(argument(v->view.sender, &v->view.sender_params, a),
                                       all_offers, a, &mail);

    m->sender = arena_dup(a, v->view.sender);
    if (why != REFUSAL_NONE) {
        tell(s, &ev_filter_parameters_dropped, STR_EMPTY, v->edited_by,
             STR("the parameters of the new sender are none of MAIL"));
        return;
    }
    m->envid = mail.envid;
    m->ret = mail.ret;
    m->smtputf8 = m->smtputf8 || mail.smtputf8;
    m->priority = mail.priority;
    m->by = mail.by;
    m->by_trace = mail.by_trace;
    m->by_date = mail.by != BY_NONE ? date_add(m->arrived, (int64_t)mail.by_s * 1000)
                                    : (struct date){0};
}

/* As if the client had named it, with the client's rights. */
static void add_rcpt(struct session *s, const struct hook_rcpt *r, struct str by)
{
    struct arena scratch ARENA_LOCAL = {0};
    struct rcpt_args args;
    struct str_list addresses;
    struct answer why;

    answer_fixed(&why, ANSWER_RCPT_OK);
    if (rcpt_args_parse(argument(r->address, &r->params, &scratch), all_offers,
                        s->intake.parcel->message.smtputf8, &scratch, &args) != REFUSAL_NONE) {
        tell(s, &ev_filter_rcpt_refused, r->address, by, STR("it is no address with parameters"));
        return;
    }
    if (policy_rcpt(s->policy, s->trusted, &args.to, &scratch, &addresses, &why)) {
        intake_rcpt(&s->intake, &args, &addresses, s->policy->settings->recipients_max, &why);
    }
    if (!answer_is_good(&why)) {
        tell(s, &ev_filter_rcpt_refused, r->address, by, why.text);
    }
}

static void take_rcpts(struct session *s, const struct verdict *v)
{
    struct filter *f = &s->filter;

    intake_forget_rcpts(&s->intake);
    for (uint32_t i = 0; i < v->view.to_count; i++) {
        const struct hook_rcpt *r = &v->view.to[i];
        struct answer why;

        answer_fixed(&why, ANSWER_RCPT_OK);
        if (r->id < f->to_count) {
            intake_rcpt(&s->intake, &f->to[r->id].args, &f->to[r->id].stands_for,
                        s->policy->settings->recipients_max, &why);
        } else {
            add_rcpt(s, r, v->edited_by);
        }
    }
}

/* It gets the answer of one that was taken, and is not. */
static bool discard(struct session *s, struct str by, struct answer *ret)
{
    const struct message *m = &s->intake.parcel->message;

    if (answer_is_good(ret) && !ret->by_policy) {
        bool is_close = ret->close;

        intake_say_queued(&s->intake, ret);
        ret->close = is_close;
    }
    event_raise(&ev_message_discarded, f_session(s->id), f_message(m->id), f_name(by),
                f_sender(m->sender), f_recipients(s->filter.to_count));
    return false;
}

static bool is_client_gone(struct session *s)
{
    struct err e;

    if (stream_buffered(s->stream).len > 0) {
        return false;
    }
    e = stream_fill(s->stream, "the client", clock_now());
    return e.code != OK && e.code != ERR_TIMEOUT;
}

static void hold(struct session *s)
{
    const struct filter *f = &s->filter;
    const struct quarantine_settings *set = config_settings(s->policy->config, &quarantine_table);
    struct intake *t = &s->intake;
    struct arena *a = &t->parcel->arena;

    t->held_by = arena_dup(a, f->held_by);
    t->held_why = arena_dup(a, f->held_why);
    t->held_ms = set->hold_max_ms;
    tell(s, &ev_message_quarantined, STR_EMPTY, f->held_by, f->held_why);
}

/* The mail as the filters left it. */
static bool take_edits(struct session *s, const struct verdict *v, struct content *content,
                       struct answer *ret, struct when by)
{
    if ((v->changed & 1U << HOOK_EDIT_SENDER) != 0) {
        take_sender(s, v);
    }
    if ((v->changed & of_rcpts) != 0) {
        take_rcpts(s, v);
        if (s->intake.to_count == 0) {
            return discard(s, v->edited_by, ret);
        }
    }
    if ((v->changed & 1U << HOOK_EDIT_POLICY) != 0) {
        queueing_take(s, &v->view, v->edited_by);
    }
    return (v->changed & (of_header | of_body)) == 0 ||
           rewrite(&s->intake, &v->view, (v->changed & of_body) != 0, content, ret, by);
}

static bool judge(struct session *s, const struct verdict *v, struct content *content,
                  struct answer *ret, struct when by)
{
    struct filter *f = &s->filter;

    say(v, true, ret);
    if (!answer_is_good(ret)) {
        return false;
    }
    if (v->action == HOOK_DISCARD) {
        return discard(s, v->by, ret);
    }
    if (is_client_gone(s)) {
        answer_fixed(ret, ANSWER_CLIENT_GONE);
        return false;
    }
    if (v->action == HOOK_QUARANTINE) {
        held(f, &f->arena, v);
    }
    return take_edits(s, v, content, ret, by);
}

bool filter_end(struct session *s, struct content *content, struct answer *ret, struct when by)
{
    struct filter *f = &s->filter;
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view;
    struct verdict v;

    if (f->talk == NULL) {
        return true;
    }
    if (f->is_discarded) {
        return discard(s, STR_EMPTY, ret);
    }
    if (chain_asks(talk_chain(f->talk), HOOK_DATA)) {
        if (view_message(s, &a, &view, by).code != OK) {
            answer_fixed(ret, ANSWER_STORE_FAILED);
            return false;
        }
        if (!ask(s, &view, &a, &v, ret, by) || !judge(s, &v, content, ret, by)) {
            return false;
        }
    }
    if (f->is_held || f->is_held_always) {
        f->held_why = f->is_held ? f->held_why : STR("a filter gave no answer");
        hold(s);
    }
    return true;
}

void filter_reset(struct session *s)
{
    struct filter *f = &s->filter;

    if (f->talk != NULL) {
        talk_reset(f->talk);
    }
    if (f->talk != NULL || f->to != NULL) {
        arena_done(&f->arena);
        mem_free(f->to);
        *f = (struct filter){.talk = f->talk, .is_held_always = f->is_held_always};
    }
}

void filter_done(struct session *s)
{
    filter_reset(s);
    talk_free(s->filter.talk);
    s->filter.talk = NULL;
}
