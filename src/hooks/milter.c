/*
 * What a filter is told, and what its answers mean. Rules:
 *
 *   1. It is told in order: connect, name, sender, recipients, content; whatever was not told yet
 *      comes first, so that any choice of stages gives a legal conversation.
 *   2. An answer to connect or name is about the session, to a recipient about that one (when it is
 *      the stage's own), to all else about the message.
 *   3. Edits count only as answers to the end of the message, together with a verdict that lets it
 *      pass, and only with the right to them.
 *   4. A transaction that it was told of and that did not reach an answer to its end is aborted,
 *      before the next is told or when the connection closes.
 */
#include "hooks/milter.h"

#include "base/check.h"
#include "base/mem.h"
#include "hooks/milter_part.h"
#include "runtime/clock.h"
#include "runtime/stream.h"

static bool is_left_out(const struct milter_talk *t, uint32_t step)
{
    return (t->s->terms.steps & step) != 0;
}

/* ---- the session ---- */

static struct err tell_connect(struct milter_talk *t, struct when by)
{
    const struct hook_client *client = &t->view->client;

    t->s->told_connect = true;
    if (is_left_out(t, MILTER_NO_CONNECT)) {
        return ERR_OK;
    }
    milter_put_macros_at(t, t->view, MILTER_AT_CONNECT, MILTER_CONNECT);
    milter_put_connect(&t->out, client->ptr.len > 0 ? client->ptr : STR("unknown"), &client->addr);
    return milter_say(t, MILTER_SILENT_CONNECT, MILTER_ABOUT_SESSION, "reply to connect", by);
}

static bool must_tell_helo(const struct milter_talk *t)
{
    const struct milter_session *s = t->s;

    return t->view->client.helo.len > 0 &&
           (t->view->stage == HOOK_EHLO || !s->told_helo || s->told_tls != t->view->tls.active ||
            !str_eq(s->helo, t->view->client.helo));
}

static struct err tell_helo(struct milter_talk *t, struct when by)
{
    struct milter_session *s = t->s;

    s->told_helo = true;
    s->told_tls = t->view->tls.active;
    if (!str_eq(s->helo, t->view->client.helo)) {
        s->helo = arena_dup(&s->kept, t->view->client.helo);
    }
    if (is_left_out(t, MILTER_NO_HELO)) {
        return ERR_OK;
    }
    milter_put_macros_at(t, t->view, MILTER_AT_HELO, MILTER_HELO);
    milter_put_texts(&t->out, MILTER_HELO, &s->helo, 1);
    return milter_say(t, MILTER_SILENT_HELO, MILTER_ABOUT_SESSION, "reply to HELO", by);
}

/* ---- the envelope ---- */

/* The address in brackets and its parameters, as they stood on the wire. */
static void put_path(struct milter_talk *t, enum milter_command command, struct str address,
                     const struct hook_params *params)
{
    struct str *texts = arena_array(t->a, params->count + 1, sizeof *texts);

    texts[0] = arena_printf(t->a, "<%.*s>", STR_ARG(address));
    for (uint32_t i = 0; i < params->count; i++) {
        const struct hook_param *p = &params->items[i];

        texts[i + 1] = p->has_value
                           ? arena_printf(t->a, "%.*s=%.*s", STR_ARG(p->key), STR_ARG(p->value))
                           : p->key;
    }
    milter_put_texts(&t->out, command, texts, params->count + 1);
}

static struct err tell_mail(struct milter_talk *t, struct when by)
{
    t->s->told_mail = true;
    t->s->told_rcpts = 0;
    if (is_left_out(t, MILTER_NO_MAIL)) {
        return ERR_OK;
    }
    milter_put_macros_at(t, t->view, MILTER_AT_MAIL, MILTER_MAIL);
    put_path(t, MILTER_MAIL, t->view->sender, &t->view->sender_params);
    return milter_say(t, MILTER_SILENT_MAIL, MILTER_ABOUT_MESSAGE, "reply to MAIL", by);
}

static struct err tell_rcpt(struct milter_talk *t, uint32_t i, struct when by)
{
    bool is_own = t->view->stage == HOOK_RCPT && i + 1 == t->view->to_count;
    struct hook_view until = *t->view;

