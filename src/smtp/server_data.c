#include "base/check.h"
#include "mail/content.h"
#include "runtime/clock.h"
#include "runtime/stream.h"
#include "smtp/server_part.h"

/* How far beyond size_max a refused content is read before the session is given up. */
static const uint64_t patience_bytes = 64 * 1024 * 1024;

static void content_start(struct server *s)
{
    s->content = (struct content){0};
    s->discarding = false;
    s->message_by = when_after(s->options.message_ms);
}

static void content_refuse(struct server *s)
{
    s->discarding = true;
    s->into = &s->waste;
    buf_clear(&s->waste);
}

/* What was appended to s->into since it was `before` bytes long. The first refusal stays in *ret.
 */
static void content_took(struct server *s, size_t before, struct answer *ret, struct when by)
{
    struct str piece = str_skip(buf_str(s->into), before);

    must_not(s->into->failed);
    content_add(&s->content, piece);
    if (s->discarding) {
        buf_clear(&s->waste);
        return;
    }
    if (s->content.bytes > s->options.size_max) {
        answer_fixed(ret, ANSWER_SIZE);
        content_refuse(s);
        return;
    }
    s->into = s->asks->more(s->ctx, ret, server_ask_by(s, by));
    if (s->into == NULL) {
        must_not(answer_is_good(ret));
        content_refuse(s);
    }
}

static struct err content_wait(struct server *s, struct when by)
{
    if (s->discarding && s->content.bytes > s->options.size_max &&
        s->content.bytes - s->options.size_max > patience_bytes) {
        return err_of(ERR_LIMIT);
    }
    return stream_fill(s->stream, "content",
                       when_earlier(when_within(by, s->options.data_ms), s->message_by));
}

/* Content up to CR LF . CR LF. */
static struct err content_read_dotted(struct server *s, struct answer *ret, struct when by)
{
    struct unstuff u = {0};
    bool ended = false;

    while (!ended) {
        struct str in = str_head(stream_buffered(s->stream), SERVER_PIECE_MAX);
        size_t before = s->into->len, used;

        if (str_is_empty(in)) {
            struct err e = content_wait(s, by);

            if (e.code) {
                return e;
            }
            continue;
        }
        ended = unstuff(&u, in, s->into, &used);
        stream_take(s->stream, used);
        content_took(s, before, ret, by);
    }
    return ERR_OK;
}

/* Content of so many octets. */
static struct err content_read_counted(struct server *s, uint64_t size, struct answer *ret,
                                       struct when by)
{
    while (size > 0) {
        size_t most = size < SERVER_PIECE_MAX ? (size_t)size : SERVER_PIECE_MAX;
        struct str in = str_head(stream_buffered(s->stream), most);
        size_t before = s->into->len;

        if (str_is_empty(in)) {
            struct err e = content_wait(s, by);

            if (e.code) {
                return e;
            }
            continue;
        }
        buf_put(s->into, in);
        stream_take(s->stream, in.len);
        size -= in.len;
        content_took(s, before, ret, by);
    }
    return ERR_OK;
}

/* Binary content needs BODY=BINARYMIME, and that needs BDAT. */
static bool content_is_allowed(const struct server *s, struct answer *ret)
{
    if (s->binary_claimed || content_class(&s->content) != BODY_BINARY) {
        return true;
    }
    answer_fixed(ret,
                 s->content.has_long_line && !s->content.has_nul ? ANSWER_BODY_LONG : ANSWER_BARE);
    return false;
}

static void content_end(struct server *s, struct answer *ret, struct when by)
{
    if (!s->discarding && content_is_allowed(s, ret)) {
        answer_fixed(ret, ANSWER_OK);
        s->phase = SERVER_STORING;
        s->asks->end(s->ctx, &s->content, ret, server_ask_by(s, by));
        s->phase = SERVER_BUSY;
    }
    if (answer_is_good(ret)) {
        s->commands = 0;
    }
    server_reset(s);
}

/* The content could not be read to its end: what can still be said. */
static struct err content_broke(struct server *s, struct err e, enum command command)
{
    struct answer a;
    char line[ANSWER_LINE_BYTES];

    if (e.code == ERR_TIMEOUT || e.code == ERR_LIMIT) {
        answer_fixed(&a, e.code == ERR_TIMEOUT ? ANSWER_SLOW : ANSWER_SIZE);
        s->asks->refused(s->ctx, command, &a);
        stream_farewell(s->stream, answer_line(&a, line));
        s->over = true;
    }
    return e;
}

struct err server_data(struct server *s, struct when by)
{
    struct answer a;
    struct err e;

    answer_fixed(&a, ANSWER_GO_AHEAD);
    content_start(s);
    s->into = s->asks->data(s->ctx, &a, server_ask_by(s, by));
    if (s->into == NULL) {
        must_not(answer_is_good(&a));
        server_reset(s);
        return server_say(s, COMMAND_DATA, &a, by);
    }
    e = answer_write(s->stream, &a, by);
    if (!e.code) {
        e = content_read_dotted(s, &a, by);
    }
    if (e.code) {
        return content_broke(s, e, COMMAND_DATA);
    }
    content_end(s, &a, by);
    return server_say(s, COMMAND_DATA, &a, by);
}

/* Why this BDAT is out of place; ANSWER_OK when it is not. */
static enum answer_row bdat_place(const struct server *s)
{
    if (!s->greeted) {
        return ANSWER_HELO_FIRST;
    }
    if (s->bdat == BDAT_FAILED) {
        return ANSWER_BDAT_FAILED;
    }
    if (!s->in_mail) {
        return ANSWER_MAIL_FIRST;
    }
    return s->rcpts == 0 ? ANSWER_RCPT_FIRST : ANSWER_OK;
}

struct err server_bdat(struct server *s, uint64_t size, bool last, struct when by)
{
    enum answer_row place = bdat_place(s);
    struct answer a;
    struct err e;

    answer_fixed(&a, place);
    if (s->bdat != BDAT_OPEN) {
        content_start(s);
        s->into = place == ANSWER_OK ? s->asks->data(s->ctx, &a, server_ask_by(s, by)) : NULL;
    }
    if (s->into == NULL) {
        must_not(answer_is_good(&a));
        content_refuse(s);
    }
    e = content_read_counted(s, size, &a, by);
    if (e.code) {
        return content_broke(s, e, COMMAND_BDAT);
    }
    if (place != ANSWER_OK) {
        s->into = NULL;
        return server_say(s, COMMAND_BDAT, &a, by);
    }
    if (last) {
        content_end(s, &a, by);
        return server_say(s, COMMAND_BDAT, &a, by);
    }
    if (s->discarding) {
        server_reset(s);
        s->bdat = BDAT_FAILED;
    } else {
        s->bdat = BDAT_OPEN;
        answer_format(&a, 250, "2.0.0", "%llu octets received", (unsigned long long)size);
    }
    return server_say(s, COMMAND_BDAT, &a, by);
}
