/*
 * client_send: one transaction, from MAIL to the reply to the end of data.
 */
#include "base/check.h"
#include "mail/content.h"
#include "mail/params.h"
#include "mail/xtext.h"
#include "runtime/clock.h"
#include "runtime/stream.h"
#include "smtp/client.h"
#include "smtp/client_part.h"

/* A content up to this size may leave together with MAIL and RCPT; a larger one waits until
 * somebody wants it. */
static const uint64_t hasty_bytes_max = 16 * 1024;
static const size_t piece_bytes_max = 32 * 1024;

/* How the content goes. */
enum carriage { BY_DATA, BY_CHUNK, BY_HASTY_CHUNK };

enum client_lack client_lacks(const struct client *c, const struct client_mail *m,
                              bool utf8_headers)
{
    unsigned binary = CLIENT_BINARYMIME | CLIENT_CHUNKING;
    bool utf8 = utf8_headers || !str_is_ascii(m->sender);

    for (uint32_t i = 0; i < m->to_count; i++) {
        utf8 = utf8 || !str_is_ascii(m->to[i].address);
    }
    if (utf8 && m->smtputf8 && !(c->offers & CLIENT_SMTPUTF8)) {
        return CLIENT_LACKS_UTF8;
    }
    if (m->body == BODY_BINARY && (c->offers & binary) != binary) {
        return CLIENT_LACKS_BINARY;
    }
    if (m->body == BODY_8BIT && !(c->offers & CLIENT_8BITMIME)) {
        return CLIENT_LACKS_8BIT;
    }
    if (m->by == BY_RETURN && !c->lmtp &&
        (!(c->offers & CLIENT_DELIVERBY) || m->by_s < 1 || m->by_s < (int64_t)c->by_s_min)) {
        return CLIENT_LACKS_TIME;
    }
    if (c->size_max > 0 && m->size > c->size_max) {
        return CLIENT_LACKS_SIZE;
    }
    return CLIENT_LACKS_NOTHING;
}

static enum carriage carriage_of(const struct client *c, const struct client_mail *m)
{
    if (!(c->offers & CLIENT_CHUNKING)) {
        return BY_DATA;
    }
    return m->hasty && (c->offers & CLIENT_PIPELINING) && m->size <= hasty_bytes_max
               ? BY_HASTY_CHUNK
               : BY_CHUNK;
}

/* ---- commands, gathered in c->out ---- */

/* Everything was checked where it entered; a line that would break the line is refused again here,
 * since what follows would be a command. */
static struct err address_put(struct buf *out, struct str address)
{
    for (size_t i = 0; i < address.len; i++) {
        unsigned char byte = (unsigned char)address.ptr[i];

        if (byte < 0x20 || byte == 0x7f) {
            return err_of(ERR_SYNTAX);
        }
    }
    buf_byte(out, '<');
    buf_put(out, address);
    buf_byte(out, '>');
    return ERR_OK;
}

/* What its sender wished, as far as the peer knows how to grant it (PY-15). */
static void wishes_put(struct client *c, const struct client_mail *m)
{
    if (m->by != BY_NONE && (c->offers & CLIENT_DELIVERBY)) {
        int64_t s = m->by_s > PARAM_SECONDS_MAX    ? PARAM_SECONDS_MAX
                    : m->by_s < -PARAM_SECONDS_MAX ? -PARAM_SECONDS_MAX
                                                   : m->by_s;

        buf_put(&c->out, STR(" BY="));
        buf_num(&c->out, s);
        buf_put(&c->out, m->by == BY_RETURN ? STR(";R") : STR(";N"));
        buf_put(&c->out, m->by_trace ? STR("T") : STR_EMPTY);
    }
    if (m->priority != 0 && (c->offers & CLIENT_MT_PRIORITY)) {
        buf_put(&c->out, STR(" MT-PRIORITY="));
        buf_num(&c->out, m->priority);
    }
}

static struct err mail_put(struct client *c, const struct client_mail *m)
{
    struct err e;