    if (t->view->to[i].id >= t->s->told_rcpts && t->view->to[i].id < UINT32_MAX) {
        t->s->told_rcpts = t->view->to[i].id + 1;
    }
    until.to_count = i + 1;
    until.action = is_own ? t->view->action : HOOK_ACCEPT;
    if (is_left_out(t, MILTER_NO_RCPT) ||
        (until.action == HOOK_REJECT && !is_left_out(t, MILTER_REJECTED_RCPT))) {
        return ERR_OK;
    }
    milter_put_macros_at(t, &until, MILTER_AT_RCPT, MILTER_RCPT);
    put_path(t, MILTER_RCPT, t->view->to[i].address, &t->view->to[i].params);
    return milter_say(t, MILTER_SILENT_RCPT, is_own ? MILTER_ABOUT_RCPT : MILTER_ABOUT_MESSAGE,
                      "reply to RCPT", by);
}

static struct err tell_rcpts(struct milter_talk *t, struct when by)
{
    struct err e = ERR_OK;

    for (uint32_t i = 0; i < t->view->to_count && e.code == OK && !t->is_done; i++) {
        if ((t->view->stage == HOOK_RCPT && i + 1 == t->view->to_count) ||
            t->view->to[i].id >= t->s->told_rcpts) {
            e = tell_rcpt(t, i, by);
        }
    }
    return e;
}

/* ---- the message ---- */

static struct err tell_data(struct milter_talk *t, struct when by)
{
    if (t->s->terms.version < 4 || is_left_out(t, MILTER_NO_DATA)) {
        return ERR_OK;
    }
    milter_put_macros_at(t, t->view, MILTER_AT_DATA, MILTER_DATA);
    milter_put_bare(&t->out, MILTER_DATA);
    return milter_say(t, MILTER_SILENT_DATA, MILTER_ABOUT_MESSAGE, "reply to DATA", by);
}

/* Folds are line feeds alone; the first blank (no tab) is ours to leave out. What is beyond a
 * packet is not shown: the field itself stays whole. */
static struct str shown_value(struct milter_talk *t, const struct hook_field *f)
{
    struct str in = f->value;
    struct buf value BUF_LOCAL = {0};
    size_t room = t->s->terms.data_bytes_max - 2;

    if (!is_left_out(t, MILTER_LEADING_SPACE) && str_starts(in, STR(" "))) {
        in = str_skip(in, 1);
    }
    room -= f->name.len < room ? f->name.len : room;
    if (str_find_str(in, STR("\r\n")) == STR_NONE) {
        return str_head(in, room);
    }
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] != '\r' || i + 1 == in.len || in.ptr[i + 1] != '\n') {
            buf_byte(&value, in.ptr[i]);
        }
    }
    return arena_dup(t->a, str_head(buf_str(&value), room));
}

static struct err tell_fields(struct milter_talk *t, struct when by)
{
    struct err e = ERR_OK;

    if (is_left_out(t, MILTER_NO_HEADERS)) {
        return e;
    }
    for (uint32_t i = 0; i < t->view->field_count && e.code == OK && !t->is_done; i++) {
        const struct hook_field *f = &t->view->fields[i];
        struct str texts[2] = {str_head(f->name, t->s->terms.data_bytes_max - 2),
                               shown_value(t, f)};

        milter_put_texts(&t->out, MILTER_HEADER, texts, 2);
        e = milter_say(t, MILTER_SILENT_HEADER, MILTER_ABOUT_MESSAGE, "reply to a header field",
                       by);
    }
    return e;
}

static struct err tell_header_end(struct milter_talk *t, struct when by)
{
    if (is_left_out(t, MILTER_NO_HEADER_END)) {
        return ERR_OK;
    }
    milter_put_macros_at(t, t->view, MILTER_AT_HEADER_END, MILTER_HEADER_END);
    milter_put_bare(&t->out, MILTER_HEADER_END);
    return milter_say(t, MILTER_SILENT_HEADER_END, MILTER_ABOUT_MESSAGE,
                      "reply to the end of the header", by);
}

/* `bytes` of the body from `at` on, piece by piece as the view has them. */
static struct err send_body(struct milter_talk *t, uint64_t at, uint32_t bytes, struct buf *into,
                            struct when by)
{
    const struct hook_bytes *body = &t->view->body;
    struct err e;

