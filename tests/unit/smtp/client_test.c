/* Conversations with a peer that follows a script: what each side says, line by line. */
#include "../unit.h"
#include "base/buf.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "smtp/client.h"

static const struct addr anywhere = {.family = 4, .ip = {127, 0, 0, 1}};
static const char body[] = "Subject: x\r\n\r\n.dot\r\nend\r\n";
enum { BODY_BYTES = sizeof body - 1 };

/* S: said by the peer; C: expected from us; B: so many bytes expected, the content as it is;
 * R: raw bytes from the peer, without an end of line; X: closes. */
struct peer {
    struct listener *listener;
    const char *const *script;
    struct group group;
};

static struct str peer_line(struct stream *s, const char *want)
{
    for (;;) {
        struct str in = stream_buffered(s);
        size_t end = str_find(in, '\n');

        if (end != STR_NONE) {
            assert_true(end > 0 && in.ptr[end - 1] == '\r');
            return str_head(in, end - 1);
        }
        if (stream_fill(s, "a line", when_after(2000)).code != OK) {
            print_error("the client says no more; wanted \"%s\"\n", want);
            fail();
        }
    }
}

static void peer_bytes(struct stream *s, struct str want)
{
    while (stream_buffered(s).len < want.len) {
        assert_int_equal(stream_fill(s, "content", when_after(2000)).code, OK);
    }
    assert_true(str_eq(str_head(stream_buffered(s), want.len), want));
    stream_take(s, want.len);
}

static void peer_plays(void *arg)
{
    struct peer *p = arg;
    struct guest *g;
    struct stream *s;

    assert_int_equal(listener_accept(p->listener, &g, when_after(2000)).code, OK);
    s = guest_stream(g);
    for (const char *const *line = p->script; *line != NULL; line++) {
        struct str text = (*line)[1] != 0 ? str_of(*line + 2) : STR_EMPTY;

        switch ((*line)[0]) {
        case 'S':
            assert_int_equal(stream_put(s, text, when_after(2000)).code, OK);
            assert_int_equal(stream_put(s, STR("\r\n"), when_after(2000)).code, OK);
            if (line[1] == NULL || line[1][0] != 'S') {
                assert_int_equal(stream_flush(s, when_after(2000)).code, OK);
            }
            break;
        case 'R':
            assert_int_equal(stream_put(s, text, when_after(2000)).code, OK);
            assert_int_equal(stream_flush(s, when_after(2000)).code, OK);
            break;
        case 'C': {
            struct str got = peer_line(s, *line);

            EXPECT_STR(got, *line + 2);
            stream_take(s, got.len + 2);
            break;
        }
        case 'B':
            peer_bytes(s, str_make(body, BODY_BYTES));
            break;
        default:
            goto out;
        }
    }
    /* Nobody says more than the script knows. */
    assert_int_equal(stream_fill(s, "the end", when_after(2000)).code, ERR_CLOSED);
    assert_int_equal(stream_buffered(s).len, 0);
out:
    stream_close(s);
}

static void with_peer(struct peer *p, const char *const *script, struct client *c)
{
    struct addr at;

    p->script = script;
    assert_int_equal(listener_open(anywhere, &p->listener).code, OK);
    at = listener_addr(p->listener);
    group_init(&p->group, "peer", 0);
    assert_int_equal(group_spawn_now(&p->group, "peer", peer_plays, p).code, OK);
    assert_int_equal(stream_connect(at, (struct addr){0}, &c->stream, when_after(2000)).code, OK);
    c->helo = STR("mx.example.org");
    c->times = (struct client_times){2000, 2000, 2000, 2000, 2000};
}

static void without_peer(struct peer *p, struct client *c)
{
    client_quit(c);
    stream_close(c->stream);
    client_done(c);
    assert_int_equal(group_join(&p->group, WHEN_NEVER).code, OK);
    listener_close(p->listener);
}

static struct err give_body(void *ctx, uint64_t offset, struct str *ret, struct when by)
{
    assert_true(offset < BODY_BYTES);
    /* In two runs. */
    *ret = offset < 9 ? str_make(body + offset, 9 - offset)
                      : str_make(body + offset, BODY_BYTES - offset);
    (void)ctx;
    (void)by;
    return ERR_OK;
}