    buf_put(&c->out, STR("MAIL FROM:"));
    e = address_put(&c->out, m->sender);
    if (e.code) {
        return e;
    }
    if (c->offers & CLIENT_SIZE) {
        buf_put(&c->out, STR(" SIZE="));
        buf_num(&c->out, (int64_t)m->size);
    }
    if (m->body == BODY_8BIT && (c->offers & CLIENT_8BITMIME)) {
        buf_put(&c->out, STR(" BODY=8BITMIME"));
    }
    if (m->body == BODY_BINARY) {
        buf_put(&c->out, STR(" BODY=BINARYMIME"));
    }
    if (m->smtputf8 && (c->offers & CLIENT_SMTPUTF8)) {
        buf_put(&c->out, STR(" SMTPUTF8"));
    }
    if ((c->offers & CLIENT_DSN) && m->ret != RET_NONE) {
        buf_put(&c->out, m->ret == RET_FULL ? STR(" RET=FULL") : STR(" RET=HDRS"));
    }
    if ((c->offers & CLIENT_DSN) && m->envid.len > 0) {
        buf_put(&c->out, STR(" ENVID="));
        xtext_encode(&c->out, m->envid);
    }
    wishes_put(c, m);
    buf_put(&c->out, STR("\r\n"));
    return ERR_OK;
}

static struct err rcpt_put(struct client *c, const struct client_mail *m, uint32_t i)
{
    const struct client_rcpt *to = &m->to[i];
    struct err e;

    buf_put(&c->out, STR("RCPT TO:"));
    e = address_put(&c->out, to->address);
    if (e.code) {
        return e;
    }
    if ((c->offers & CLIENT_DSN) && to->notify != 0) {
        buf_put(&c->out, STR(" NOTIFY="));
        notify_write(&c->out, to->notify);
    }
    if ((c->offers & CLIENT_DSN) && to->orcpt.len > 0) {
        buf_put(&c->out, STR(" ORCPT="));
        orcpt_write(&c->out, to->orcpt, m->smtputf8 && (c->offers & CLIENT_SMTPUTF8));
    }
    buf_put(&c->out, STR("\r\n"));
    return ERR_OK;
}

static struct err out_send(struct client *c, struct when by)
{
    struct err e = stream_put(c->stream, buf_str(&c->out), by);

    buf_clear(&c->out);
    return client_lost(c, e);
}

/* ---- replies ---- */

static void refuse(struct client *c, struct client_mail *m, struct client_rcpt *to)
{
    struct str text = str_head(c->said.text, RESULT_TEXT_BYTES_MAX);
    char *copy;

    while (text.len > 0 && text.len < c->said.text.len &&
           ((unsigned char)text.ptr[text.len] & 0xc0) == 0x80) {
        text.len--; /* not within a character */
    }
    c->over = c->over || c->said.code == CLIENT_OUT_OF_STEP;
    to->fate = CLIENT_REFUSED;
    to->stage = c->stage;
    to->code = c->said.code;
    to->esc = c->said.esc;
    copy = arena_alloc(m->arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        copy[i] = text.ptr[i] == '\n' ? ' ' : text.ptr[i];
    }
    to->text = str_make(copy, text.len);
}

/* The reply in c->said goes to all that have no final answer. */
static void refuse_rest(struct client *c, struct client_mail *m)
{
    for (uint32_t i = 0; i < m->to_count; i++) {
        if (m->to[i].fate == CLIENT_OPEN || m->to[i].fate == CLIENT_GOOD) {
            refuse(c, m, &m->to[i]);
        }
    }
}

static uint32_t good_count(const struct client_mail *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->to_count; i++) {
        n += m->to[i].fate == CLIENT_GOOD;
    }
    return n;
}

/* The end of what a former transaction left open. */
static struct err hear_reset(struct client *c, struct client_mail *m, struct when by)
{
    struct err e = client_hear(c, CLIENT_AT_MAIL, c->times.mail_ms, by);

    if (e.code) {
        return e;
    }
    if (c->over) {
        refuse_rest(c, m);
    } else if (!reply_is(&c->said, 2)) {
        c->fault = "RSET was refused";
        return client_lost(c, err_of(ERR_PROTOCOL));
    }
    c->needs_reset = false;
    return ERR_OK;
}

static struct err hear_mail(struct client *c, struct client_mail *m, struct when by)
{
    struct err e = client_hear(c, CLIENT_AT_MAIL, c->times.mail_ms, by);

    if (e.code) {
        return e;
    }
    m->accepted = reply_is(&c->said, 2);
    if (!m->accepted) {
        refuse_rest(c, m);
    } else {
        c->needs_reset = true;
    }
    return ERR_OK;
}

/* RFC 5321 section 4.5.3.1.10: 452, and 552 of old, say "too many". Once one recipient was
 * accepted a reply without another meaning of its own is read so; in the next transaction the
 * recipient comes first and gets its true answer. */
static bool is_too_many(const struct client *c, const struct client_mail *m)
{
    const struct enhanced *esc = &c->said.esc;

    return (c->said.code == 452 || c->said.code == 552) && good_count(m) > 0 &&
           (esc->class == 0 || (esc->subject == 5 && esc->detail == 3));
}