    milter_put_body_head(&t->out, bytes);
    e = milter_send(t, by);
    while (bytes > 0 && e.code == OK) {
        struct str piece;

        if (body->read == NULL) {
            piece = str_skip(body->whole, (size_t)at);
        } else {
            buf_clear(into);
            e = body->read(body->ctx, at, into, &piece, by);
            if (e.code != OK) {
                return milter_wrong(t, e.code, "the message cannot be read");
            }
        }
        piece = str_head(piece, bytes);
        must(piece.len > 0);
        e = stream_put(t->s->stream, piece, when_within(by, t->s->milter->settings->timeout_ms));
        if (e.code != OK) {
            return milter_wrong(t, e.code, "sending the body: %s", err_text(e.code));
        }
        at += piece.len;
        bytes -= (uint32_t)piece.len;
    }
    return e;
}

static struct err tell_body(struct milter_talk *t, struct when by)
{
    struct buf into BUF_LOCAL = {0};
    uint64_t at = 0, size = t->view->body.size;
    struct err e = ERR_OK;

    if (is_left_out(t, MILTER_NO_BODY)) {
        return e;
    }
    while (at < size && e.code == OK && !t->is_done) {
        uint32_t bytes = size - at < t->s->terms.data_bytes_max ? (uint32_t)(size - at)
                                                                : t->s->terms.data_bytes_max;

        e = send_body(t, at, bytes, &into, by);
        at += bytes;
        if (e.code != OK) {
            break;
        }
        e = milter_await(t, MILTER_SILENT_BODY, "reply to a piece of the body", by);
        if (e.code == OK && t->reply.word == MILTER_SKIP && is_left_out(t, MILTER_CAN_SKIP)) {
            break;
        }
        if (e.code == OK) {
            e = milter_judge(t, MILTER_ABOUT_MESSAGE);
        }
    }
    return e;
}

/* Edits come first, in any number; then the verdict. */
static struct err hear_end(struct milter_talk *t, struct milter_edits *edits, struct when by)
{
    enum milter_right right;
    const char *why = "";
    struct err e;

    for (;;) {
        e = milter_hear(t, t->s->milter->settings->message_timeout_ms,
                        "reply to the end of the message", by);
        if (e.code != OK || !milter_word_is_edit(t->reply.word, &right)) {
            break;
        }
        e = milter_edits_add(edits, &t->reply, &why);
        if (e.code != OK) {
            return milter_wrong(t, e.code, "\"%s\": %s", milter_word_name(t->reply.word), why);
        }
    }
    if (e.code == OK) {
        e = milter_judge(t, MILTER_ABOUT_MESSAGE);
    }
    if (e.code == OK && t->outcome->action == HOOK_ACCEPT) {
        e = milter_edits_finish(edits, t->outcome, &why);
        if (e.code != OK) {
            return milter_wrong(t, e.code, "%s", why);
        }
    }
    return e;
}

static struct err tell_end(struct milter_talk *t, struct when by)
{
    struct milter_edits edits;
    struct err e;

    milter_edits_init(&edits, t->view, &t->s->terms, t->a);
    milter_put_macros_at(t, t->view, MILTER_AT_END, MILTER_END);
    milter_put_bare(&t->out, MILTER_END);
    e = milter_send(t, by);
    if (e.code == OK) {
        e = hear_end(t, &edits, by);
    }
    milter_edits_done(&edits);
    /* It has the whole message: what follows is another transaction for it. */
    t->s->told_mail = false;
    if (e.code == OK && !t->is_done) {
        milter_settle(t, MILTER_ABOUT_MESSAGE, &(struct hook_outcome){.action = HOOK_ACCEPT});
    }
    return e;
}

static struct err tell_message(struct milter_talk *t, struct when by)
{
    static struct err (*const parts[])(struct milter_talk *, struct when) = {
        tell_data, tell_fields, tell_header_end, tell_body, tell_end};
    struct err e = ERR_OK;

    for (size_t i = 0; i < COUNT_OF(parts) && e.code == OK && !t->is_done; i++) {
        e = parts[i](t, by);
    }
    return e;
}

