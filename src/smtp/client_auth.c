/*
 * client_auth: who we are, told by the best of the mechanisms that the peer offers and we know.
 *
 * 1. Nothing here writes a secret anywhere but into the stream; the buffers that held one are
 * wiped.
 * 2. 535 is the last word: the credentials are wrong, and no other mechanism makes them right. Any
 *    other refusal for good speaks of the mechanism, and the next one is tried (RFC 4954 section
 * 6).
 * 3. With SCRAM the peer must prove itself too; a peer that only says yes is not the one we meant.
 */
#include "base/base64.h"
#include "base/check.h"
#include "runtime/offload.h"
#include "runtime/random.h"
#include "smtp/client.h"
#include "smtp/client_part.h"
#include "tls/scram.h"

enum { WRONG_CREDENTIALS = 535, GO_ON = 334, ACCEPTED = 235 };

/* RFC 4954 section 4: a longer first answer would not fit the command line. */
static const size_t line_bytes_max = 500;

typedef struct err auth_teller(struct client *c, struct str user, struct str secret,
                               struct when by);

static void wipe(struct buf *b)
{
    if (b->ptr != NULL) {
        explicit_bzero(b->ptr, b->size);
    }
    buf_done(b);
    *b = (struct buf){0};
}

/* One line from us, its answer from them. */
static struct err tell(struct client *c, struct str line, struct when by)
{
    struct err e = client_say(c, CLIENT_AT_AUTH, line, by);

    return e.code ? e : client_hear(c, CLIENT_AT_AUTH, c->times.ehlo_ms, by);
}

static struct err tell_coded(struct client *c, struct str text, struct when by)
{
    struct buf line = {0};
    struct err e;

    base64_encode(&line, text);
    e = tell(c, buf_str(&line), by);
    wipe(&line);
    return e;
}

/* AUTH with what is to be said first, or after the peer's 334 when that is too long. */
static struct err begin(struct client *c, struct str mechanism, struct str first, struct when by)
{
    struct buf line = {0};
    struct err e;

    buf_put(&line, STR("AUTH "));
    buf_put(&line, mechanism);
    if (first.len > 0 && first.len / 3 * 4 + 4 + line.len < line_bytes_max) {
        buf_byte(&line, ' ');
        base64_encode(&line, first);
        first = STR_EMPTY;
    }
    e = tell(c, buf_str(&line), by);
    if (e.code == OK && first.len > 0 && c->said.code == GO_ON) {
        e = tell_coded(c, first, by);
    }
    wipe(&line);
    return e;
}

static struct err say_plain(struct client *c, struct str user, struct str secret, struct when by)
{
    struct buf first = {0};
    struct err e;

    buf_byte(&first, '\0');
    buf_put(&first, user);
    buf_byte(&first, '\0');
    buf_put(&first, secret);
    e = begin(c, STR("PLAIN"), buf_str(&first), by);
    wipe(&first);
    return e;
}

/* What the peer prompts for is always the same two, in this order, whatever its words. */
static struct err say_login(struct client *c, struct str user, struct str secret, struct when by)
{
    struct err e = begin(c, STR("LOGIN"), STR_EMPTY, by);

    if (e.code == OK && c->said.code == GO_ON) {
        e = tell_coded(c, user, by);
    }
    if (e.code == OK && c->said.code == GO_ON) {
        e = tell_coded(c, secret, by);
    }
    return e;
}

/* ---- SCRAM ---- */

struct answering {
    struct scram *scram;
    struct str secret, challenge;
    struct buf *out;
    const char *why;
    bool ok;
};

static void answer(void *arg)
{
    struct answering *a = arg;

    a->ok = scram_answer(a->scram, a->secret, a->challenge, a->out, &a->why);
}

static struct err fault(struct client *c, const char *what)
{
    c->fault = what;
    return client_lost(c, err_of(ERR_PROTOCOL));
}

/* The exchange after our first message was answered with 334. */
static struct err scram_go_on(struct client *c, struct scram *s, struct str secret,
                              struct buf *challenge, struct buf *out, struct when by)
{
    struct answering a = {.scram = s, .secret = secret, .out = out};
    struct err e;

    if (!base64_decode(challenge, c->said.text)) {
        return fault(c, "the host's challenge is not base64");
    }
    a.challenge = buf_str(challenge);
    offload("a proof of the password", answer, &a, by);
    if (!a.ok) {
        return fault(c, a.why);
    }
    e = tell_coded(c, buf_str(out), by);
    if (e.code || c->said.code != GO_ON) {
        return e.code == OK && c->said.code == ACCEPTED
                   ? fault(c, "the host did not prove that it knows the password")
                   : e;
    }
    buf_clear(challenge);
    if (!base64_decode(challenge, c->said.text) || !scram_is_proof(s, buf_str(challenge))) {
        return fault(c, "the host does not know the password");
    }
    return tell(c, STR_EMPTY, by);
}

static struct err say_scram(struct client *c, struct str user, struct str secret, struct when by)
{
    struct buf first BUF_LOCAL = {0}, challenge BUF_LOCAL = {0}, nonce BUF_LOCAL = {0};
    struct scram s;
    struct err e;

    buf_hex16(&nonce, random_u64());
    buf_hex16(&nonce, random_u64());
    scram_begin(&s, user, buf_str(&nonce), &first);
    e = begin(c, STR("SCRAM-SHA-256"), buf_str(&first), by);
    if (e.code == OK && c->said.code == ACCEPTED) {
        e = fault(c, "the host did not prove that it knows the password");
    } else if (e.code == OK && c->said.code == GO_ON) {
        buf_clear(&first);
        e = scram_go_on(c, &s, secret, &challenge, &first, by);
    }
    scram_done(&s);
    return e;
}

/* ---- the choice ---- */

static const struct {
    struct str name;
    unsigned bit;
    auth_teller *tell;
} mechanisms[] = {
#define MECHANISM(name, key, fn) {STR_INIT(name), 1u << CLIENT_AUTH_##key, fn},
#include "smtp/mechanisms.def"
#undef MECHANISM
};

void client_mechanisms_add(struct client *c, struct str words)
{
    struct str word;

    while (words.len > 0) {
        str_cut(&words, ' ', &word);
        for (size_t i = 0; i < COUNT_OF(mechanisms); i++) {
            if (str_eq_nocase(word, mechanisms[i].name)) {
                c->mechanisms |= mechanisms[i].bit;
            }
        }
    }
}

struct err client_auth(struct client *c, struct str user, struct str secret, bool *ret,
                       struct when by)
{
    struct err e = ERR_OK;

    must(c->mechanisms != 0);
    *ret = false;
    for (size_t i = 0; i < COUNT_OF(mechanisms); i++) {
        if (!(c->mechanisms & mechanisms[i].bit)) {
            continue;
        }
        e = mechanisms[i].tell(c, user, secret, by);
        if (e.code) {
            return e;
        }
        if (c->said.code == ACCEPTED) {
            *ret = true;
            return ERR_OK;
        }
        if (c->said.code / 100u < 4) { /* neither yes nor no */
            return fault(c, "an answer to AUTH that means nothing");
        }
        if (c->over || !reply_is(&c->said, 5) || c->said.code == WRONG_CREDENTIALS) {
            break;
        }
    }
    return ERR_OK;
}