static struct err hear_rcpt(struct client *c, struct client_mail *m, uint32_t i, struct when by)
{
    struct client_rcpt *to = &m->to[i];
    struct err e = client_hear(c, CLIENT_AT_RCPT, c->times.rcpt_ms, by);

    if (e.code || to->fate != CLIENT_OPEN) {
        return e;
    }
    if (reply_is(&c->said, 2)) {
        to->fate = CLIENT_GOOD;
    } else if (c->over) {
        refuse_rest(c, m);
    } else if (is_too_many(c, m)) {
        to->fate = CLIENT_LATER;
    } else {
        refuse(c, m, to);
    }
    return ERR_OK;
}

/* ---- content ---- */

/* The peer has hung up while we wrote: what it said before counts more than that it is gone. */
static struct err hung_up(struct client *c, struct client_mail *m, struct err e)
{
    struct reply said;
    size_t used;

    c->over = true;
    if (reply_parse(&c->parser, stream_buffered(c->stream), &used, &said) == REPLY_WHOLE &&
        said.code >= 400) {
        c->said = said;
        refuse_rest(c, m);
        return ERR_OK;
    }
    return e;
}

/* Gives the content to the stream, as it is or with dots doubled. */
static struct err content_send(struct client *c, struct client_mail *m, bool dotted, struct when by)
{
    struct stuff dots = {0};
    uint64_t at = 0;
    struct err e;

    while (at < m->size) {
        struct str run;

        e = m->content(m->ctx, at, &run, by);
        if (e.code) {
            return client_lost(c, e); /* rule 3 */
        }
        run = str_head(run, piece_bytes_max);
        must(run.len > 0 && run.len <= m->size - at);
        at += run.len;
        if (dotted) {
            buf_clear(&c->body);
            stuff(&dots, run, &c->body);
            run = buf_str(&c->body);
        }
        e = stream_put(c->stream, run, when_within(by, c->times.data_ms));
        if (e.code) {
            return hung_up(c, m, e);
        }
    }
    m->sent = true;
    if (dotted) {
        buf_clear(&c->body);
        stuff_end(&dots, &c->body);
        e = stream_put(c->stream, buf_str(&c->body), when_within(by, c->times.data_ms));
        return e.code ? hung_up(c, m, e) : e;
    }
    return ERR_OK;
}

static void settle(struct client *c, struct client_mail *m, struct client_rcpt *to)
{
    refuse(c, m, to);
    if (reply_is(&c->said, 2)) {
        to->fate = CLIENT_TAKEN;
        c->delivered++;
    }
}

/* Rule 5, where we are about to speak. */
static struct err expect_silence(struct client *c)
{
    if (stream_buffered(c->stream).len == 0) {
        return ERR_OK;
    }
    c->fault = "a reply came that nobody asked for";
    return client_lost(c, err_of(ERR_PROTOCOL));
}

/* The reply to the end of data: one for all, or with LMTP one for each that was accepted. */
static struct err hear_end(struct client *c, struct client_mail *m, bool hasty, struct when by)
{
    bool told = false;

    for (uint32_t i = 0; i < m->to_count; i++) {
        struct client_rcpt *to = &m->to[i];

        if (to->fate != CLIENT_GOOD) {
            continue;
        }
        if (!told || (c->lmtp && !c->over)) {
            struct err e = client_hear(c, CLIENT_AT_END, c->times.data_ms, by);

            if (e.code) {
                return e;
            }
            told = true;
            if (hasty && !c->lmtp && !c->over) {
                /* More than was due: some reply before this one may have been the one too many,
                 * and this one not the content's. */
                e = expect_silence(c);
                if (e.code) {
                    return e;
                }
            }
        }
        settle(c, m, to);
    }
    c->needs_reset = false;
    (void)client_is_quiet(c); /* after one too many the conversation is over */
    return ERR_OK;
}

static struct err chunk_send(struct client *c, struct client_mail *m, struct when by)
{
    c->stage = CLIENT_AT_END;
    buf_put(&c->out, STR("BDAT "));
    buf_num(&c->out, (int64_t)m->size);
    buf_put(&c->out, STR(" LAST\r\n"));

    struct err e = out_send(c, by);

    return e.code ? e : content_send(c, m, false, by);
}

/* After BDAT was sent in haste: its reply is due whoever was accepted. */
static struct err end_chunk(struct client *c, struct client_mail *m, struct when by)
{
    if (good_count(m) > 0) {
        return hear_end(c, m, true, by);
    }
    m->sent = false; /* there is nobody who could have it */
    return client_hear(c, CLIENT_AT_END, c->times.data_ms, by);
}

