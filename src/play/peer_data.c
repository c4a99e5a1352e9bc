#include "base/crc.h"
#include "mail/content.h"
#include "play/part.h"
#include "runtime/stream.h"
#include "smtp/command.h"

enum { PIECE_BYTES = 16 * 1024 };

static bool keeps(const struct play_talk *t)
{
    return t->peer->message != NULL;
}

/* Counts what was appended to the content from `from` on; forgets it where nobody wants it. */
static void took(struct play_talk *t, size_t from)
{
    struct str piece = str_skip(buf_str(&t->content), from);

    t->content_bytes += piece.len;
    t->content_crc = crc32c(t->content_crc, piece);
    if (!keeps(t)) {
        buf_clear(&t->content);
    }
}

/* Whether the script cuts the connection in this content, here. */
static bool cuts(struct play_talk *t)
{
    if (!t->dropping || t->content_bytes < t->peer->behaviour.content_drop_bytes) {
        return false;
    }
    play_count(&t->peer->counts->drops, 1);
    t->over = true;
    return true;
}

static void begin(struct play_talk *t)
{
    const struct play_behaviour *b = &t->peer->behaviour;

    t->dropping = b->content_drop_bytes > 0 && (b->content_drop_chance == PLAY_CHANCE_ALWAYS ||
                                                play_dice() < b->content_drop_chance);
}

static struct err hand_over(struct play_talk *t, bool unanswered, struct when by)
{
    struct play_message *m = &t->mail;

    m->helo = buf_str(&t->helo);
    m->client = stream_remote(t->stream);
    m->local = stream_local(t->stream);
    m->lmtp = t->peer->lmtp;
    m->tls = t->tls;
    m->unanswered = unanswered;
    m->content = buf_str(&t->content);
    m->crc32c = t->content_crc;
    return keeps(t) ? t->peer->message(t->peer->ctx, m, by) : ERR_OK;
}

static void count_taken(struct play_talk *t, uint64_t recipients)
{
    struct play_counts *c = t->peer->counts;

    play_count(&c->messages, 1);
    play_count(&c->recipients, recipients);
    play_count(&c->bytes, t->content_bytes);
    t->messages++;
}

/* LMTP: the script is asked for each recipient, the message is kept with who was taken. */
static struct err answer_each(struct play_talk *t, struct when by)
{
    const struct play_rule **rules = arena_array(&t->arena, t->mail.to_count,
                                                 sizeof(struct play_rule *));
    uint64_t taken = 0;
    uint32_t i = 0;
    struct err kept = ERR_OK, e = ERR_OK;

    for (struct play_rcpt *r = t->mail.to; r != NULL; r = r->next, i++) {
        e = play_shows(t, PLAY_AT_DOT, &rules[i], by);
        if (e.code) {
            return e;
        }
        r->refused = rules[i] != NULL && rules[i]->act == PLAY_REFUSE;
        taken += !r->refused;
    }
    if (taken > 0) {
        kept = hand_over(t, false, by);
    }
    for (i = 0; i < t->mail.to_count && !e.code && !t->over; i++) {
        if (rules[i] != NULL) {
            e = play_follow(t, rules[i], by);
        } else if (kept.code) {
            e = play_say(t, 451, "4.3.0 Cannot keep it", by);
        } else {
            e = play_say(t, 250, "2.0.0 Delivered", by);
        }
    }
    if (taken > 0 && !kept.code) {
        count_taken(t, taken);
    }
    return e;
}

static struct err answer_all(struct play_talk *t, struct when by)
{
    const struct play_rule *r;
    struct err e = play_shows(t, PLAY_AT_DOT, &r, by);

    if (e.code) {
        return e;
    }
    if (r != NULL && r->act != PLAY_DROP) {
        return play_follow(t, r, by);
    }
    e = hand_over(t, r != NULL, by);
    if (r != NULL) {
        if (!e.code) {
            play_count(&t->peer->counts->unanswered, 1);
        }
        return play_follow(t, r, by);
    }
    if (e.code) {
        return play_say(t, 451, "4.3.0 Cannot keep it", by);
    }
    count_taken(t, t->mail.to_count);
    return play_say(t, 250, "2.0.0 Ok", by);
}

static struct err finish(struct play_talk *t, struct when by)
{
    const struct play_behaviour *b = &t->peer->behaviour;
    struct err e;

    if (b->size_max > 0 && t->content_bytes > b->size_max) {
        play_count(&t->peer->counts->refusals, 1);
        e = play_say(t, 552, "5.3.4 Message too large", by);
    } else {
        e = t->peer->lmtp ? answer_each(t, by) : answer_all(t, by);
    }
    play_reset(t);
    return e;
}

struct err play_data(struct play_talk *t, struct when by)
{
    struct unstuff u = {0};
    bool go, ended = false;
    struct err e;

    if (t->mail.to_count == 0 || t->bdat_open) {
        return play_say(t, t->in_mail && !t->bdat_open ? 554 : 503, "5.5.1 No recipients", by);
    }
    e = play_ask(t, PLAY_AT_DATA, &go, by);
    if (e.code || !go) {
        return e;
    }
    e = play_say(t, 354, "Go ahead", by);
    begin(t);
    while (!e.code && !ended) {
        struct str in = str_head(stream_buffered(t->stream), PIECE_BYTES);
        size_t used, before = t->content.len;

        if (in.len == 0) {
            e = play_fill(t, "content", by);
            continue;
        }
        ended = unstuff(&u, in, &t->content, &used);
        stream_take(t->stream, used);
        took(t, before);
        if (cuts(t)) {
            return ERR_OK;
        }
    }
    return e.code ? e : finish(t, by);
}

static struct err chunk(struct play_talk *t, uint64_t size, struct when by)
{
    bool wanted = t->in_mail && !t->bdat_failed;

    while (size > 0) {
        struct str in = stream_buffered(t->stream);
        size_t before = t->content.len;

        in = str_head(in, size < in.len ? (size_t)size : in.len);
        if (in.len == 0) {
            struct err e = play_fill(t, "a chunk", by);

            if (e.code) {
                return e;
            }
            continue;
        }
        if (wanted) {
            buf_put(&t->content, in);
            took(t, before);
        }
        size -= in.len;
        stream_take(t->stream, in.len);
        if (cuts(t)) {
            return ERR_OK;
        }
    }
    return ERR_OK;
}

struct err play_bdat(struct play_talk *t, struct str arg, struct when by)
{
    uint64_t size;
    bool last, go;
    struct err e;

    if (!bdat_parse(arg, &size, &last)) {
        t->over = true;
        return play_say(t, 501, "5.5.4 Syntax: BDAT size [LAST]", by);
    }
    if (!t->bdat_open) {
        begin(t);
    }
    e = chunk(t, size, by);
    if (e.code || t->over) {
        return e;
    }
    if (t->mail.to_count == 0 || t->bdat_failed) {
        return play_say(t, 503, "5.5.1 No recipients", by);
    }
    if (!t->bdat_open) {
        e = play_ask(t, PLAY_AT_DATA, &go, by);
        if (e.code || !go) {
            t->bdat_failed = true;
            return e;
        }
    }
    t->bdat_open = t->mail.bdat = true;
    return last ? finish(t, by) : play_say(t, 250, "2.0.0 Go on", by);
}
