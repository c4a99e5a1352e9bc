#include "smtp/server.h"

#include "base/check.h"
#include "mail/address.h"
#include "runtime/clock.h"
#include "runtime/stream.h"
#include "smtp/server_part.h"
#include "tls/tls.h"

#include <stdio.h>

/* What is thrown away of one over-long line before the session is given up. */
static const uint64_t skip_bytes_max = 1024 * 1024;

struct when server_ask_by(const struct server *s, struct when by)
{
    return when_within(by, s->options.ask_ms);
}

static bool is_protocol_error(uint16_t code)
{
    return (code >= 500 && code <= 504) || code == 555;
}

struct err server_say(struct server *s, enum command command, const struct answer *a,
                      struct when by)
{
    if (!answer_is_good(a)) {
        s->asks->refused(s->ctx, command, a);
        if (is_protocol_error(a->code) && !a->by_policy) {
            s->errors++;
        } else if (command == COMMAND_RCPT || command == COMMAND_MAIL) {
            s->refusals++;
        }
    }
    s->over = s->over || a->close;
    return answer_write(s->stream, a, when_within(by, s->options.idle_ms));
}

struct err server_say_row(struct server *s, enum command command, enum answer_row row,
                          struct when by)
{
    struct answer a;

    answer_fixed(&a, row);
    a.close = a.close || row == ANSWER_FOREIGN || row == ANSWER_ARG_BDAT ||
              row == ANSWER_DATA_EARLY || row == ANSWER_TLS_EARLY;
    return server_say(s, command, &a, by);
}

void server_reset(struct server *s)
{
    s->asks->reset(s->ctx);
    s->in_mail = s->binary_claimed = s->smtputf8 = s->discarding = false;
    s->bdat = BDAT_NONE;
    s->rcpts = 0;
    s->into = NULL;
    arena_done(&s->scratch);
    buf_done(&s->waste);
}

static struct err greet(struct server *s, struct when by)
{
    struct answer a;

    answer_format(&a, 220, "", "%.*s ESMTP Postyard", STR_ARG(s->options.hostname));
    s->asks->connect(s->ctx, &a, server_ask_by(s, by));
    if (!answer_is_good(&a)) {
        a.close = true;
    }
    return server_say(s, COMMAND_COUNT, &a, by);
}

/* One line of an EHLO reply. */
static struct err offer(struct server *s, bool more, const char *what, struct when by)
{
    struct err e = stream_put(s->stream, more ? STR("250-") : STR("250 "), by);

    if (!e.code) {
        e = stream_put(s->stream, str_of(what), by);
    }
    return e.code ? e : stream_put(s->stream, STR("\r\n"), by);
}

/* What a sender may wish for its message: not offered to everyone. */
static struct err offer_wishes(struct server *s, struct when by)
{
    const struct server_options *o = &s->options;
    char line[80], date[DATE_ISO_BYTES];
    struct err e = ERR_OK;

    if (o->extensions & OFFER_FUTURERELEASE) {
        struct date last = date_add(clock_date(), (int64_t)o->hold_s_max * 1000);
        struct str text = str_head(date_iso(last, date), DATE_ISO_BYTES - 6); /* without ".000Z" */

        snprintf(line, sizeof line, "FUTURERELEASE %u %.*sZ", o->hold_s_max, STR_ARG(text));
        e = offer(s, true, line, by);
    }
    if ((o->extensions & OFFER_DELIVERBY) && !e.code) {
        snprintf(line, sizeof line, o->deliver_by_s_min > 0 ? "DELIVERBY %u" : "DELIVERBY",
                 o->deliver_by_s_min);
        e = offer(s, true, line, by);
    }
    if ((o->extensions & OFFER_MT_PRIORITY) && !e.code) {
        e = offer(s, true, "MT-PRIORITY", by);
    }
    return e;
}

static struct err offer_all(struct server *s, struct when by)
{
    static const char *const always[] = {"PIPELINING", "8BITMIME",   "SMTPUTF8",
                                         "CHUNKING",   "BINARYMIME", "ENHANCEDSTATUSCODES",
                                         "DSN"};
    struct buf line BUF_LOCAL = {0};
    struct err e;

