/*
 * One call: the request on its way out, the answer on its way in, and what became of it. Bytes of
 * the other side are judged here; the head by reply.h, whole.
 */
#include "base/mem.h"
#include "http/client_part.h"

#include <errno.h>

static struct err found(struct exchange *x, enum err_code code, const char *sentence)
{
    struct str s = str_of(sentence);

    must(s.len < sizeof x->said);
    memcpy(x->said, s.ptr, s.len + 1);
    x->fault = err_of(code);
    return x->fault;
}

/* ---- callbacks ---- */

/* The library begins to send a request over a connection. When a kept one failed it comes again by
 * itself, up to five times, over kept ones too: the second must be fresh (client_call then sees to
 * it) and the last. */
int exchange_may_send(void *ctx, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct exchange *x = ctx;
    long opened = 0;

    (void)remote_ip;
    (void)local_ip;
    (void)remote_port;
    (void)local_port;
    (void)curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &opened);
    if (x->requests >= 1 && opened == 0) {
        x->is_stale = true;
        return CURL_PREREQFUNC_ABORT;
    }
    x->requests++;
    return CURL_PREREQFUNC_OK;
}

/* An interim response ends; 101 would make the connection something else than HTTP. */
static struct err end_interim(struct exchange *x)
{
    if (str_eq(str_make(x->head.ptr + 9, 3), STR("101"))) {
        return found(x, ERR_PROTOCOL, "the answer changes the protocol, which nobody asked for");
    }
    buf_clear(&x->head);
    return ERR_OK;
}

static struct err end_head(struct exchange *x)
{
    struct str head = buf_str(&x->head);
    struct err e;

    if (head.len > 12 && str_starts(head, STR("HTTP/1.")) && head.ptr[9] == '1') {
        return end_interim(x);
    }
    e = reply_head_parse(head, &x->parsed);
    if (e.code != OK) {
        return found(x, e.code,
                     "the head of the answer is malformed, or asks for a coding that "
                     "was not offered");
    }
    x->has_head = true;
    if (x->parsed.body == REPLY_LENGTH && x->parsed.length > x->request->response_max &&
        !str_eq(x->request->method, STR("HEAD"))) {
        return found(x, ERR_LIMIT, "the answer says that it is larger than is allowed");
    }
    return ERR_OK;
}

/* One line of a head, or of trailers. */
size_t exchange_take_head(char *at, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    struct str line = str_make(at, size * count);
    struct err e = ERR_OK;

    x->head_bytes += line.len;
    if (x->head_bytes > REPLY_HEAD_MAX) {
        e = found(x, ERR_LIMIT, "the head of the answer is too large");
    } else if (!x->has_head) {
        buf_put(&x->head, line);
        if (str_eq(line, STR("\r\n")) || str_eq(line, STR("\n"))) {
            e = end_head(x);
        }
    }
    return e.code == OK ? line.len : 0;
}

size_t exchange_take_body(char *at, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    struct str bytes = str_make(at, size * count);

    if (bytes.len > x->request->response_max - x->body.len) {
        (void)found(x, ERR_LIMIT, "the answer is larger than is allowed");
        return 0;
    }
    buf_put(&x->body, bytes);
    return bytes.len;
}

/* From the piece at hand; without one the caller's fiber shall fetch the next. */
size_t exchange_give_body(char *at, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    size_t n = x->piece.len < size * count ? x->piece.len : size * count;

    if (n == 0 && !x->is_ended) {
        x->wants_piece = true;
        fiber_wake(x->caller);
        return CURL_READFUNC_PAUSE;
    }
    if (n > 0) {
        memcpy(at, x->piece.ptr, n);
        x->piece = str_skip(x->piece, n);
    }
    return n;
}

/* The source may be at work just now: whoever feeds does it. */
int exchange_rewind(void *ctx, curl_off_t offset, int origin)
{
    struct exchange *x = ctx;

    if (offset != 0 || origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    x->must_rewind = true;
    x->piece = STR_EMPTY;
    x->is_ended = false;
    return CURL_SEEKFUNC_OK;
}

/* ---- one round ---- */

static struct err next_piece(struct exchange *x, struct when by)
{
    const struct fetch_source *s = x->request->source;
    struct str piece;
    struct err e;

    do {
        if (x->must_rewind) {
            x->must_rewind = false;
            x->given = 0;
            s->rewind(s->ctx);
        }
        e = s->next(s->ctx, &piece, by);
        if (e.code != OK) {
            return e;
        }
    } while (x->must_rewind);
    x->piece = piece;
    x->is_ended = piece.len == 0;
    x->given += piece.len;
    must(x->given <= s->length);
    must(!x->is_ended || s->length == FETCH_LENGTH_UNKNOWN || x->given == s->length);
    return ERR_OK;
}

static struct err feed(struct exchange *x, struct when by)
{
    struct err e = next_piece(x, by);

    if (x->is_done) {
        return ERR_OK; /* the other side did not want to hear it all */
    }
    x->wants_piece = false;
    if (e.code == OK) {
        on_big_stack(client_resume, x);
    }
    return e;
}

/* *e says what ended the wait: OK when the library has come to an end. */
static struct err run_round(struct exchange *x, struct when by)
{
    struct err e = ERR_OK;

    if (x->request->source != NULL) {
        e = next_piece(x, by);
        if (e.code != OK) {
            return e;
        }
    }
    on_big_stack(client_start, x);
    while (e.code == OK && !x->is_done) {
        e = x->wants_piece ? feed(x, by) : fiber_wait("an HTTP answer", by);
    }
    on_big_stack(client_stop, x);
    return e;
}

/* ---- what became of it ---- */

static const struct {
    CURLcode result;
    enum err_code code;
} codes[] = {
    {CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT},
    {CURLE_COULDNT_RESOLVE_HOST, ERR_DNS},
    {CURLE_COULDNT_CONNECT, ERR_NETWORK},
    {CURLE_SEND_ERROR, ERR_CLOSED},
    {CURLE_RECV_ERROR, ERR_CLOSED},
    {CURLE_GOT_NOTHING, ERR_CLOSED},
    {CURLE_PARTIAL_FILE, ERR_CLOSED},
    {CURLE_SSL_CONNECT_ERROR, ERR_TLS},
    {CURLE_SSL_CERTPROBLEM, ERR_TLS},
    {CURLE_SSL_CIPHER, ERR_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, ERR_TLS},
    {CURLE_SSL_CACERT_BADFILE, ERR_TLS},
    {CURLE_SSL_ISSUER_ERROR, ERR_TLS},
    {CURLE_USE_SSL_FAILED, ERR_TLS},
    {CURLE_UNSUPPORTED_PROTOCOL, ERR_PROTOCOL},
    {CURLE_WEIRD_SERVER_REPLY, ERR_PROTOCOL},
    {CURLE_BAD_CONTENT_ENCODING, ERR_PROTOCOL},
    {CURLE_UPLOAD_FAILED, ERR_PROTOCOL},
    {CURLE_FILESIZE_EXCEEDED, ERR_PROTOCOL}, /* a Content-Length beyond all numbers */
};

static enum err_code code_of(const struct exchange *x)
{
    /* Wrong chunks have no code of their own. */
    if (str_find_str(str_of(x->text), STR("chunked-encoding")) != STR_NONE) {
        return ERR_PROTOCOL;
    }
    /* Nor has a line of the head that passes the library's own limit, 100 KiB. */
    if (x->result == CURLE_OUT_OF_MEMORY && !x->has_head) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        if (codes[i].result == x->result) {
            return codes[i].code;
        }
    }
    return ERR_SYSTEM;
}

