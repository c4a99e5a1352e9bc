/*
 * Redis by its client library's reader and writer of the protocol, over our own stream: so a
 * deadline is exact and a question can be cancelled at any point. All that is asked is answered
 * with one scalar; an aggregate is refused before the library sees it.
 */
#include "base/mem.h"
#include "lookup/part.h"
#include "runtime/stream.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>

enum { REDIS_PORT = 6379, WORDS_MAX = 4 };

struct redis {
    struct stream *stream;
    redisReader *reader;
};

struct words {
    const char *at[WORDS_MAX];
    size_t len[WORDS_MAX];
    int count;
};

static void word(struct words *w, struct str s)
{
    must(w->count < WORDS_MAX);
    w->at[w->count] = s.ptr;
    w->len[w->count++] = s.len;
}

static struct err send_words(struct redis *r, struct words *w, struct when by)
{
    char *command = NULL;
    int len = redisFormatCommandArgv(&command, w->count, w->at, w->len);
    struct err e;

    must(len > 0);
    e = stream_put(r->stream, str_make(command, (size_t)len), by);
    redisFreeCommand(command);
    return e.code != OK ? e : stream_flush(r->stream, by);
}

static struct err feed(struct redis *r, size_t *total)
{
    struct str got = stream_buffered(r->stream);
    size_t first = *total;

    *total += got.len;
    if (first == 0 && got.len > 0 && (got.ptr[0] == '*' || *total > LOOKUP_BYTES_MAX)) {
        return err_of(ERR_PROTOCOL);
    }
    if (*total > LOOKUP_BYTES_MAX) {
        return err_of(ERR_LIMIT);
    }
    if (redisReaderFeed(r->reader, got.ptr, got.len) != REDIS_OK) {
        return err_of(ERR_PROTOCOL);
    }
    stream_take(r->stream, got.len);
    return ERR_OK;
}

/* One reply; the caller frees it. */
static struct err read_reply(struct redis *r, redisReply **ret, struct when by)
{
    size_t total = 0;

    for (;;) {
        void *reply = NULL;
        struct err e = stream_fill(r->stream, "reply of Redis", by);

        if (e.code == OK) {
            e = feed(r, &total);
        }
        if (e.code != OK) {
            return e;
        }
        if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
            return err_of(ERR_PROTOCOL);
        }
        if (reply != NULL) {
            *ret = reply;
            return ERR_OK;
        }
    }
}

static struct str text_of(const redisReply *r)
{
    return r->str != NULL ? str_make(r->str, r->len) : STR_EMPTY;
}

/* What the server says about an error is for people: printable, and cut. */
static struct str clean(struct arena *a, struct str s)
{
    struct str copy = arena_dup(a, str_head(s, 200));

    for (size_t i = 0; i < copy.len; i++) {
        if (copy.ptr[i] < 0x20 || copy.ptr[i] > 0x7e) {
            ((char *)(uintptr_t)copy.ptr)[i] = '?';
        }
    }
    return copy;
}

static struct err one(struct redis *r, struct words *w, redisReply **ret, struct when by)
{
    struct err e = send_words(r, w, by);

    return e.code != OK ? e : read_reply(r, ret, by);
}

/* A command of the greeting, whose answer must be good. */
static struct err greet(struct redis *r, struct words *w, struct buf *why, struct when by)
{
    redisReply *reply = NULL;
    struct err e = one(r, w, &reply, by);

    if (e.code == OK && reply->type == REDIS_REPLY_ERROR) {
        struct arena a ARENA_LOCAL = {0};

        buf_printf(why, "%.*s: %.*s", (int)w->len[0], w->at[0], STR_ARG(clean(&a, text_of(reply))));
        e = err_of(ERR_PROTOCOL);
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return e;
}

static struct err introduce(struct redis *r, const struct lookup_settings *s, struct buf *why,
                            struct when by)
{
    struct err e = ERR_OK;

