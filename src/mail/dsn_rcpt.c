#include "mail/dsn_rcpt.h"

#include "base/check.h"
#include "mail/text.h"

enum { ADDRESS_BYTES_MAX = 320, ORCPT_TEXT_BYTES_MAX = 600, HOST_BYTES_MAX = 255 };

/* Each thing that can be owed: the word of the Action field, the class of its status, what people
 * read above the list. In the order in which people read them. */
static const struct outcome {
    enum report_owed owed;
    uint8_t class;
    struct str action, heading;
} outcomes[] = {
    {OWED_DELIVERED, 2, STR_INIT("delivered"), STR_INIT("Your message was delivered to:")},
    {OWED_RELAYED, 2, STR_INIT("relayed"),
     STR_INIT("Your message was handed on to a server that may send no report of its own, for:")},
    {OWED_DELAYED, 4, STR_INIT("delayed"),
     STR_INIT("Your message could not be delivered yet. You need not send it again: we go on\r\n"
              "trying to reach:")},
    {OWED_FAILED, 5, STR_INIT("failed"),
     STR_INIT("Your message could not be delivered, and we have given up on:")},
};

/* How each kind of trouble is told: words before the host, or alone when `host` is false. `remote`:
 * there was a server whose name belongs in Remote-MTA. */
static const struct cause {
    struct str words;
    bool host, remote;
} causes[LAST_ERROR_COUNT] = {
    [LAST_NONE] = {STR_INIT("Result"), false, false},
    [LAST_DNS] = {STR_INIT("Looking up "), true, false},
    [LAST_REPLY] = {STR_INIT("Answer of "), true, true},
    [LAST_CONNECTION] = {STR_INIT("Connection to "), true, true},
    [LAST_TLS] = {STR_INIT("Encryption of the connection to "), true, true},
    [LAST_DANE] = {STR_INIT("DANE check of "), true, true},
    [LAST_MTA_STS] = {STR_INIT("MTA-STS policy for "), true, false},
    [LAST_RATE] = {STR_INIT("Limit on sending"), false, false},
    [LAST_IO] = {STR_INIT("Our server"), false, false},
};

static const struct outcome *outcome_of(enum report_owed owed)
{
    for (size_t i = 0; i < COUNT_OF(outcomes); i++) {
        if (outcomes[i].owed == owed) {
            return &outcomes[i];
        }
    }
    never("asked about a recipient that is owed nothing");
}

/* The time of DELIVERBY has passed, and that is what is told. */
static bool is_too_late(const struct dsn *d, const struct rcpt_state *s)
{
    switch (s->owed) {
    case OWED_FAILED:
        return s->deadline.ms > 0 && s->deadline.ms <= d->at.ms && s->last.code / 100 != 5 &&
               (s->last.esc.class != 5 || s->last.error == LAST_IO);
    case OWED_DELAYED:
        return s->by_notice.ms > 0 && s->by_notice.ms <= d->at.ms;
    case OWED_NONE:
    case OWED_DELIVERED:
    case OWED_RELAYED:
        break;
    }
    return false;
}

static struct enhanced status_of(const struct dsn *d, const struct rcpt_state *s)
{
    const struct last_result *last = &s->last;

    if (is_too_late(d, s)) {
        return (struct enhanced){s->owed == OWED_FAILED ? 5 : 4, 4, 7};
    }

    uint8_t class = outcome_of(s->owed)->class;
    uint16_t code = last->code;
    /* A temporary failure may have been the last word when time ran out. */
    bool fits = last->esc.class == class || (class == 5 && last->esc.class == 4);

    if (code >= 200 && code <= 599 && (code / 100 == class || (class == 5 && code / 100 == 4))) {
        if (last->esc.class == code / 100) {
            return last->esc;
        }
        return (struct enhanced){(uint8_t)(code / 100), code / 10 % 10, code % 10};
    }
    return fits ? last->esc : (struct enhanced){.class = class};
}

/* "550 5.1.1 no such user", or only the text when it was no reply. */
static void put_result(struct buf *out, const struct last_result *last, bool utf8)
{
    if (last->code != 0) {
        buf_printf(out, "%u ", (unsigned)last->code);
        if (last->esc.class != 0) {
            buf_printf(out, "%u.%u.%u ", (unsigned)last->esc.class, (unsigned)last->esc.subject,
                       (unsigned)last->esc.detail);
        }
    }
    text_put(out, str_head(last->text, RESULT_TEXT_BYTES_MAX), utf8);
}