    buf_printf(&line, "250-%.*s\r\n", STR_ARG(s->options.hostname));
    e = stream_put(s->stream, buf_str(&line), by);
    for (size_t i = 0; i < COUNT_OF(always) && !e.code; i++) {
        e = offer(s, true, always[i], by);
    }
    if (s->options.tls != NULL && !s->is_tls && !e.code) {
        e = offer(s, true, "STARTTLS", by);
    }
    e = e.code ? e : offer_wishes(s, by);
    buf_clear(&line);
    buf_printf(&line, "SIZE %llu", (unsigned long long)s->options.size_max);
    buf_byte(&line, '\0');
    return e.code ? e : offer(s, false, line.ptr, by);
}

/* What MAIL and RCPT may carry: what EHLO has offered. */
static unsigned offered(const struct server *s)
{
    return s->extended ? OFFER_SIZE | OFFER_8BITMIME | OFFER_BINARYMIME | OFFER_SMTPUTF8 |
                             OFFER_DSN | s->extensions
                       : 0;
}

/* What EHLO has told the bounds of; ANSWER_OK when all is within. */
static enum answer_row bounds_check(const struct server *s, const struct mail_args *mail)
{
    const struct server_options *o = &s->options;
    int64_t hold_ms = (int64_t)mail->hold_s * 1000;

    if (mail->has_size && mail->size > o->size_max) {
        return ANSWER_SIZE;
    }
    if (mail->hold_until.ms > 0) {
        hold_ms = mail->hold_until.ms - clock_date().ms;
        if (hold_ms <= 0) {
            return ANSWER_HOLD_PAST;
        }
    }
    if (hold_ms > (int64_t)o->hold_s_max * 1000) {
        return ANSWER_HOLD_LONG;
    }
    if (mail->by == BY_RETURN && (uint32_t)mail->by_s < o->deliver_by_s_min) {
        return ANSWER_BY_SHORT;
    }
    return mail->by == BY_RETURN && hold_ms >= (int64_t)mail->by_s * 1000 ? ANSWER_BY_HELD
                                                                          : ANSWER_OK;
}

static void take_name(struct server *s, struct str name, bool extended)
{
    memcpy(s->helo_room, name.ptr, name.len);
    s->helo = str_make(s->helo_room, name.len);
    s->greeted = true;
    s->extended = extended;
    s->extensions = s->options.extensions;
}

static struct err on_helo(struct server *s, const struct command_line *c, size_t used,
                          struct when by)
{
    bool good = c->arg.len <= SERVER_NAME_BYTES_MAX && helo_is_valid(c->arg);
    bool extended = c->command == COMMAND_EHLO;
    char room[SERVER_NAME_BYTES_MAX + 1];
    struct str name = {room, good ? c->arg.len : 0};
    struct answer a;

    memcpy(room, c->arg.ptr, name.len);
    stream_take(s->stream, used);
    if (!good) {
        return server_say_row(s, c->command, ANSWER_HELO_BAD, by);
    }
    server_reset(s);
    answer_format(&a, 250, "", "%.*s", STR_ARG(s->options.hostname));
    s->asks->helo(s->ctx, name, extended, &a, server_ask_by(s, by));
    if (!answer_is_good(&a)) {
        return server_say(s, c->command, &a, by);
    }
    take_name(s, name, extended);
    if (!extended) {
        return server_say(s, c->command, &a, by);
    }
    s->over = s->over || a.close;
    return offer_all(s, when_within(by, s->options.idle_ms));
}

static struct err on_mail(struct server *s, const struct command_line *c, size_t used,
                          struct when by)
{
    struct mail_args mail = {0};
    enum answer_row bounds = ANSWER_OK;
    struct answer a;

    arena_reset(&s->scratch);
    enum refusal why = mail_args_parse(c->arg, offered(s), &s->scratch, &mail);

    answer_fixed(&a, ANSWER_SENDER_OK);
    if (why != REFUSAL_NONE) {
        answer_refusal(&a, why, false, mail.culprit);
    }
    stream_take(s->stream, used);
    if (why == REFUSAL_NONE) {
        bounds = bounds_check(s, &mail);
    }
    if (bounds != ANSWER_OK) {
        answer_fixed(&a, bounds);
    } else if (why == REFUSAL_NONE) {
        s->asks->mail(s->ctx, &mail, &a, server_ask_by(s, by));
        s->in_mail = answer_is_good(&a);
        s->binary_claimed = mail.body == BODY_BINARY;
        s->smtputf8 = mail.smtputf8;
    }
    if (!s->in_mail) {
        server_reset(s);
    }
    return server_say(s, c->command, &a, by);
}

static struct err on_rcpt(struct server *s, const struct command_line *c, size_t used,
                          struct when by)
{
    struct rcpt_args rcpt = {0};
    struct answer a;

