/*
 * transact: one transaction with the host at hand, and what its answers mean for each recipient.
 */
#include "delivery/run_part.h"
#include "runtime/clock.h"

static struct err content_read(void *ctx, uint64_t offset, struct str *ret, struct when by)
{
    struct run *r = ctx;
    struct parcel *p = r->j->work->parcel;

    if (offset < p->head.len) {
        *ret = str_skip(buf_str(&p->head), (size_t)offset);
        return ERR_OK;
    }
    return store_content(r->l->d->options.store, p, offset, &r->content, ret, by);
}

static const struct {
    const char *status, *text;
} lacks[] = {
    [CLIENT_LACKS_BINARY] = {"5.6.1", "the host takes no binary content (BINARYMIME), and content "
                                      "is never converted here"},
    [CLIENT_LACKS_8BIT] = {"5.6.3", "the host takes no 8-bit content (8BITMIME), and content is "
                                    "never converted here"},
    [CLIENT_LACKS_UTF8] = {"5.6.7", "the host takes no addresses or header fields in UTF-8 "
                                    "(SMTPUTF8)"},
    [CLIENT_LACKS_SIZE] = {"5.3.4", "the message is larger than the host says it takes"},
    [CLIENT_LACKS_TIME] = {"5.3.3", "the host does not promise delivery within the time that the "
                                    "sender has given (DELIVERBY)"},
};

/* Haste saves a round trip and leaves more in doubt when a host breaks the protocol: so only at the
 * first attempt, lest a broken host gets the same mail with each retry. */
static bool is_hasty(const struct run *r)
{
    return r->link->is_warm && job_recipient(r->j, 0)->state.attempts == 0;
}

/* Whole ones; one that has begun counts, so that there is no time only when none is left. */
static int64_t seconds_left(struct date by)
{
    int64_t ms = by.ms - clock_date().ms;

    return ms > 0 ? (ms + 999) / 1000 : ms / 1000;
}

void run_fill_mail(struct run *r, struct client_mail *m)
{
    const struct message *from = &r->j->work->parcel->message;

    *m = (struct client_mail){.sender = from->sender,
                              .envid = from->envid,
                              .ret = from->ret,
                              .body = from->body,
                              .smtputf8 = from->smtputf8,
                              .priority = from->priority,
                              .by = from->by,
                              .by_trace = from->by_trace,
                              .by_s = from->by != BY_NONE ? seconds_left(from->by_date) : 0,
                              .hasty = is_hasty(r),
                              .size = from->size,
                              .content = content_read,
                              .ctx = r,
                              .to = m->to,
                              .arena = &r->j->work->arena};
}

void run_fill_rcpt(const struct recipient *from, struct client_rcpt *to)
{
    *to = (struct client_rcpt){
        .address = from->address, .orcpt = from->orcpt, .notify = from->notify};
}

/* What this host can never do for a recipient is an outcome before a word is said. */
bool run_is_lacking(struct run *r, struct client_mail *m, uint32_t at, struct client_rcpt *one)
{
    struct job *j = r->j;
    const struct message *from = &j->work->parcel->message;
    struct client_mail alone = *m;
    enum client_lack lack;

    alone.to = one;
    alone.to_count = 1;
    lack = client_lacks(&r->link->client, &alone, from->utf8_headers);
    if (lack == CLIENT_LACKS_NOTHING ||
        (lack == CLIENT_LACKS_8BIT &&
         r->link->key.connection->settings->eight_bit == EIGHT_BIT_SEND)) {
        return false;
    }

    bool is_too_late = lack == CLIENT_LACKS_TIME && m->by_s < 1;
    struct outcome o = outcome_of(OUTCOME_HOST_FAILED, LAST_REPLY,
                                  is_too_late ? "5.4.7" : lacks[lack].status,
                                  str_of(lacks[lack].text), r->link->key.host);

    o.host = arena_dup(&j->work->arena, o.host);
    outcome_add(&j->outcomes[at], &o);
    r->skip[at] = true;
    r->is_accepted = true; /* the host is well */
    return true;
}