enum {
    FLAG_LMTP = 1,
    FLAG_HASTY = 2,
    FLAG_UTF8 = 4,
    FLAG_8BIT = 8,
    FLAG_BINARY = 16,
    FLAG_DSN = 32
};

struct play {
    const char *name;
    unsigned flags;
    unsigned rcpts;
    const char *want; /* a letter for each recipient: T taken, R refused, L later, O open, G good */
    unsigned code;    /* of the last recipient that was refused, or of the taken one */
    enum client_stage stage;
    bool over, sent;
    enum err_code err;
    const char *script[24];
};

#define HELLO_PLAIN "S:220 hi", "C:EHLO mx.example.org", "S:250 peer"
#define HELLO_PIPE                                                                                 \
    "S:220-hi", "S:220 there", "C:EHLO mx.example.org", "S:250-peer", "S:250-8BITMIME",            \
        "S:250 PIPELINING"
#define HELLO_CHUNK                                                                                \
    "S:220 hi", "C:EHLO mx.example.org", "S:250-peer", "S:250-PIPELINING", "S:250-chunking",       \
        "S:250-SIZE 1000", "S:250-BINARYMIME", "S:250-8BITMIME", "S:250-SMTPUTF8", "S:250 DSN"
#define HELLO_LMTP  "S:220 hi", "C:LHLO mx.example.org", "S:250-peer", "S:250 PIPELINING"
#define BODY_DOTTED "C:Subject: x", "C:", "C:..dot", "C:end", "C:."