    arena_reset(&s->scratch);
    enum refusal why = rcpt_args_parse(c->arg, offered(s), s->smtputf8, &s->scratch, &rcpt);

    answer_fixed(&a, ANSWER_RCPT_OK);
    if (why != REFUSAL_NONE) {
        answer_refusal(&a, why, true, rcpt.culprit);
    }
    stream_take(s->stream, used);
    if (why == REFUSAL_NONE) {
        s->asks->rcpt(s->ctx, &rcpt, &a, server_ask_by(s, by));
        s->rcpts += answer_is_good(&a);
    }
    return server_say(s, c->command, &a, by);
}

static struct err on_bdat(struct server *s, const struct command_line *c, size_t used,
                          struct when by)
{
    uint64_t size = 0;
    bool last = false;
    bool good = bdat_parse(c->arg, &size, &last);

    stream_take(s->stream, used);
    return good ? server_bdat(s, size, last, by)
                : server_say_row(s, c->command, ANSWER_ARG_BDAT, by);
}

static struct err on_starttls(struct server *s, struct when by)
{
    struct err e;

    if (s->options.tls == NULL) {
        return server_say_row(s, COMMAND_STARTTLS, ANSWER_NOT_OFFERED, by);
    }
    if (s->is_tls) {
        return server_say_row(s, COMMAND_STARTTLS, ANSWER_TLS_ACTIVE, by);
    }
    if (!str_is_empty(stream_buffered(s->stream))) {
        return server_say_row(s, COMMAND_STARTTLS, ANSWER_TLS_EARLY, by);
    }
    server_reset(s);
    by = when_within(by, s->options.idle_ms);
    e = server_say_row(s, COMMAND_STARTTLS, ANSWER_READY_TLS, by);
    if (!e.code) {
        e = stream_flush(s->stream, by);
    }
    if (!e.code) {
        e = tls_accept(s->stream, s->options.tls, by);
        s->asks->tls(s->ctx, e);
    }
    s->is_tls = e.code == OK;
    s->greeted = s->extended = false;
    s->helo = STR_EMPTY;
    return e;
}

/* Why a command cannot be served now; ANSWER_OK when it can. BDAT looks itself (server_data.c),
 * since its octets must be read in any case. */
static enum answer_row place_check(const struct server *s, const struct command_line *c)
{
    bool in_transaction = c->place == PLACE_FRESH || c->place == PLACE_MAIL ||
                          c->place == PLACE_RCPT;

    if (c->command == COMMAND_BDAT || c->place == PLACE_ALWAYS) {
        return ANSWER_OK;
    }
    if (!s->greeted) {
        return ANSWER_HELO_FIRST;
    }
    if (in_transaction && s->bdat != BDAT_NONE) {
        return s->bdat == BDAT_OPEN ? ANSWER_BDAT_OPEN : ANSWER_BDAT_FAILED;
    }
    if (c->place == PLACE_FRESH && s->in_mail) {
        return ANSWER_MAIL_TWICE;
    }
    if ((c->place == PLACE_MAIL || c->place == PLACE_RCPT) && !s->in_mail) {
        return ANSWER_MAIL_FIRST;
    }
    if (c->place == PLACE_RCPT && s->rcpts == 0) {
        return ANSWER_RCPT_FIRST;
    }
    if (c->command == COMMAND_DATA && s->binary_claimed) {
        return ANSWER_DATA_BINARY;
    }
    return ANSWER_OK;
}

/* The commands that have nothing to do but answer. */
static struct err on_simple(struct server *s, enum command command, struct when by)
{
    switch ((int)command) {
    case COMMAND_RSET:
        server_reset(s);
        return server_say_row(s, command, ANSWER_RESET, by);
    case COMMAND_NOOP:
        return server_say_row(s, command, ANSWER_OK, by);
    case COMMAND_VRFY:
        return server_say_row(s, command, ANSWER_VRFY, by);
    case COMMAND_HELP:
        return server_say_row(s, command, ANSWER_HELP, by);
    case COMMAND_QUIT:
        s->over = true;
        return server_say_row(s, command, ANSWER_BYE, by);
    case COMMAND_DATA:
        return server_data(s, by);
    case COMMAND_STARTTLS:
        return on_starttls(s, by);
    default:
        never("commands that are not offered do not come here");
    }
}

