#include "play/peer.h"

#include "base/mem.h"
#include "play/part.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "runtime/stream.h"
#include "smtp/command.h"
#include "tls/tls.h"

static const int64_t idle_ms = 10 * 60 * 1000;

struct greyed {
    struct str key; /* client, sender and recipient; behind the struct */
    struct when since;
};

uint32_t play_dice(void)
{
    return (uint32_t)random_below(PLAY_CHANCE_ALWAYS);
}

void play_count(_Atomic uint64_t *c, uint64_t by_how_many)
{
    atomic_fetch_add_explicit(c, by_how_many, memory_order_relaxed);
}

/* ---- speaking ---- */

static struct err drip(struct play_talk *t, struct str bytes, struct when by)
{
    for (size_t i = 0; i < bytes.len; i++) {
        struct err e = stream_put(t->stream, str_make(bytes.ptr + i, 1), by);

        if (!e.code) {
            e = stream_flush(t->stream, by);
        }
        if (!e.code) {
            e = fiber_sleep(when_after(t->peer->behaviour.drip_ms), by);
        }
        if (e.code) {
            return e;
        }
    }
    return ERR_OK;
}

static struct err say_bytes(struct play_talk *t, struct str bytes, struct when by)
{
    const struct play_behaviour *b = &t->peer->behaviour;

    if (b->slow_ms > 0) {
        struct err e = stream_flush(t->stream, by);

        if (!e.code) {
            e = fiber_sleep(when_after(b->slow_ms), by);
        }
        if (e.code) {
            return e;
        }
    }
    return b->drip_ms > 0 ? drip(t, bytes, by) : stream_put(t->stream, bytes, by);
}

struct err play_say(struct play_talk *t, unsigned code, const char *text, struct when by)
{
    struct buf line BUF_LOCAL = {0};

    buf_printf(&line, "%u %s\r\n", code, text);
    return say_bytes(t, buf_str(&line), by);
}

static struct err say_again_and_again(struct play_talk *t, struct str piece, struct when by)
{
    enum { BYTES = 4 * 1024 * 1024 };

    for (size_t said = 0; said < BYTES; said += piece.len) {
        struct err e = stream_put(t->stream, piece, by);

        if (e.code) {
            return e;
        }
    }
    t->over = true;
    return ERR_OK;
}

static struct err say_broken(struct play_talk *t, enum play_breakage b, struct when by)
{
    struct str bytes;

    if (b == PLAY_BREAK_ANY) {
        b = (enum play_breakage)random_below(PLAY_BREAK_ANY);
    }
    bytes = play_breakage_bytes(b);
    if (b == PLAY_BREAK_NUL) {
        return say_bytes(t, STR("250 2.0.0 \0Ok\r\n"), by);
    }
    if (b == PLAY_BREAK_LONG_LINE) {
        return say_again_and_again(t, STR("250 a long story that does not end "), by);
    }
    if (b == PLAY_BREAK_MANY_LINES) {
        return say_again_and_again(t, STR("250-2.0.0 and another thing\r\n"), by);
    }
    return say_bytes(t, bytes, by);
}

/* ---- the script ---- */

static struct err stay_silent(struct play_talk *t, struct when by)
{
    struct err e;

    do {
        stream_take(t->stream, stream_buffered(t->stream).len);
        e = stream_fill(t->stream, "a client to give up", by);
    } while (!e.code);
    return e;
}

static struct err refuse(struct play_talk *t, const struct play_rule *r, struct when by)
{
    struct buf text BUF_LOCAL = {0};

    if (r->text.len > 0) {
        bool has_status = r->text.len > 1 && byte_is_digit(r->text.ptr[0]) && r->text.ptr[1] == '.';

        buf_printf(&text, "%s%.*s",
                   has_status      ? ""
                   : r->code < 500 ? "4.0.0 "
                                   : "5.0.0 ",
                   STR_ARG(r->text));
    } else {
        buf_put(&text, str_of(play_refusal_text(r->code)));
    }
    buf_byte(&text, '\0');
    play_count(&t->peer->counts->refusals, 1);
    t->over = t->over || r->code == 421;
    return play_say(t, r->code, text.ptr, by);
}

struct err play_follow(struct play_talk *t, const struct play_rule *r, struct when by)
{
    switch (r->act) {
    case PLAY_REFUSE:
        return refuse(t, r, by);
    case PLAY_DROP:
        play_count(&t->peer->counts->drops, 1);
        t->over = true;
        return ERR_OK;
    case PLAY_SILENT:
        return stay_silent(t, by);
    case PLAY_BREAK:
        play_count(&t->peer->counts->broken, 1);
        return say_broken(t, r->breakage, by);
    }
    never("a rule has one of these acts");
}