static const struct play plays[] = {
    {"one after the other",
     0,
     1,
     "T",
     250,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {HELLO_PLAIN, "C:MAIL FROM:<a@b.example>", "S:250 ok", "C:RCPT TO:<u0@c.example>", "S:250 ok",
      "C:DATA", "S:354 go", BODY_DOTTED, "S:250 taken", "C:QUIT"}},
    {"in a burst",
     0,
     2,
     "TT",
     250,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:DATA", "S:250 ok", "S:250 ok", "S:250 ok", "S:354 go",
      BODY_DOTTED, "S:250 taken", "C:QUIT"}},
    {"a chunk after the recipients",
     FLAG_8BIT,
     1,
     "T",
     250,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {HELLO_CHUNK, "C:MAIL FROM:<a@b.example> SIZE=25 BODY=8BITMIME", "C:RCPT TO:<u0@c.example>",
      "S:250 ok", "S:250 ok", "C:BDAT 25 LAST", "B:", "S:250 taken", "C:QUIT"}},
    {"all in haste",
     FLAG_HASTY | FLAG_UTF8 | FLAG_BINARY | FLAG_DSN,
     1,
     "T",
     250,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {HELLO_CHUNK,
      "C:MAIL FROM:<a@b.example> SIZE=25 BODY=BINARYMIME SMTPUTF8 RET=HDRS ENVID=a+20b",
      "C:RCPT TO:<u0@c.example> NOTIFY=NEVER ORCPT=rfc822;x+2By@z", "C:BDAT 25 LAST",
      "B:", "S:250 ok", "S:250 ok", "S:250 taken", "C:QUIT"}},
    {"nothing said that was not offered",
     FLAG_UTF8 | FLAG_DSN,
     1,
     "T",
     250,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {HELLO_PLAIN, "C:MAIL FROM:<a@b.example>", "S:250 ok", "C:RCPT TO:<u0@c.example>", "S:250 ok",
      "C:DATA", "S:354 go", BODY_DOTTED, "S:250 taken", "C:QUIT"}},
    {"one recipient is refused",
     0,
     3,
     "TRT",
     550,
     CLIENT_AT_RCPT,
     false,
     true,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:RCPT TO:<u2@c.example>", "C:DATA", "S:250 ok", "S:250 ok",
      "S:550 5.1.1 who?", "S:250 ok", "S:354 go", BODY_DOTTED, "S:250 taken", "C:QUIT"}},
    {"a final answer stays (PY-07)",
     0,
     2,
     "RR",
     452,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:DATA", "S:250 ok", "S:550 who?", "S:250 ok", "S:354 go",
      BODY_DOTTED, "S:452 full", "C:QUIT"}},
    {"the sender is refused",
     0,
     2,
     "RR",
     553,
     CLIENT_AT_MAIL,
     false,
     false,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:DATA", "S:553 no", "S:503 no", "S:503 no", "S:503 no",
      "C:QUIT"}},
    {"all recipients are refused and DATA too",
     0,
     1,
     "R",
     450,
     CLIENT_AT_RCPT,
     false,
     false,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>", "C:DATA", "S:250 ok",
      "S:450 not now", "S:554 no recipients", "C:QUIT"}},
    {"all recipients are refused but DATA is not",
     0,
     1,
     "R",
     450,
     CLIENT_AT_RCPT,
     true,
     false,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>", "C:DATA", "S:250 ok",
      "S:450 not now", "S:354 go"}},
    {"refused in haste",
     FLAG_HASTY,
     1,
     "R",
     550,
     CLIENT_AT_RCPT,
     false,
     false,
     OK,
     {HELLO_CHUNK, "C:MAIL FROM:<a@b.example> SIZE=25", "C:RCPT TO:<u0@c.example>",
      "C:BDAT 25 LAST", "B:", "S:250 ok", "S:550 who?", "S:503 nobody", "C:QUIT"}},
    {"too many recipients",
     0,
     3,
     "TLL",
     250,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:RCPT TO:<u2@c.example>", "C:DATA", "S:250 ok", "S:250 ok",
      "S:452 4.5.3 enough", "S:552 enough", "S:354 go", BODY_DOTTED, "S:250 taken", "C:QUIT"}},
    {"a full mailbox is not too many",
     0,
     2,
     "TR",
     552,
     CLIENT_AT_RCPT,
     false,
     true,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:DATA", "S:250 ok", "S:250 ok", "S:552 5.2.2 full", "S:354 go",
      BODY_DOTTED, "S:250 taken", "C:QUIT"}},
    {"LMTP answers for each",
     FLAG_LMTP,
     3,
     "TRR",
     451,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {HELLO_LMTP, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:RCPT TO:<u2@c.example>", "C:DATA", "S:250 ok", "S:250 ok",
      "S:550 who?", "S:250 ok", "S:354 go", BODY_DOTTED, "S:250 taken", "S:451 later", "C:QUIT"}},
    {"421 at MAIL",
     0,
     2,
     "RR",
     421,
     CLIENT_AT_MAIL,
     true,
     false,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:DATA", "S:421 busy", "X"}},
    {"421 at RCPT spares a final answer",
     0,
     3,
     "RRR",
     421,
     CLIENT_AT_RCPT,
     true,
     false,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:RCPT TO:<u2@c.example>", "C:DATA", "S:250 ok", "S:550 who?",
      "S:250 ok", "S:421 busy", "X"}},
    {"DATA is refused",
     0,
     1,
     "R",
     451,
     CLIENT_AT_DATA,
     false,
     false,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>", "C:DATA", "S:250 ok",
      "S:250 ok", "S:451 later", "C:QUIT"}},
    {"DATA is answered with nonsense",
     0,
     1,
     "R",
     250,
     CLIENT_AT_DATA,
     true,
     false,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>", "C:DATA", "S:250 ok",
      "S:250 ok", "S:250 ok"}},
    {"closed before the end is answered",
     0,
     2,
     "RG",
     550,
     CLIENT_AT_RCPT,
     true,
     true,
     ERR_CLOSED,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>",
      "C:RCPT TO:<u1@c.example>", "C:DATA", "S:250 ok", "S:550 who?", "S:250 ok", "S:354 go",
      BODY_DOTTED, "X"}},
    {"closed at once",
     0,
     1,
     "O",
     0,
     CLIENT_AT_CONNECT,
     true,
     false,
     ERR_CLOSED,
     {HELLO_PLAIN, "C:MAIL FROM:<a@b.example>", "X"}},
    {"codes that are none",
     0,
     1,
     "O",
     0,
     CLIENT_AT_CONNECT,
     true,
     false,
     ERR_PROTOCOL,
     {HELLO_PLAIN, "C:MAIL FROM:<a@b.example>", "S:999 ok", "X"}},
    {"lines that differ",
     0,
     1,
     "O",
     0,
     CLIENT_AT_CONNECT,
     true,
     false,
     ERR_PROTOCOL,
     {HELLO_PLAIN, "C:MAIL FROM:<a@b.example>", "S:250-a", "S:550 b", "X"}},
    {"one reply too many, after 354",
     0,
     1,
     "G",
     0,
     CLIENT_AT_CONNECT,
     true,
     false,
     ERR_PROTOCOL,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>", "C:DATA", "S:250 ok",
      "S:250 ok", "S:354 go", "S:354 go", "X"}},
    {"one reply too many, before a chunk",
     0,
     1,
     "G",
     0,
     CLIENT_AT_CONNECT,
     true,
     false,
     ERR_PROTOCOL,
     {HELLO_CHUNK, "C:MAIL FROM:<a@b.example> SIZE=25", "C:RCPT TO:<u0@c.example>", "S:250 ok",
      "S:250 ok", "S:250 ok", "X"}},
    {"one reply too many in haste: which was the content's?",
     FLAG_HASTY,
     1,
     "G",
     0,
     CLIENT_AT_CONNECT,
     true,
     true,
     ERR_PROTOCOL,
     {HELLO_CHUNK, "C:MAIL FROM:<a@b.example> SIZE=25", "C:RCPT TO:<u0@c.example>",
      "C:BDAT 25 LAST", "B:", "S:250 ok", "S:250 ok", "S:250 ok", "S:250 taken", "X"}},
    {"one reply too many at the end: taken, and no more",
     0,
     1,
     "T",
     250,
     CLIENT_AT_END,
     true,
     true,
     OK,
     {HELLO_PIPE, "C:MAIL FROM:<a@b.example>", "C:RCPT TO:<u0@c.example>", "C:DATA", "S:250 ok",
      "S:250 ok", "S:354 go", BODY_DOTTED, "S:250 taken", "S:250 taken"}},
    {"HELO where EHLO is unknown",
     0,
     1,
     "T",
     250,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {"S:220 hi", "C:EHLO mx.example.org", "S:502 what?", "C:HELO mx.example.org", "S:250 peer",
      "C:MAIL FROM:<a@b.example>", "S:250 ok", "C:RCPT TO:<u0@c.example>", "S:250 ok", "C:DATA",
      "S:354 go", BODY_DOTTED, "S:250 taken", "C:QUIT"}},
};