/* A line in due form. */
static struct err on_line(struct server *s, struct str line, size_t used, struct when by)
{
    struct command_line c;
    enum answer_row row = ANSWER_OK;
    bool good = command_parse(line, &c, &row);

    if (good) {
        row = place_check(s, &c);
    }
    if (row == ANSWER_ARG_NEEDED && c.command == COMMAND_BDAT) {
        row = ANSWER_ARG_BDAT;
    }
    if (!good || row != ANSWER_OK) {
        stream_take(s->stream, used);
        /* Its content must not be read as commands (6). */
        if (c.command == COMMAND_DATA && !str_is_empty(stream_buffered(s->stream))) {
            row = ANSWER_DATA_EARLY;
        }
        return server_say_row(s, c.command, row, by);
    }
    switch ((int)c.command) {
    case COMMAND_EHLO:
    case COMMAND_HELO:
        return on_helo(s, &c, used, by);
    case COMMAND_MAIL:
        return on_mail(s, &c, used, by);
    case COMMAND_RCPT:
        return on_rcpt(s, &c, used, by);
    case COMMAND_BDAT:
        return on_bdat(s, &c, used, by);
    default:
        stream_take(s->stream, used);
        return on_simple(s, c.command, by);
    }
}

/* Waits for more of a command. */
static struct err line_wait(struct server *s, struct when by)
{
    struct err e;

    if (!s->in_mail && str_is_empty(stream_buffered(s->stream))) {
        if (s->stopping) {
            return err_of(ERR_CANCELLED);
        }
        s->phase = SERVER_IDLE;
    }
    e = stream_fill(s->stream, "command", by);
    s->phase = SERVER_BUSY;
    return e;
}

/* The next line, however it is, and what comes of it. */
static struct err next(struct server *s, struct when by)
{
    struct when line_by = when_within(by, s->options.idle_ms);
    uint64_t skipped = 0;

    for (;;) {
        struct str line;
        size_t used;
        bool ended;
        enum line_state state = line_find(stream_buffered(s->stream), s->options.line_bytes_max,
                                          &line, &used, &ended);

        if (state == LINE_GOOD && skipped == 0) {
            return on_line(s, line, used, by);
        }
        if (state != LINE_PART) {
            stream_take(s->stream, used);
            skipped += used;
        }
        if (state != LINE_PART && ended) {
            return server_say_row(
                s, COMMAND_COUNT,
                state == LINE_BARE && skipped == used ? ANSWER_LINE_BARE : ANSWER_LINE_LONG, by);
        }
        if (skipped > skip_bytes_max) {
            s->over = true;
            return server_say_row(s, COMMAND_COUNT, ANSWER_LINE_LONG, by);
        }
        struct err e = line_wait(s, line_by);

        if (e.code) {
            return e;
        }
    }
}

static struct err count(struct server *s, struct when by)
{
    s->commands++;
    if (s->over) {
        return ERR_OK;
    }
    if (s->errors >= s->options.errors_max || s->refusals >= s->options.refusals_max) {
        return server_say_row(s, COMMAND_COUNT, ANSWER_ERRORS_MANY, by);
    }
    if (s->commands >= s->options.commands_max) {
        return server_say_row(s, COMMAND_COUNT, ANSWER_COMMANDS_MANY, by);
    }
    return ERR_OK;
}

/* The last words of a conversation that was not ended in due form. */
static void farewell(struct server *s, struct err e)
{
    char line[ANSWER_LINE_BYTES];
    struct answer a;

    if (s->over || (e.code != ERR_CANCELLED && e.code != ERR_TIMEOUT)) {
        return;
    }
    answer_fixed(&a, e.code == ERR_TIMEOUT ? ANSWER_IDLE : ANSWER_STOPPING);
    s->asks->refused(s->ctx, COMMAND_COUNT, &a);
    stream_farewell(s->stream, answer_line(&a, line));
}

struct err server_run(struct server *s, struct when by)
{
    struct err e;

    s->phase = SERVER_BUSY;
    s->helo = STR_EMPTY;
    e = greet(s, by);
    while (!e.code && !s->over) {
        e = next(s, by);
        if (!e.code) {
            e = count(s, by);
        }
    }
    if (e.code) {
        farewell(s, e);
    } else {
        e = stream_flush(s->stream, when_within(by, s->options.idle_ms));
    }
    server_reset(s);
    s->phase = SERVER_OVER;
    return e;
}

void server_done(struct server *s)
{
    arena_done(&s->scratch);
    buf_done(&s->waste);
}