/* The library's words may quote the other side, and name its address. */
static void say(struct buf *why, const char *text)
{
    struct str words = str_of(text);
    size_t address = str_find_str(words, STR(" in connection to "));

    words = address != STR_NONE ? str_head(words, address) : words;
    for (size_t i = 0; i < words.len; i++) {
        buf_byte(why, words.ptr[i] >= 0x20 && words.ptr[i] <= 0x7e ? words.ptr[i] : '?');
    }
}

static struct err refuse(const struct exchange *x, struct buf *why)
{
    enum err_code code = code_of(x);

    if (x->fault.code != OK) {
        buf_printf(why, "%s", x->said);
        return x->fault;
    }
    if (code == ERR_NETWORK && x->sys != 0) {
        buf_printf(why, "cannot connect: %s", strerror(x->sys));
        return err_sys(code, x->sys);
    }
    if (code == ERR_TIMEOUT) {
        return err_of(code);
    }
    if (code == ERR_LIMIT) {
        buf_printf(why, "the head of the answer is too large");
        return err_of(code);
    }
    say(why, x->text[0] != 0 ? x->text : curl_easy_strerror(x->result));
    return err_sys(code, code == ERR_CLOSED ? x->sys : 0);
}

static void answer(const struct exchange *x, struct arena *a, struct fetch_answer *ret)
{
    struct str head = arena_dup(a, buf_str(&x->head)), status;

    (void)str_cut(&head, '\n', &status);
    *ret = (struct fetch_answer){.status = x->parsed.status,
                                 .content_type = STR_EMPTY,
                                 .retry_after = STR_EMPTY,
                                 .head = head,
                                 .body = arena_dup(a, buf_str(&x->body))};
    (void)fetch_answer_field(ret, STR("Content-Type"), &ret->content_type);
    (void)fetch_answer_field(ret, STR("Retry-After"), &ret->retry_after);
}

static bool may_send_again(const struct exchange *x)
{
    bool broke = x->result == CURLE_SEND_ERROR || x->result == CURLE_RECV_ERROR ||
                 x->result == CURLE_GOT_NOTHING;

    return !x->is_fresh && x->fault.code == OK && x->head_bytes == 0 &&
           (x->is_stale || (broke && x->opened == 0 && x->requests == 1));
}

struct err client_call(struct fetch_pool *p, const struct fetch_request *r,
                       const struct addr *addrs, size_t addr_count, struct arena *a,
                       struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct exchange x = {.client = p->client,
                         .request = r,
                         .addrs = addrs,
                         .addr_count = addr_count,
                         .by = by,
                         .caller = fiber_self(),
                         .piece = STR_EMPTY};
    unsigned requests;
    struct err e = run_round(&x, by);

    p->counts.opened += (uint64_t)x.opened;
    requests = x.requests;
    if (e.code == OK && x.result != CURLE_OK && may_send_again(&x)) {
        x.is_fresh = x.must_rewind = true;
        x.is_stale = x.is_done = x.wants_piece = false;
        x.requests = 0;
        x.opened = 0;
        x.text[0] = 0;
        e = run_round(&x, by);
        p->counts.opened += (uint64_t)x.opened;
        requests += x.requests;
    }
    p->counts.sent += requests > 0;
    p->counts.sent_again += requests > 1;
    if (e.code == OK && x.result == CURLE_OK && x.fault.code == OK && !x.has_head) {
        (void)found(&x, ERR_CLOSED, "the connection ended in the head of the answer");
    }
    if (e.code == OK && (x.result != CURLE_OK || x.fault.code != OK)) {
        e = refuse(&x, why);
    } else if (e.code == OK) {
        answer(&x, a, ret);
        ret->was_sent_again = requests > 1;
    }
    buf_done(&x.head);
    buf_done(&x.body);
    return e;
}