static void perform(const struct play *p)
{
    struct client c = {.lmtp = p->flags & FLAG_LMTP};
    struct client_rcpt to[4] = {0};
    struct arena arena ARENA_LOCAL = {0};
    struct client_mail m = {.sender = STR("a@b.example"),
                            .body = p->flags & FLAG_BINARY ? BODY_BINARY
                                    : p->flags & FLAG_8BIT ? BODY_8BIT
                                                           : BODY_7BIT,
                            .smtputf8 = p->flags & FLAG_UTF8,
                            .hasty = p->flags & FLAG_HASTY,
                            .size = BODY_BYTES,
                            .content = give_body,
                            .to = to,
                            .to_count = p->rcpts,
                            .arena = &arena};
    struct peer peer = {0};
    const struct client_rcpt *last = NULL;
    bool greeted = false;

    print_message("  %s\n", p->name);
    for (unsigned i = 0; i < p->rcpts; i++) {
        to[i].address = arena_printf(&arena, "u%u@c.example", i);
    }
    if (p->flags & FLAG_DSN) {
        m.ret = RET_HDRS;
        m.envid = STR("a b");
        to[0].notify = NOTIFY_NEVER;
        to[0].orcpt = STR("rfc822;x+y@z");
    }
    with_peer(&peer, p->script, &c);
    assert_int_equal(client_greet(&c, &greeted, when_after(2000)).code, OK);
    assert_true(greeted);
    assert_int_equal(client_send(&c, &m, when_after(2000)).code, p->err);
    for (unsigned i = 0; i < p->rcpts; i++) {
        assert_int_equal("OGTRL"[to[i].fate], p -> want[i]);
        if (to[i].fate == CLIENT_REFUSED || (to[i].fate == CLIENT_TAKEN && last == NULL)) {
            last = &to[i];
        }
    }
    if (p->code != 0) {
        assert_int_equal(last->code, p->code);
        assert_int_equal(last->stage, p->stage);
    }
    assert_int_equal(c.over, p->over);
    assert_int_equal(m.sent, p->sent);
    without_peer(&peer, &c);
}