struct err play_shows(struct play_talk *t, enum play_stage stage, const struct play_rule **ret,
                      struct when by)
{
    struct play_peer *p = t->peer;
    struct err e = ERR_OK;
    int64_t wait_ms = 0;

    *ret = p->mood != NULL ? p->mood(p, stage, &wait_ms) : NULL;
    if (*ret == NULL) {
        *ret = play_rule_at(&p->behaviour, stage, play_dice);
    }
    if (wait_ms > 0) {
        e = stream_flush(t->stream, by);
        if (!e.code) {
            e = fiber_sleep(when_after(wait_ms), by);
        }
    }
    return e;
}

struct err play_ask(struct play_talk *t, enum play_stage stage, bool *go, struct when by)
{
    const struct play_rule *r;
    struct err e = play_shows(t, stage, &r, by);

    *go = r == NULL;
    return e.code || r == NULL ? e : play_follow(t, r, by);
}

static struct err refuse_with(struct play_talk *t, uint16_t code, struct when by)
{
    const struct play_rule r = {.act = PLAY_REFUSE, .code = code};

    return refuse(t, &r, by);
}

/* ---- commands ---- */

void play_reset(struct play_talk *t)
{
    arena_reset(&t->arena);
    buf_clear(&t->content);
    t->mail = (struct play_message){0};
    t->tail = &t->mail.to;
    t->in_mail = t->bdat_open = t->bdat_failed = false;
    t->content_bytes = 0;
    t->content_crc = 0;
}

static bool offers(const struct play_talk *t, enum play_offer o)
{
    const struct play_peer *p = t->peer;

    if (p->behaviour.withheld & (1u << o)) {
        return false;
    }
    return o != PLAY_OFFER_STARTTLS || ((p->tls != NULL || p->behaviour.broken_tls) && !t->tls);
}

static struct err hello(struct play_talk *t, const struct command_line *c, struct when by)
{
    struct buf out BUF_LOCAL = {0};
    bool go;
    struct err e;

    if ((c->command == COMMAND_LHLO) != t->peer->lmtp) {
        return play_say(t, 500, t->peer->lmtp ? "5.5.1 Say LHLO" : "5.5.1 Say EHLO", by);
    }
    e = play_ask(t, PLAY_AT_EHLO, &go, by);
    if (e.code || !go) {
        return e;
    }
    play_reset(t);
    t->greeted = true;
    buf_clear(&t->helo);
    buf_put(&t->helo, c->arg);
    if (c->command == COMMAND_HELO) {
        buf_printf(&out, "250 %.*s\r\n", STR_ARG(t->peer->hostname));
        return say_bytes(t, buf_str(&out), by);
    }
    buf_printf(&out, "250-%.*s\r\n", STR_ARG(t->peer->hostname));
    for (unsigned o = 0; o < PLAY_OFFERS; o++) {
        struct str keyword = play_offer_keyword((enum play_offer)o);

        if (!offers(t, (enum play_offer)o)) {
            continue;
        }
        buf_printf(&out, "250-%.*s", STR_ARG(keyword));
        if (o == PLAY_OFFER_SIZE && t->peer->behaviour.size_max > 0) {
            buf_printf(&out, " %llu", (unsigned long long)t->peer->behaviour.size_max);
        }
        buf_put(&out, STR("\r\n"));
    }
    buf_put(&out, STR("250 HELP\r\n"));
    return say_bytes(t, buf_str(&out), by);
}

static struct err starttls(struct play_talk *t, struct when by)
{
    bool go;
    struct err e;

    if (!offers(t, PLAY_OFFER_STARTTLS)) {
        return play_say(t, 502, "5.5.1 Not offered", by);
    }
    e = play_ask(t, PLAY_AT_STARTTLS, &go, by);
    if (e.code || !go) {
        return e;
    }
    e = play_say(t, 220, "2.0.0 Go ahead", by);
    if (!e.code) {
        e = stream_flush(t->stream, by);
    }
    if (!e.code && t->peer->behaviour.broken_tls) {
        play_count(&t->peer->counts->broken, 1);
        t->over = true;
        return stream_put(t->stream, STR("220 this is not a handshake\r\n"), by);
    }
    if (!e.code) {
        e = tls_accept(t->stream, t->peer->tls, by);
    }
    if (!e.code) {
        play_reset(t);
        t->tls = true;
        t->greeted = false;
    }
    return e;
}

