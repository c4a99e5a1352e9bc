#include "smtp/client.h"

#include "base/check.h"
#include "runtime/clock.h"
#include "runtime/stream.h"
#include "runtime/transport.h"
#include "smtp/client_part.h"

static const struct {
    const char *name, *waiting;
} stages[CLIENT_STAGES] = {
    [CLIENT_AT_CONNECT] = {"connect", "a connection"},
    [CLIENT_AT_GREETING] = {"greeting", "the greeting"},
    [CLIENT_AT_EHLO] = {"EHLO", "reply to EHLO"},
    [CLIENT_AT_STARTTLS] = {"STARTTLS", "reply to STARTTLS"},
    [CLIENT_AT_AUTH] = {"AUTH", "reply to AUTH"},
    [CLIENT_AT_MAIL] = {"MAIL", "reply to MAIL"},
    [CLIENT_AT_RCPT] = {"RCPT", "reply to RCPT"},
    [CLIENT_AT_DATA] = {"DATA", "reply to DATA"},
    [CLIENT_AT_END] = {"end of data", "reply to the end of data"},
};

static const struct {
    struct str keyword;
    unsigned bit;
} offers[] = {
#define OFFER(keyword, bit) {STR_INIT(keyword), bit},
#include "smtp/offers.def"
#undef OFFER
};

const char *client_stage_name(enum client_stage stage)
{
    must(stage < CLIENT_STAGES);
    return stages[stage].name;
}

struct err client_lost(struct client *c, struct err e)
{
    c->over = c->over || e.code != OK;
    return e;
}

struct err client_say(struct client *c, enum client_stage stage, struct str line, struct when by)
{
    struct err e = stream_put(c->stream, line, by);

    c->stage = stage;
    if (e.code == OK) {
        e = stream_put(c->stream, STR("\r\n"), by);
    }
    return client_lost(c, e);
}

struct err client_hear(struct client *c, enum client_stage stage, int64_t within_ms, struct when by)
{
    struct when began = clock_now();
    struct err e;

    c->stage = stage;
    e = reply_read(&c->parser, c->stream, stages[stage].waiting, &c->said,
                   when_within(by, within_ms));

    int64_t waited_ns = clock_now().ns - began.ns;

    c->slowest_ns = waited_ns > c->slowest_ns ? waited_ns : c->slowest_ns;
    if (e.code == ERR_PROTOCOL) {
        c->fault = c->parser.fault;
    }
    if (e.code == OK) {
        c->replies++;
        c->over = c->over || c->said.code == 421;
    }
    return client_lost(c, e);
}

/* RFC 9422 */
static void limits_read(struct client *c, struct str words)
{
    const struct {
        struct str name;
        uint32_t *limit;
    } limits[] = {{STR("RCPTMAX="), &c->rcpts_max},
                  {STR("MAILMAX="), &c->mails_max},
                  {STR("RCPTDOMAINMAX="), &c->domains_max}};
    struct str word;

    while (!str_is_empty(words)) {
        uint64_t n;

        str_cut(&words, ' ', &word);
        for (size_t i = 0; i < COUNT_OF(limits); i++) {
            if (str_starts_nocase(word, limits[i].name) &&
                str_to_u64(str_skip(word, limits[i].name.len), &n) && n > 0 && n < UINT32_MAX) {
                *limits[i].limit = (uint32_t)n;
            }
        }
    }
}

static void offer_add(struct client *c, struct str line)
{
    struct str keyword, rest = str_trim(line);

    str_cut(&rest, ' ', &keyword);
    for (size_t i = 0; i < COUNT_OF(offers); i++) {
        if (str_eq_nocase(keyword, offers[i].keyword)) {
            c->offers |= offers[i].bit;
            if (offers[i].bit == CLIENT_SIZE && !str_to_u64(str_trim(rest), &c->size_max)) {
                c->size_max = 0;
            }
            if (offers[i].bit == CLIENT_DELIVERBY && !str_to_u64(str_trim(rest), &c->by_s_min)) {
                c->by_s_min = 0;
            }
        }
    }
    if (str_eq_nocase(keyword, STR("AUTH"))) {
        client_mechanisms_add(c, rest);
    } else if (str_starts_nocase(keyword, STR("AUTH="))) { /* as drafts had it */
        client_mechanisms_add(c, str_skip(line, 5));
    }
    if (str_eq_nocase(keyword, STR("LIMITS"))) {
        limits_read(c, rest);
    }
}

static void offers_read(struct client *c)
{
    struct str rest = c->said.text, line;

    c->offers = CLIENT_EXTENDED;
    str_cut(&rest, '\n', &line); /* the first is the peer's name */
    while (!str_is_empty(rest)) {
        str_cut(&rest, '\n', &line);
        offer_add(c, line);
    }
}

static struct err hello_with(struct client *c, struct str verb, struct when by)
{
    struct err e;

    buf_clear(&c->out);
    buf_put(&c->out, verb);
    buf_byte(&c->out, ' ');
    buf_put(&c->out, c->helo);
    e = client_say(c, CLIENT_AT_EHLO, buf_str(&c->out), by);
    return e.code ? e : client_hear(c, CLIENT_AT_EHLO, c->times.ehlo_ms, by);
}

struct err client_hello(struct client *c, bool *ret, struct when by)
{
    struct err e;

    c->offers = 0;
    c->mechanisms = 0;
    c->size_max = 0;
    c->by_s_min = 0;
    c->rcpts_max = c->mails_max = c->domains_max = 0;
    c->needs_reset = false;
    e = hello_with(c, c->lmtp ? STR("LHLO") : STR("EHLO"), by);
    if (e.code) {
        return e;
    }
    if (reply_is(&c->said, 2)) {
        offers_read(c);
    } else if (!c->lmtp && (c->said.code == 500 || c->said.code == 502)) {
        e = hello_with(c, STR("HELO"), by);
        if (e.code) {
            return e;
        }
    }
    *ret = reply_is(&c->said, 2);
    return ERR_OK;
}

struct err client_greet(struct client *c, bool *ret, struct when by)
{
    struct err e = client_hear(c, CLIENT_AT_GREETING, c->times.greeting_ms, by);

    if (e.code) {
        return e;
    }
    if (c->said.code != 220) {
        *ret = false;
        return ERR_OK;
    }
    return client_hello(c, ret, by);
}

struct err client_starttls(struct client *c, bool *ret, struct when by)
{
    struct err e = client_say(c, CLIENT_AT_STARTTLS, STR("STARTTLS"), by);

    if (e.code == OK) {
        e = client_hear(c, CLIENT_AT_STARTTLS, c->times.ehlo_ms, by);
    }
    if (e.code == OK) {
        *ret = c->said.code == 220;
    }
    return e;
}

bool client_is_quiet(struct client *c)
{
    struct transport *t = stream_transport(c->stream);
    struct err e;
    unsigned want;
    size_t got = 0;
    char byte;

    if (c->over || stream_buffered(c->stream).len > 0) {
        c->over = true;
        return false;
    }
    e = t->ops->try_recv(t, &byte, 1, &got, &want);
    c->over = e.code != OK || got > 0;
    return !c->over;
}

void client_quit(struct client *c)
{
    if (!c->over) {
        stream_farewell(c->stream, STR("QUIT\r\n"));
        c->over = true;
    }
}

void client_rest(struct client *c)
{
    reply_parser_done(&c->parser);
    buf_done(&c->out);
    buf_done(&c->body);
    c->out = c->body = (struct buf){0};
    c->said.text = STR_EMPTY;
}

void client_done(struct client *c)
{
    client_rest(c);
}