    if (s->password.is_given) {
        struct words w = {.count = 0};

        word(&w, STR("AUTH"));
        if (s->username.len > 0) {
            word(&w, s->username);
        }
        word(&w, s->password.text);
        e = greet(r, &w, why, by);
    }
    if (e.code == OK && s->database.len > 0) {
        struct words w = {.count = 0};

        word(&w, STR("SELECT"));
        word(&w, s->database);
        e = greet(r, &w, why, by);
    }
    return e;
}

static void redis_close(void *connection)
{
    struct redis *r = connection;

    stream_close(r->stream);
    redisReaderFree(r->reader);
    mem_free(r);
}

static struct err redis_open(struct store *st, void **ret, struct buf *why, struct when by)
{
    const struct lookup_settings *s = st->settings;
    struct addr to = s->address;
    struct stream *stream = NULL;
    struct redis *r;
    struct err e;

    to.port = (uint16_t)(s->port > 0 ? s->port : REDIS_PORT);
    e = to.family != 0 ? stream_connect(to, (struct addr){0}, &stream, by)
                       : stream_connect_path(s->socket, &stream, by);
    if (e.code != OK) {
        return e;
    }
    r = MEM_NEW(struct redis);
    r->stream = stream;
    r->reader = redisReaderCreate();
    must(r->reader != NULL);
    e = introduce(r, s, why, by);
    if (e.code != OK) {
        redis_close(r);
        return e;
    }
    *ret = r;
    return ERR_OK;
}

static void compose(struct words *w, const struct lookup_question *q, struct str key,
                    struct str number)
{
    static const char *const commands[] = {
        [LOOKUP_GET] = "GET",     [LOOKUP_EXISTS] = "EXISTS",       [LOOKUP_SET] = "SET",
        [LOOKUP_COUNTER] = "GET", [LOOKUP_COUNTER_INCR] = "INCRBY",
    };

    word(w, str_of(commands[q->verb]));
    word(w, key);
    if (q->verb == LOOKUP_SET) {
        word(w, q->value);
    } else if (q->verb == LOOKUP_COUNTER_INCR) {
        word(w, number);
    }
}

static struct err take_reply(const redisReply *r, const struct lookup_question *q, struct arena *a,
                             struct lookup_answer *ret)
{
    struct str text = text_of(r);
    int64_t n = 0;

    switch (r->type) {
    case REDIS_REPLY_ERROR:
        return answer_failed(a, ret, err_of(ERR_SYNTAX), "%.*s", STR_ARG(clean(a, text)));
    case REDIS_REPLY_INTEGER:
        answer_one(a, ret, cell_int(r->integer));
        return ERR_OK;
    case REDIS_REPLY_NIL:
        if (q->verb == LOOKUP_COUNTER) {
            answer_one(a, ret, cell_int(0));
        }
        return ERR_OK;
    case REDIS_REPLY_STATUS:
        answer_one(a, ret, cell_int(1));
        return ERR_OK;
    case REDIS_REPLY_STRING:
        if (q->verb != LOOKUP_COUNTER) {
            answer_one(a, ret, cell_text(text));
            return ERR_OK;
        }
        if (!str_to_i64(text, &n)) {
            return answer_failed(a, ret, err_of(ERR_SYNTAX), "%.*s is no counter",
                                 STR_ARG(clean(a, q->key)));
        }
        answer_one(a, ret, cell_int(n));
        return ERR_OK;
    default:
        return answer_failed(a, ret, err_of(ERR_PROTOCOL), "an answer of no known type");
    }
}

static struct err redis_ask(struct store *s, void *connection, const struct lookup_question *q,
                            struct arena *a, struct lookup_answer *ret, struct when by)
{
    struct str key = arena_printf(a, "%.*s%.*s", STR_ARG(s->settings->prefix), STR_ARG(q->key));
    struct str number = arena_printf(a, "%lld", (long long)q->by);
    struct words w = {.count = 0};
    redisReply *reply = NULL;
    struct err e;

    compose(&w, q, key, number);
    e = one(connection, &w, &reply, by);
    if (e.code == OK) {
        e = take_reply(reply, q, a, ret);
        freeReplyObject(reply);
    }
    return e;
}

const struct backend redis_backend = {redis_open, redis_ask, redis_close};
