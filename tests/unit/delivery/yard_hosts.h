/*
 * yard_hosts: the hosts of a yard (yard.h), each a small SMTP or LMTP server that answers as its
 * table says and keeps what it heard.
 */
#pragma once

#include "../unit.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "delivery/delivery.h"
#include "dns/dns.h"
#include "hooks/engine.h"
#include "mail/content.h"
#include "mail/path.h"
#include "queue/queue.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_net.h"
#include "runtime/stream.h"
#include "strategy/strategy.h"
#include "tls/tls.h"

/*
 * A host: what it answers to each command. Several answers to the same command are divided by '|':
 * the first time, the second time, then the last again and again. An answer may have more lines,
 * divided by '/'. "X" closes the connection, "-" keeps silent for ever. NULL: 250, or 354 for DATA.
 */
struct yard_host {
    const char *ip;
    uint16_t port;
    const char *greeting, *ehlo, *mail, *rcpt, *data, *end;
    const char *(*rcpt_says)(struct str line); /* in place of `rcpt` */
    const char *auth; /* to AUTH and each line after it, until it is good or bad */
    bool lmtp, broken_tls;
    bool hangs_up;         /* after each content, without a word */
    const char *tls_names; /* offers TLS under these names (as tls_server_sim) */

    /* What became of it. */
    struct buf heard; /* commands, one a line; contents left out */
    struct buf content;
    unsigned connections, contents;
    unsigned uses[7];
    struct listener *listener;
};

/* "example.org MX 10 a.example.org", "a.example.org A 192.0.2.1", "x MX !" (the server fails) */
struct yard {
    const char *config;
    struct yard_host *hosts;
    size_t host_count;
    const char *const *names;
    void (*test)(struct yard *y);
    const char *own_name, *own_address;
    enum body_class body; /* of what yard_send sends */
    bool smtputf8;
    size_t lines;            /* so many of 64 bytes after the ordinary body */
    struct sim_disk *folder; /* the caller's, for a second run on what the first left; or NULL */
    bool is_early;           /* the test begins before the queue has loaded */
    struct chain *chain;     /* filters of leaving mail; may_add lets all but @refused.example in */

    struct world *world;
    struct loop *store_loop, *queue_loop, *work_loop, *user_loop;
    struct store *store;
    struct queue *queue;
    struct delivery *delivery;
    struct plan *plan;
    struct dns *dns;
    struct engine *engine;
    struct group group;
    bool started, queue_over;
    unsigned failures; /* an assertion must not leave a fiber: yard_run looks here at the end */
};

/* ---- hosts ---- */

enum { USE_GREETING, USE_EHLO, USE_MAIL, USE_RCPT, USE_DATA, USE_END, USE_AUTH };

struct yard_session {
    struct yard_host *host;
    struct stream *stream;
    bool in_auth;
    unsigned rcpts; /* accepted in this transaction */
    bool over;
};

static struct str yard_answer(struct yard_host *h, const char *answers, const char *standard,
                              unsigned use)
{
    struct str rest = str_of(answers ? answers : standard), one = STR_EMPTY;

    for (unsigned i = 0; i <= h->uses[use] && !str_is_empty(rest); i++) {
        str_cut(&rest, '|', &one);
    }
    h->uses[use]++;
    return one;
}

/* True when it was a good answer (2xx or 3xx). */
static bool yard_say(struct yard_session *s, struct str answer)
{
    struct str line;

    if (str_eq(answer, STR("X"))) {
        s->over = true;
        return false;
    }
    if (str_eq(answer, STR("-"))) {
        (void)fiber_sleep(WHEN_NEVER, WHEN_NEVER);
        s->over = true;
        return false;
    }
    for (struct str rest = answer; rest.len > 0;) {
        bool more = str_cut(&rest, '/', &line);

        (void)stream_put(s->stream, str_head(line, 3), WHEN_NEVER);
        (void)stream_put(s->stream, more ? STR("-") : STR(" "), WHEN_NEVER);
        (void)stream_put(s->stream, str_skip(line, 4), WHEN_NEVER);
        (void)stream_put(s->stream, STR("\r\n"), WHEN_NEVER);
    }
    return answer.ptr[0] < '4';
}

static bool yard_more(struct yard_session *s)
{
    if (stream_fill(s->stream, "the client", WHEN_NEVER).code != OK) {
        s->over = true;
    }
    return !s->over;
}

static void yard_end(struct yard_session *s)
{
    struct yard_host *h = s->host;

    for (unsigned i = 0; i < (h->lmtp ? s->rcpts : 1) && !s->over; i++) {
        h->contents += yard_say(s, yard_answer(h, h->end, "250 2.0.0 taken", USE_END));
    }
    s->rcpts = 0;
    s->over = s->over || h->hangs_up;
}

