/* Conversations with a peer that follows a script: what each side says, line by line. */
#include "client_peer.h"

enum {
    FLAG_LMTP = 1,
    FLAG_HASTY = 2,
    FLAG_UTF8 = 4,
    FLAG_8BIT = 8,
    FLAG_BINARY = 16,
    FLAG_DSN = 32,
    FLAG_WISHES = 64 /* BY and MT-PRIORITY */
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
    {"Q-085: a chunk after the recipients, with its exact size, and no dot doubled",
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
    {"wishes go to whom offers to grant them (PY-15)",
     FLAG_WISHES,
     1,
     "T",
     250,
     CLIENT_AT_END,
     false,
     true,
     OK,
     {"S:220 hi", "C:EHLO mx.example.org", "S:250-peer", "S:250-DELIVERBY 240",
      "S:250 MT-PRIORITY MIXER", "C:MAIL FROM:<a@b.example> BY=-7;NT MT-PRIORITY=-4", "S:250 ok",
      "C:RCPT TO:<u0@c.example>", "S:250 ok", "C:DATA", "S:354 go", BODY_DOTTED, "S:250 taken",
      "C:QUIT"}},
    {"and to nobody else",
     FLAG_WISHES,
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
    if (p->flags & FLAG_WISHES) {
        m.by = BY_NOTIFY;
        m.by_trace = true;
        m.by_s = -7;
        m.priority = -4;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_go_as_the_peer_wills),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