static void transactions_go_as_the_peer_wills_fiber(void *arg)
{
    for (size_t i = 0; i < sizeof plays / sizeof plays[0]; i++) {
        perform(&plays[i]);
    }
    (void)arg;
}

static void transactions_go_as_the_peer_wills(void **state)
{
    run_alone("test", transactions_go_as_the_peer_wills_fiber, *state);
}

static void greetings_and_refusals_fiber(void *arg)
{
    static const struct {
        enum err_code err;
        bool greeted;
        unsigned code, offers;
        const char *script[6];
    } rows[] = {
        {OK, false, 554, 0, {"S:554 no service", "C:QUIT"}},
        {OK, false, 421, 0, {"S:421 busy", "X"}},
        {OK, false, 250, 0, {"S:250 hi", "C:QUIT"}},
        {OK, false, 550, 0, {"S:220 hi", "C:EHLO mx.example.org", "S:550 5.7.1 no", "C:QUIT"}},
        {OK,
         true,
         250,
         CLIENT_EXTENDED | CLIENT_STARTTLS,
         {"S:220 hi", "C:EHLO mx.example.org", "S:250-x", "S:250 starttls", "C:QUIT"}},
        {ERR_CLOSED, false, 0, 0, {"X"}},
        {ERR_CLOSED, false, 0, 0, {"R:220 half a gree", "X"}},
        {ERR_CLOSED, false, 0, 0, {"S:220-hi", "X"}},
        {ERR_PROTOCOL, false, 0, 0, {"S:SSH-2.0-OpenSSH_9.2", "X"}},
        {ERR_PROTOCOL, false, 0, 0, {"S:\x16\x03\x01\x02", "X"}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c = {0};
        struct peer peer = {0};
        bool greeted = false;

        with_peer(&peer, rows[i].script, &c);
        assert_int_equal(client_greet(&c, &greeted, when_after(2000)).code, rows[i].err);
        assert_int_equal(greeted, rows[i].greeted);
        assert_int_equal(c.said.code, rows[i].code);
        assert_int_equal(c.offers, rows[i].offers);
        assert_int_equal(c.over, rows[i].err != OK || rows[i].code == 421);
        without_peer(&peer, &c);
    }
    (void)arg;
}

static void greetings_and_refusals(void **state)
{
    run_alone("test", greetings_and_refusals_fiber, *state);
}

/* After a transaction that came to nothing RSET precedes the next, in the same burst. */
static void what_was_left_open_is_reset_fiber(void *arg)
{
    static const char *const script[] = {HELLO_PIPE,
                                         "C:MAIL FROM:<a@b.example>",
                                         "C:RCPT TO:<u@c.example>",
                                         "C:DATA",
                                         "S:250 ok",
                                         "S:550 who?",
                                         "S:503 nobody",
                                         "C:RSET",
                                         "C:MAIL FROM:<a@b.example>",
                                         "C:RCPT TO:<v@c.example>",
                                         "C:DATA",
                                         "S:250 fresh",
                                         "S:250 ok",
                                         "S:250 ok",
                                         "S:354 go",
                                         BODY_DOTTED,
                                         "S:250 2.0.0 taken",
                                         "C:MAIL FROM:<a@b.example>",
                                         "C:RCPT TO:<u@c.example>",
                                         "C:DATA",
                                         "S:451 no more",
                                         "S:503 no",
                                         "S:503 no",
                                         "C:QUIT",
                                         NULL};
    static const struct {
        const char *to;
        enum client_fate fate;
    } rows[] = {{"u@c.example", CLIENT_REFUSED},
                {"v@c.example", CLIENT_TAKEN},
                {"u@c.example", CLIENT_REFUSED}};
    struct client c = {0};
    struct peer peer = {0};
    struct arena arena ARENA_LOCAL = {0};
    bool greeted;

    with_peer(&peer, script, &c);
    assert_int_equal(client_greet(&c, &greeted, when_after(2000)).code, OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client_rcpt to = {.address = str_of(rows[i].to)};
        struct client_mail m = {.sender = STR("a@b.example"),
                                .size = BODY_BYTES,
                                .content = give_body,
                                .to = &to,
                                .to_count = 1,
                                .arena = &arena};

        assert_int_equal(client_send(&c, &m, when_after(2000)).code, OK);
        assert_int_equal(to.fate, rows[i].fate);
    }
    assert_true(client_is_quiet(&c));
    without_peer(&peer, &c);
    (void)arg;
}

static void what_was_left_open_is_reset(void **state)
{
    run_alone("test", what_was_left_open_is_reset_fiber, *state);
}

static void a_peer_that_spoke_or_left_is_not_quiet_fiber(void *arg)
{
    static const char *const scripts[][6] = {
        {"S:220 hi", "C:EHLO mx.example.org", "S:250 peer", "S:421 idle", NULL},
        {"S:220 hi", "C:EHLO mx.example.org", "S:250 peer", "X"},
    };

    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct client c = {0};
        struct peer peer = {0};
        bool greeted, quiet = true;

        with_peer(&peer, scripts[i], &c);
        assert_int_equal(client_greet(&c, &greeted, when_after(2000)).code, OK);
        for (int tries = 0; quiet && tries < 100; tries++) {
            quiet = client_is_quiet(&c);
            fiber_sleep(when_after(1), WHEN_NEVER);
        }
        assert_false(quiet);
        without_peer(&peer, &c);
    }
    (void)arg;
}