/* ---- all of it ---- */

static struct err tell(struct milter_talk *t, struct when by)
{
    struct milter_session *s = t->s;
    enum hook_stage stage = t->view->stage;
    struct err e = ERR_OK;

    if (!s->told_connect) {
        e = tell_connect(t, by);
    }
    if (e.code == OK && !t->is_done && must_tell_helo(t)) {
        e = tell_helo(t, by);
    }
    if (e.code == OK && !t->is_done && t->view->has_sender && stage >= HOOK_MAIL && !s->told_mail) {
        e = tell_mail(t, by);
    }
    if (e.code == OK && !t->is_done && s->told_mail && stage >= HOOK_RCPT) {
        e = tell_rcpts(t, by);
    }
    if (e.code == OK && !t->is_done && stage == HOOK_DATA) {
        e = tell_message(t, by);
    }
    return e;
}

static void forget_connection(struct milter_session *s)
{
    milter_close(s);
    arena_reset(&s->kept);
    s->terms = (struct milter_terms){0};
    s->told_connect = s->told_helo = s->told_tls = s->told_mail = s->must_abort = false;
    s->told_rcpts = 0;
    s->helo = STR_EMPTY;
}

static struct err talk(struct milter_talk *t, struct when by)
{
    struct milter_session *s = t->s;
    struct err e = ERR_OK;

    if (s->stream == NULL) {
        e = milter_open(t, by);
    }
    if (t->view->stage == HOOK_MAIL && s->told_mail) {
        s->must_abort = true; /* a second MAIL without a reset between */
        s->told_mail = false;
    }
    if (s->must_abort && e.code == OK) {
        milter_put_bare(&t->out, MILTER_ABORT);
        s->must_abort = false;
    }
    return e.code == OK ? tell(t, by) : e;
}

static struct err milter_ask(const void *filter, void *session, const struct hook_view *view,
                             struct arena *a, struct hook_outcome *ret, struct buf *why,
                             struct when by)
{
    const struct milter *m = filter;
    struct milter_session *s = session;
    struct milter_talk t = {.s = s, .view = view, .a = a, .outcome = ret, .why = why};
    struct err e;

    *ret = (struct hook_outcome){.action = HOOK_ACCEPT};
    if (view->stage <= HOOK_MAIL) {
        s->is_settled = false;
    }
    if (s->is_over || s->is_settled) {
        *ret = s->said;
        ret->reply.text = arena_dup(a, buf_str(&s->said_text));
        return ERR_OK;
    }
    if (s->is_broken) {
        ret->was_unasked = true; /* it was counted when it failed */
        return milter_wrong(&t, ERR_CLOSED, "it failed before in this transaction");
    }
    t.in.max = MILTER_PACKET_BYTES_MAX;
    e = talk(&t, when_within(by, m->settings->stage_timeout_ms));
    buf_done(&t.out);
    buf_done(&t.in);
    if (e.code != OK) {
        *ret = (struct hook_outcome){.action = HOOK_ACCEPT};
        s->is_broken = true;
        forget_connection(s);
    } else if (s->is_over) {
        forget_connection(s);
    }
    return e;
}

static void milter_attach(void *filter, const struct filter_world *world)
{
    struct milter *m = filter;

    m->dns = world->dns;
}

static void *milter_begin(const void *filter, const struct hook_view *view)
{
    struct milter_session *s = MEM_NEW(struct milter_session);

    s->milter = filter;
    (void)view;
    return s;
}

static void milter_reset(const void *filter, void *session)
{
    struct milter_session *s = session;

    s->must_abort = s->must_abort || s->told_mail;
    s->told_mail = s->is_settled = s->is_broken = false;
    s->told_rcpts = 0;
    (void)filter;
}

static void milter_end(const void *filter, void *session)
{
    struct milter_session *s = session;

    milter_close(s);
    arena_done(&s->kept);
    buf_done(&s->said_text);
    mem_free(s);
    (void)filter;
}

const struct filter_kind filter_milter = {.name = "milter",
                                          .attach = milter_attach,
                                          .begin = milter_begin,
                                          .ask = milter_ask,
                                          .reset = milter_reset,
                                          .end = milter_end};