static struct outcome outcome_of_fate(struct run *r, const struct client_mail *m,
                                      const struct client_rcpt *to, struct err e)
{
    struct arena *a = &r->j->work->arena;
    bool is_content = to->stage == CLIENT_AT_END;
    struct outcome o = {.code = to->code,
                        .esc = to->esc,
                        .text = to->text,
                        .error = LAST_REPLY,
                        .host = arena_dup(a, r->link->key.host)};

    switch (to->fate) {
    case CLIENT_TAKEN:
        o.kind = OUTCOME_DONE;
        o.error = LAST_NONE;
        o.is_local = r->link->key.lmtp;
        o.is_relayed = !(r->link->client.offers & CLIENT_DSN);
        o.is_untimed = !(r->link->client.offers & CLIENT_DELIVERBY);
        return o;
    case CLIENT_REFUSED:
        o.kind = to->code / 100 == 5 && to->code != CLIENT_OUT_OF_STEP ? OUTCOME_FAILED
                                                                       : OUTCOME_LATER_REPLY;
        o.is_last = is_content;
        return o;
    case CLIENT_OPEN:
    case CLIENT_GOOD:
    case CLIENT_LATER:
        break;
    }
    if (e.code == OK) {
        o = outcome_of(OUTCOME_LATER, LAST_CONNECTION, "4.4.2",
                       STR("the conversation ended before this recipient was answered"), o.host);
        o.is_last = m->sent;
        return o;
    }
    if (err_class(e.code) == ERR_CLASS_OURS && e.code != ERR_CANCELLED) {
        char room[160];

        o = outcome_of(OUTCOME_LATER, LAST_IO, err_status(e.code),
                       arena_dup(a, err_say(e, room, sizeof room)), STR("localhost"));
        o.is_last = true; /* our own store: no host can help */
        return o;
    }
    o = peer_failure(r->link, e, a);
    if (m->sent) {
        o.text = arena_printf(a, "%.*s; the message may have been taken", STR_ARG(o.text));
        o.is_last = true;
    }
    return o;
}

/* Whether the peer was dead all along: a link that has served before, and then closed without a
 * single reply, or with 421 in place of one to MAIL. What was sent in haste may have been taken
 * even so; but a later attempt would take no smaller risk. */
static bool was_dead(const struct run *r, uint32_t replies, struct err e)
{
    const struct client *c = &r->link->client;

    if (!r->link->is_used) {
        return false;
    }
    if (e.code == OK) {
        return c->over && c->said.code == 421 && c->stage == CLIENT_AT_MAIL;
    }
    return c->replies == replies && (e.code == ERR_CLOSED || e.code == ERR_NETWORK);
}

enum spoken run_transact(struct run *r, struct client_mail *m, const uint32_t *at, struct when by)
{
    struct client *c = &r->link->client;
    struct job *j = r->j;
    uint32_t replies = c->replies;
    struct err e;

    c->slowest_ns = 0;
    r->vigil.sent = &m->sent;
    e = client_send(c, m, by);
    r->vigil.sent = NULL;
    r->l->transactions++;
    if (was_dead(r, replies, e)) {
        return SPOKEN_TO_THE_DEAD;
    }
    r->link->is_warm = true;
    r->link->is_used = true;
    if (m->accepted) {
        slot_accepted(j->slot, c->slowest_ns / NS_PER_MS);
    }
    r->is_accepted = r->is_accepted || m->accepted;
    for (uint32_t i = 0; i < m->to_count; i++) {
        const struct client_rcpt *to = &m->to[i];
        struct outcome o;

        if (e.code == ERR_CANCELLED && to->fate < CLIENT_TAKEN) {
            continue; /* the server stops: this was no attempt, or is still in flight (P1) */
        }
        if (to->fate == CLIENT_LATER && !c->over) {
            r->skip[at[i]] = false;
            continue;
        }
        o = outcome_of_fate(r, m, to, e);
        r->is_accepted = r->is_accepted || (o.code != 0 && o.code != 421);
        if (o.code == 0 || o.code == 421) {
            r->why = o.text;
        }
        outcome_add(&j->outcomes[at[i]], &o);
        r->skip[at[i]] = true;
    }
    return SPOKEN;
}