static void yard_data(struct yard_session *s)
{
    struct unstuff u = {0};
    bool done = false;

    while (!done && (stream_buffered(s->stream).len > 0 || yard_more(s))) {
        size_t used;

        done = unstuff(&u, stream_buffered(s->stream), &s->host->content, &used);
        stream_take(s->stream, used);
    }
    if (done) {
        yard_end(s);
    }
}

static void yard_bdat(struct yard_session *s, struct str arg)
{
    struct str number;
    uint64_t size = 0;

    str_cut(&arg, ' ', &number);
    must(str_to_u64(number, &size));
    while (size > 0 && (stream_buffered(s->stream).len > 0 || yard_more(s))) {
        struct str in = str_head(stream_buffered(s->stream), size);

        buf_put(&s->host->content, in);
        stream_take(s->stream, in.len);
        size -= in.len;
    }
    if (size > 0) {
        return;
    }
    if (s->rcpts == 0) {
        yard_say(s, STR("503 nobody"));
        return;
    }
    yard_end(s);
}

static void yard_starttls(struct yard_session *s)
{
    struct yard_host *h = s->host;
    struct tls_server *t = tls_server_sim(
        (struct tls_sim){str_of(h->tls_names), true, h->broken_tls});

    yard_say(s, STR("220 go"));
    (void)stream_flush(s->stream, WHEN_NEVER);
    s->over = tls_accept(s->stream, t, WHEN_NEVER).code != OK;
    tls_server_drop(t);
}

static void yard_auth(struct yard_session *s)
{
    struct str answer = yard_answer(s->host, s->host->auth, "235 ok", USE_AUTH);

    s->in_auth = str_starts(answer, STR("334"));
    yard_say(s, answer);
}

static void yard_command(struct yard_session *s, struct str line)
{
    struct yard_host *h = s->host;

    buf_put(&h->heard, line);
    buf_byte(&h->heard, '\n');
    if (s->in_auth || str_starts(line, STR("AUTH "))) {
        yard_auth(s);
    } else if (str_starts(line, STR("EHLO")) || str_starts(line, STR("LHLO"))) {
        yard_say(s, yard_answer(h, h->ehlo, "250 host", USE_EHLO));
    } else if (str_starts(line, STR("MAIL"))) {
        s->rcpts = 0;
        yard_say(s, yard_answer(h, h->mail, "250 ok", USE_MAIL));
    } else if (str_starts(line, STR("RCPT"))) {
        s->rcpts += yard_say(s, h->rcpt_says ? str_of(h->rcpt_says(line))
                                             : yard_answer(h, h->rcpt, "250 ok", USE_RCPT));
    } else if (str_eq(line, STR("DATA"))) {
        if (yard_say(s, s->rcpts == 0 ? STR("503 nobody")
                                      : yard_answer(h, h->data, "354 go", USE_DATA))) {
            (void)stream_flush(s->stream, WHEN_NEVER);
            yard_data(s);
        }
    } else if (str_starts(line, STR("BDAT "))) {
        yard_bdat(s, str_skip(line, 5));
    } else if (str_eq(line, STR("STARTTLS"))) {
        yard_starttls(s);
    } else if (str_eq(line, STR("RSET"))) {
        yard_say(s, STR("250 reset"));
    } else {
        s->over = true; /* QUIT */
    }
}

static void yard_serves(void *arg)
{
    struct yard_session *s = arg;

    yard_say(s, yard_answer(s->host, s->host->greeting, "220 host", USE_GREETING));
    while (!s->over) {
        struct str in = stream_buffered(s->stream);
        size_t end = str_find(in, '\n');
        char line[512];

        if (end == STR_NONE) {
            yard_more(s);
            continue;
        }
        must(end > 0 && end < sizeof line);
        memcpy(line, in.ptr, end - 1);
        stream_take(s->stream, end + 1);
        yard_command(s, str_make(line, end - 1));
    }
    (void)stream_flush(s->stream, WHEN_NEVER);
    stream_close(s->stream);
    mem_free(s);
}

struct yard_door {
    struct yard *yard;
    struct yard_host *host;
};

static void yard_listens(void *arg)
{
    struct yard_door *d = arg;
    struct yard_host *h = d->host;
    struct guest *g;

    while (listener_accept(h->listener, &g, WHEN_NEVER).code == OK) {
        struct yard_session *s = MEM_NEW(struct yard_session);

        h->connections++;
        s->host = h;
        s->stream = guest_stream(g);
        must(group_spawn_now(&d->yard->group, "session", yard_serves, s).code == OK);
    }
    listener_close(h->listener);
    mem_free(d);
}

static void yard_open(struct yard *y, struct yard_host *h)
{
    struct yard_door *d = MEM_NEW(struct yard_door);
    struct addr at;

    must(addr_parse_ip(str_of(h->ip), &at));
    at.port = h->port ? h->port : 25;
    must(listener_open(at, &h->listener).code == OK);
    d->yard = y;
    d->host = h;
    must(group_spawn_now(&y->group, "host", yard_listens, d).code == OK);
}