/* After DATA was said. */
static struct err end_data(struct client *c, struct client_mail *m, struct when by)
{
    struct err e = client_hear(c, CLIENT_AT_DATA, c->times.data_ms, by);

    if (e.code) {
        return e;
    }
    if (c->said.code != 354) {
        /* 2xx is neither yes nor no: a refusal for now, and nobody knows what comes next. */
        refuse_rest(c, m);
        c->over = c->over || c->said.code < 400;
        return ERR_OK;
    }
    if (good_count(m) == 0) {
        /* Nobody wanted it, yet content is expected: rule 3. */
        c->over = true;
        return ERR_OK;
    }
    e = expect_silence(c);
    if (e.code) {
        return e;
    }
    c->stage = CLIENT_AT_END;
    e = content_send(c, m, true, by);
    return e.code || good_count(m) == 0 ? e : hear_end(c, m, false, by);
}

/* ---- the transaction ---- */

/* One after the other, for a peer without PIPELINING. True in *ret when content may follow. */
static struct err recipients_slowly(struct client *c, struct client_mail *m, bool *ret,
                                    struct when by)
{
    struct err e;

    *ret = false;
    if (c->needs_reset) {
        e = client_say(c, CLIENT_AT_MAIL, STR("RSET"), by);
        e = e.code ? e : hear_reset(c, m, by);
        if (e.code || c->over) {
            return e;
        }
    }
    e = mail_put(c, m);
    e = e.code ? e : out_send(c, by);
    e = e.code ? e : hear_mail(c, m, by);
    for (uint32_t i = 0; e.code == OK && m->accepted && !c->over && i < m->to_count; i++) {
        e = rcpt_put(c, m, i);
        e = e.code ? e : out_send(c, by);
        e = e.code ? e : hear_rcpt(c, m, i, by);
    }
    *ret = m->accepted && !c->over && good_count(m) > 0;
    return e;
}

/* All commands in one burst, the content too when in haste, then all replies. */
static struct err recipients_at_once(struct client *c, struct client_mail *m, enum carriage how,
                                     bool *ret, struct when by)
{
    bool reset = c->needs_reset;
    struct err e;

    *ret = false;
    if (reset) {
        buf_put(&c->out, STR("RSET\r\n"));
    }
    e = mail_put(c, m);
    for (uint32_t i = 0; e.code == OK && i < m->to_count; i++) {
        e = rcpt_put(c, m, i);
    }
    if (e.code) {
        buf_clear(&c->out);
        return e;
    }
    if (how == BY_DATA) {
        buf_put(&c->out, STR("DATA\r\n"));
    }
    e = how == BY_HASTY_CHUNK ? chunk_send(c, m, by) : out_send(c, by);
    if (e.code == OK && reset) {
        e = hear_reset(c, m, by);
    }
    if (e.code == OK && !c->over) {
        e = hear_mail(c, m, by);
    }
    for (uint32_t i = 0; e.code == OK && !c->over && i < m->to_count; i++) {
        e = hear_rcpt(c, m, i, by);
    }
    *ret = !c->over && (how != BY_CHUNK || good_count(m) > 0);
    return e;
}

struct err client_send(struct client *c, struct client_mail *m, struct when by)
{
    enum carriage how = carriage_of(c, m);
    bool go_on = false;
    struct err e;

    must(m->to_count > 0);
    must_not(c->over);
    buf_clear(&c->out);
    m->accepted = m->sent = false;
    c->mails++;
    c->spent = c->mails_max > 0 && c->mails >= c->mails_max;
    e = expect_silence(c);
    if (e.code) {
        return e;
    }
    if (c->offers & CLIENT_PIPELINING) {
        e = recipients_at_once(c, m, how, &go_on, by);
    } else {
        e = recipients_slowly(c, m, &go_on, by);
        if (e.code == OK && go_on && how == BY_DATA) {
            e = client_say(c, CLIENT_AT_DATA, STR("DATA"), by);
        }
    }
    if (e.code || !go_on) {
        return e;
    }
    switch (how) {
    case BY_DATA:
        return end_data(c, m, by);
    case BY_CHUNK:
        e = expect_silence(c);
        e = e.code ? e : chunk_send(c, m, by);
        return e.code || good_count(m) == 0 ? e : hear_end(c, m, false, by);
    case BY_HASTY_CHUNK:
        return end_chunk(c, m, by);
    }
    never("all carriages were named");
}