static void a_peer_that_spoke_or_left_is_not_quiet(void **state)
{
    run_alone("test", a_peer_that_spoke_or_left_is_not_quiet_fiber, *state);
}

static void what_a_peer_lacks_is_known_before(void **state)
{
    static const struct {
        enum body_class body;
        unsigned offers;
        bool utf8, utf8_headers;
        const char *to;
        uint64_t size_max;
        enum client_lack want;
    } rows[] = {
        {BODY_7BIT, 0, false, false, "u@c", 0, CLIENT_LACKS_NOTHING},
        {BODY_8BIT, 0, false, false, "u@c", 0, CLIENT_LACKS_8BIT},
        {BODY_8BIT, CLIENT_8BITMIME, false, false, "u@c", 0, CLIENT_LACKS_NOTHING},
        {BODY_BINARY, CLIENT_CHUNKING, false, false, "u@c", 0, CLIENT_LACKS_BINARY},
        {BODY_BINARY, CLIENT_BINARYMIME, false, false, "u@c", 0, CLIENT_LACKS_BINARY},
        {BODY_BINARY, CLIENT_BINARYMIME | CLIENT_CHUNKING, false, false, "u@c", 0,
         CLIENT_LACKS_NOTHING},
        {BODY_7BIT, 0, true, false, "u@c", 0, CLIENT_LACKS_NOTHING},
        {BODY_7BIT, 0, true, true, "u@c", 0, CLIENT_LACKS_UTF8},
        {BODY_7BIT, 0, true, false, "\xc3\xbc@c", 0, CLIENT_LACKS_UTF8},
        {BODY_7BIT, CLIENT_SMTPUTF8, true, false, "\xc3\xbc@c", 0, CLIENT_LACKS_NOTHING},
        /* Raw bytes in header fields of a client that never said SMTPUTF8 are 8-bit content. */
        {BODY_7BIT, 0, false, true, "u@c", 0, CLIENT_LACKS_NOTHING},
        {BODY_7BIT, CLIENT_SIZE, false, false, "u@c", 24, CLIENT_LACKS_SIZE},
        {BODY_7BIT, CLIENT_SIZE, false, false, "u@c", 25, CLIENT_LACKS_NOTHING},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c = {.offers = rows[i].offers, .size_max = rows[i].size_max};
        struct client_rcpt to = {.address = str_of(rows[i].to)};
        struct client_mail m = {.body = rows[i].body,
                                .smtputf8 = rows[i].utf8,
                                .size = 25,
                                .sender = STR("a@b"),
                                .to = &to,
                                .to_count = 1};

        assert_int_equal(client_lacks(&c, &m, rows[i].utf8_headers), rows[i].want);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_go_as_the_peer_wills),
        cmocka_unit_test(greetings_and_refusals),
        cmocka_unit_test(what_was_left_open_is_reset),
        cmocka_unit_test(a_peer_that_spoke_or_left_is_not_quiet),
        cmocka_unit_test(what_a_peer_lacks_is_known_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