static void put_person(struct buf *out, const struct dsn *d, const struct recipient *r, bool utf8)
{
    const struct last_result *last = &r->state.last;
    char date[DATE_MAIL_BYTES];

    must((unsigned)last->error < LAST_ERROR_COUNT);
    /* A reply is told as one, also when it said yes. */
    const struct cause *cause = last->code != 0 ? &causes[LAST_REPLY] : &causes[last->error];

    buf_put(out, STR("  <"));
    text_put(out, str_head(r->address, ADDRESS_BYTES_MAX), utf8);
    buf_put(out, STR(">\r\n"));
    if (last->code != 0 || last->text.len > 0) {
        buf_put(out, STR("      "));
        buf_put(out, cause->words);
        if (cause->host) {
            text_put(out,
                     last->host.len > 0 ? str_head(last->host, HOST_BYTES_MAX)
                                        : STR("the next server"),
                     utf8);
        }
        buf_put(out, STR(": "));
        put_result(out, last, utf8);
        buf_put(out, STR("\r\n"));
    }
    if (r->state.owed == OWED_DELAYED && !date_is_never(r->state.expires) &&
        r->state.expires.ms > d->at.ms) {
        buf_put(out, STR("      We shall try until "));
        buf_put(out, date_mail(r->state.expires, date));
        buf_put(out, STR("\r\n"));
    }
    if (is_too_late(d, &r->state)) {
        buf_put(out, STR("      The time that was given for its delivery is over.\r\n"));
    } else if (r->state.owed == OWED_FAILED && status_of(d, &r->state).class == 4) {
        buf_put(out, STR("      The time for trying is over.\r\n"));
    }
}

void dsn_put_people(struct buf *out, const struct dsn *d, bool utf8)
{
    const struct message *m = d->message;

    for (size_t k = 0; k < COUNT_OF(outcomes); k++) {
        bool headed = false;

        for (uint32_t i = 0; i < m->to_count; i++) {
            if (m->to[i].state.owed != outcomes[k].owed) {
                continue;
            }
            if (!headed) {
                buf_put(out, outcomes[k].heading);
                buf_put(out, STR("\r\n\r\n"));
                headed = true;
            }
            put_person(out, d, &m->to[i], utf8);
        }
        if (headed) {
            buf_put(out, STR("\r\n"));
        }
    }
}

static void put_date(struct buf *out, struct str name, struct date at)
{
    char date[DATE_MAIL_BYTES];

    buf_put(out, name);
    buf_put(out, STR(": "));
    buf_put(out, date_mail(at, date));
    buf_put(out, STR("\r\n"));
}

void dsn_put_fields(struct buf *out, const struct dsn *d, const struct recipient *r, bool utf8)
{
    const struct rcpt_state *s = &r->state;
    const struct outcome *outcome = outcome_of(s->owed);
    struct enhanced status = status_of(d, s);

    buf_put(out, STR("\r\n"));
    if (r->orcpt.len > 0) {
        buf_put(out, STR("Original-Recipient: "));
        text_put(out, str_head(r->orcpt, ORCPT_TEXT_BYTES_MAX), utf8);
        buf_put(out, STR("\r\n"));
    }
    buf_put(out, STR("Final-Recipient: "));
    buf_put(out, str_is_ascii(r->address) ? STR("rfc822;") : STR("utf-8;"));
    text_put(out, str_head(r->address, ADDRESS_BYTES_MAX), utf8);
    buf_put(out, STR("\r\nAction: "));
    buf_put(out, outcome->action);
    buf_printf(out, "\r\nStatus: %u.%u.%u\r\n", (unsigned)status.class, (unsigned)status.subject,
               (unsigned)status.detail);
    if (s->last.code != 0 && outcome->class != 2) {
        buf_put(out, STR("Diagnostic-Code: smtp; "));
        put_result(out, &s->last, utf8);
        buf_put(out, STR("\r\n"));
    }
    must((unsigned)s->last.error < LAST_ERROR_COUNT);
    if (s->last.host.len > 0 && (outcome->class == 2 || causes[s->last.error].remote)) {
        buf_put(out, STR("Remote-MTA: dns; "));
        text_put_host(out, str_head(s->last.host, HOST_BYTES_MAX));
        buf_put(out, STR("\r\n"));
    }
    if (s->last.at.ms > 0 && !date_is_never(s->last.at)) {
        put_date(out, STR("Last-Attempt-Date"), s->last.at);
    }
    if (s->owed == OWED_DELAYED && !date_is_never(s->expires) && s->expires.ms > d->at.ms) {
        put_date(out, STR("Will-Retry-Until"), s->expires);
    }
}