/* "<a@b> PARAMS": lenient, since what came shall be seen as it came. */
static bool path_cut(struct str arg, struct str *address, struct str *params)
{
    bool quoted = false;

    if (arg.len == 0 || arg.ptr[0] != '<') {
        return false;
    }
    for (size_t i = 1; i < arg.len; i++) {
        char c = arg.ptr[i];

        if (quoted && c == '\\') {
            i++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (c == '>' && !quoted) {
            *address = str_make(arg.ptr + 1, i - 1);
            *params = str_trim(str_skip(arg, i + 1));
            return true;
        }
    }
    return false;
}

static struct err mail(struct play_talk *t, struct str arg, struct when by)
{
    const struct play_behaviour *b = &t->peer->behaviour;
    struct str sender, params;
    bool go;
    struct err e;

    if (!t->greeted || t->in_mail) {
        return play_say(t, 503, t->greeted ? "5.5.1 MAIL was said" : "5.5.1 Say EHLO first", by);
    }
    if (!path_cut(arg, &sender, &params)) {
        return play_say(t, 501, "5.5.2 Syntax: MAIL FROM:<address>", by);
    }
    /* Decided on the line while it stands in the buffer: it is gone after the first wait. */
    sender = arena_dup(&t->arena, sender);
    params = arena_dup(&t->arena, params);
    if (b->messages_max > 0 && t->messages >= b->messages_max) {
        return refuse_with(t, 421, by);
    }
    e = play_ask(t, PLAY_AT_MAIL, &go, by);
    if (e.code || !go) {
        return e;
    }
    t->in_mail = true;
    t->mail.sender = sender;
    t->mail.params = params;
    play_count(&t->peer->counts->transactions, 1);
    return play_say(t, 250, "2.1.0 Sender ok", by);
}

/* Whether the client must come again for this recipient. */
static bool is_grey(struct play_talk *t, struct str rcpt)
{
    struct play_peer *p = t->peer;
    struct addr remote = stream_remote(t->stream);
    char at[ADDR_BYTES];
    struct buf key BUF_LOCAL = {0};
    struct greyed *g;

    buf_put(&key, addr_print_ip(&remote, at));
    buf_printf(&key, " %.*s %.*s", STR_ARG(t->mail.sender), STR_ARG(rcpt));
    g = map_get(&p->greylist, buf_str(&key));
    if (g == NULL) {
        g = mem_alloc(sizeof *g + key.len);
        memcpy(g + 1, key.ptr, key.len);
        g->key = str_make((char *)(g + 1), key.len);
        g->since = clock_now();
        map_put(&p->greylist, g->key, g);
    }
    return clock_now().ns < g->since.ns + p->behaviour.greylist_ms * NS_PER_MS;
}

/* "450-x@any.example": 450; 0 for others. */
static uint16_t code_of(struct str rcpt)
{
    uint64_t code;

    if (rcpt.len < 4 || rcpt.ptr[3] != '-' || !str_to_u64(str_head(rcpt, 3), &code) || code < 400 ||
        code > 599) {
        return 0;
    }
    return (uint16_t)code;
}

static struct err rcpt(struct play_talk *t, struct str arg, struct when by)
{
    const struct play_behaviour *b = &t->peer->behaviour;
    struct play_rcpt *r;
    struct str address, params;
    uint16_t code = 0;
    bool go;
    struct err e;

    if (!t->in_mail) {
        return play_say(t, 503, "5.5.1 Say MAIL first", by);
    }
    if (!path_cut(arg, &address, &params) || address.len == 0) {
        return play_say(t, 501, "5.5.2 Syntax: RCPT TO:<address>", by);
    }
    r = ARENA_NEW(&t->arena, struct play_rcpt);
    r->address = arena_dup(&t->arena, address);
    r->params = arena_dup(&t->arena, params);
    if ((b->rcpts_max > 0 && t->mail.to_count >= b->rcpts_max) ||
        t->mail.to_count >= PLAY_RCPTS_MAX) {
        code = 452;
    } else if (b->by_recipient && code_of(r->address) != 0) {
        code = code_of(r->address);
    } else if (b->greylist_ms > 0 && is_grey(t, r->address)) {
        code = 450;
    }
    if (code != 0) {
        return refuse_with(t, code, by);
    }
    e = play_ask(t, PLAY_AT_RCPT, &go, by);
    if (e.code || !go) {
        return e;
    }
    *t->tail = r;
    t->tail = &r->next;
    t->mail.to_count++;
    return play_say(t, 250, "2.1.5 Recipient ok", by);
}

/* RSET and QUIT: what they do is done whatever is said. */
static struct err small(struct play_talk *t, enum play_stage stage, unsigned code, const char *text,
                        struct when by)
{
    bool go;
    struct err e = play_ask(t, stage, &go, by);

    return e.code || !go ? e : play_say(t, code, text, by);
}

static struct err command(struct play_talk *t, const struct command_line *c, struct when by)
{
    switch ((int)c->command) {
    case COMMAND_EHLO:
    case COMMAND_HELO:
    case COMMAND_LHLO:
        return hello(t, c, by);
    case COMMAND_STARTTLS:
        return starttls(t, by);
    case COMMAND_MAIL:
        return mail(t, c->arg, by);
    case COMMAND_RCPT:
        return rcpt(t, c->arg, by);
    case COMMAND_DATA:
        return play_data(t, by);
    case COMMAND_BDAT:
        return play_bdat(t, c->arg, by);
    case COMMAND_RSET:
        play_reset(t);
        return small(t, PLAY_AT_RSET, 250, "2.0.0 Reset", by);
    case COMMAND_NOOP:
        return play_say(t, 250, "2.0.0 Ok", by);
    case COMMAND_QUIT:
        t->over = true;
        return small(t, PLAY_AT_QUIT, 221, "2.0.0 Bye", by);
    default:
        return play_say(t, 502, "5.5.1 Not here", by);
    }
}

/* ---- the conversation ---- */

struct err play_fill(struct play_talk *t, const char *what, struct when by)
{
    return stream_fill(t->stream, what, when_within(by, idle_ms));
}

static struct err one_line(struct play_talk *t, struct when by)
{
    struct command_line c;
    enum answer_row refusal;
    struct str line;
    size_t used;
    bool ended;
    struct err e;

    for (;;) {
        enum line_state state = line_find(stream_buffered(t->stream), PLAY_LINE_BYTES_MAX, &line,
                                          &used, &ended);

        if (state == LINE_PART) {
            e = play_fill(t, "a command", by);
            if (e.code) {
                return e;
            }
            continue;
        }
        if (state != LINE_GOOD) {
            stream_take(t->stream, used);
            t->over = !ended;
            return play_say(t, 500, "5.5.2 That was no command line", by);
        }
        break;
    }
    if (!command_parse(line, &c, &refusal) && c.command != COMMAND_LHLO) {
        stream_take(t->stream, used);
        return play_say(t, 500, "5.5.1 What do you mean?", by);
    }
    /* The line is a view into the buffer: handlers copy what they keep before they wait, and
     * content follows only where the line is gone. */
    struct arena own ARENA_LOCAL = {0};

    c.arg = arena_dup(&own, c.arg);
    stream_take(t->stream, used);
    return command(t, &c, by);
}

static struct err greet(struct play_talk *t, struct when by)
{
    const struct play_behaviour *b = &t->peer->behaviour;
    struct buf line BUF_LOCAL = {0};
    bool go;
    struct err e = ERR_OK;

    if (t->peer->implicit_tls) {
        e = tls_accept(t->stream, t->peer->tls, by);
        t->tls = !e.code;
    }
    if (!e.code) {
        e = play_ask(t, PLAY_AT_CONNECT, &go, by);
    }
    if (e.code || !go) {
        t->over = true;
        return e;
    }
    if (b->connections_max > 0 &&
        atomic_load_explicit(&t->peer->counts->open, memory_order_relaxed) > b->connections_max) {
        return refuse_with(t, 421, by);
    }
    buf_printf(&line, "220 %.*s %s postyard sink\r\n", STR_ARG(t->peer->hostname),
               t->peer->lmtp ? "LMTP" : "ESMTP");
    return say_bytes(t, buf_str(&line), by);
}

struct err play_serve(struct play_peer *p, struct stream *s, struct when by)
{
    struct play_talk t = {.peer = p, .stream = s};
    struct err e;

    play_reset(&t);
    play_count(&p->counts->connections, 1);
    play_count(&p->counts->open, 1);
    e = greet(&t, by);
    while (!e.code && !t.over) {
        e = one_line(&t, by);
    }
    if (!e.code) {
        e = stream_flush(s, by);
    }
    atomic_fetch_sub_explicit(&p->counts->open, 1, memory_order_relaxed);
    arena_done(&t.arena);
    buf_done(&t.content);
    buf_done(&t.helo);
    return e;
}

void play_peer_done(struct play_peer *p)
{
    size_t at = 0;
    struct greyed *g;

    while ((g = map_each(&p->greylist, &at)) != NULL) {
        mem_free(g);
    }
    map_done(&p->greylist);
}
