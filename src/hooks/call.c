#include "hooks/call.h"

#include "base/base64.h"
#include "base/check.h"
#include "config/config.h"
#include "dns/dns.h"
#include "hooks/call_part.h"
#include "hooks/engine.h"
#include "hooks/insert.h"
#include "runtime/fiber.h"
#include "runtime/offload.h"
#include "tls/tls.h"

/* BIG_BYTES: what is more to be looked at, written or read is not done on the loop. */
enum { PIECE_BYTES = 48 * 1024, WHOLE_BYTES_MAX = PIECE_BYTES, BIG_BYTES = 64 * 1024 };

/* ---- what takes long ---- */

uint64_t hook_bytes_at_hand(const struct hook_view *v)
{
    /* A body that is still to be read is no part of what a function of the view looks at. */
    return v->body.read == NULL ? v->message_bytes : v->message_bytes - v->body.size;
}

void hook_work(const char *what, uint64_t bytes, void (*fn)(void *), void *arg, struct when by)
{
    if (bytes > BIG_BYTES) {
        offload(what, fn, arg, by);
    } else {
        on_big_stack(fn, arg);
    }
}

/* ---- compiling ---- */

static size_t response_max(const struct hook_settings *s, uint64_t message_bytes_max)
{
    uint64_t most = message_bytes_max < UINT64_MAX / 16 ? message_bytes_max * 6 + 1048576
                                                        : UINT64_MAX;

    return (size_t)(s->response_bytes_max < most ? s->response_bytes_max : most);
}

static struct str authorization(const struct hook_settings *s, struct arena *a)
{
    struct buf pair BUF_LOCAL = {0}, text BUF_LOCAL = {0};

    if (s->bearer_token.is_given) {
        return arena_printf(a, "Bearer %.*s", STR_ARG(s->bearer_token.text));
    }
    if (!s->basic_secret.is_given) {
        return STR_EMPTY;
    }
    buf_printf(&pair, "%.*s:%.*s", STR_ARG(s->basic_user), STR_ARG(s->basic_secret.text));
    buf_put(&text, STR("Basic "));
    base64_encode(&text, buf_str(&pair));
    return arena_dup(a, buf_str(&text));
}

/* The first field is the content's type, filled in for each request unless one is configured. */
static void compile_fields(struct hook *h, struct arena *a)
{
    struct str auth = authorization(h->settings, a);

    h->fields = arena_array(a, h->settings->headers.count + 2, sizeof *h->fields);
    h->field_count = 1;
    for (size_t i = 0; i < h->settings->headers.count; i++) {
        struct fetch_field f = {.value = h->settings->headers.items[i]};

        (void)str_cut(&f.value, ':', &f.name);
        f = (struct fetch_field){str_trim(f.name), str_trim(f.value)};
        if (str_eq_nocase(f.name, STR("Content-Type"))) {
            h->fields[0] = f;
        } else if (auth.len == 0 || !str_eq_nocase(f.name, STR("Authorization"))) {
            h->fields[h->field_count++] = f;
        }
    }
    if (auth.len > 0) {
        h->fields[h->field_count++] = (struct fetch_field){STR("Authorization"), auth};
    }
}

/* By what was in the files: others of the same name are others, and the same are the same after a
 * reload. */
static struct str pool_key(const struct hook *h, struct arena *a)
{
    const struct hook_settings *s = h->settings;

    return arena_printf(a, "%.*s %u %lld %d %.*s", STR_ARG(h->target.origin), s->connections,
                        (long long)s->idle_ms, s->tls_allow_invalid_certs,
                        STR_ARG(h->trust != NULL ? tls_trust_digest(h->trust) : STR_EMPTY));
}

static bool is_same_trust(const struct hook_settings *a, const struct hook_settings *b)
{
    return str_eq(a->tls_ca, b->tls_ca) && str_eq(a->tls_certificate, b->tls_certificate) &&
           str_eq(a->tls_key, b->tls_key);
}

static bool share_trust(struct hook *h, const struct hook_trusts *trusts)
{
    for (const struct hook *k = trusts->latest; k != NULL; k = k->has_too) {
        if (is_same_trust(h->settings, k->settings)) {
            h->trust = tls_trust_keep(k->trust);
            return true;
        }
    }
    return false;
}

static bool wrong_file(const struct hook *h, const struct config *cfg, const char *key,
                       const struct buf *why, struct faults *faults)
{
    struct position at;

    (void)config_where(cfg, h->settings, key, &at);
    fault_error(faults, at, "hooks.%.*s: %s: %.*s", STR_ARG(h->settings->name), key,
                STR_ARG(buf_str(why)));
    return false;
}

static bool load_trust(struct hook *h, const struct config *cfg, struct hook_trusts *trusts,
                       struct faults *faults)
{
    const struct hook_settings *s = h->settings;
    struct buf why BUF_LOCAL = {0};

    if (share_trust(h, trusts)) {
        return true;
    }
    if (tls_trust_load(s->tls_ca, &h->trust, &why).code != OK) {
        return wrong_file(h, cfg, "tls.ca", &why, faults);
    }
    if (s->tls_certificate.len > 0 &&
        tls_trust_identify(h->trust, s->tls_certificate, s->tls_key, &why).code != OK) {
        bool is_key = str_starts(buf_str(&why), STR("key file"));

        return wrong_file(h, cfg, is_key ? "tls.key" : "tls.certificate", &why, faults);
    }
    h->has_too = trusts->latest;
    trusts->latest = h;
    return true;
}

void *hook_compile(const struct hook_settings *s, const struct chain_source *source,
                   struct hook_trusts *trusts, struct arena *a, struct faults *faults)
{
    struct hook *h = ARENA_NEW(a, struct hook);
    struct buf why BUF_LOCAL = {0};

    /* All but what is in files the table's check has told. */
    h->settings = s;
    h->dialect = hook_dialect_of(s->dialect);
    h->terms.stages = filter_stages(&s->stages);
    h->terms.as_stalwart = s->classic_strict;
    h->terms.has_extensions = s->dialect_extensions;
    h->response_max = response_max(s, source->message_bytes_max);
    h->terms.answer_bytes_max = h->response_max;
    if (fetch_target_parse(s->url, a, &h->target, &why).code != OK) {
        return h;
    }
    if (h->target.is_tls && !load_trust(h, source->config, trusts, faults)) {
        return h;
    }
    compile_fields(h, a);
    h->pool_key = pool_key(h, a);
    h->pool = (struct fetch_pool_options){.connections_max = s->connections,
                                          .idle_ms = s->idle_ms,
                                          .allow_invalid_certs = s->tls_allow_invalid_certs};
    if (h->trust != NULL) {
        h->pool.trust = (struct fetch_trust){tls_trust_give, h->trust};
    }
    if (h->dialect->is_registered) {
        hook_compile_draft(h, source, a);
    }
    return h;
}

/* ---- names ---- */

static void add_addresses(struct dns *dns, struct str host, enum dns_type type, struct arena *a,
                          struct addr *to, size_t *count, struct dns_answer *n, struct when by)
{
    *n = (struct dns_answer){0};
    if (dns_ask(dns, host, type, a, n, by).code != OK || n->result != DNS_OK) {
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        to[(*count)++] = n->records[i].addr;
    }
}

static struct err names(void *ctx, struct str host, struct arena *a, struct addr **ret,
                        size_t *count, struct buf *why, struct when by)
{
    struct dns_answer six, four;

    *ret = arena_array(a, (size_t)2 * DNS_RECORDS_MAX, sizeof **ret);
    *count = 0;
    add_addresses(ctx, host, DNS_AAAA, a, *ret, count, &six, by);
    add_addresses(ctx, host, DNS_A, a, *ret, count, &four, by);
    if (*count > 0) {
        return ERR_OK;
    }
    buf_printf(why, "%.*s has no address: %.*s", STR_ARG(host),
               STR_ARG(four.why.len > 0 ? four.why : STR("no such records")));
    return err_of(four.result == DNS_NO_NAME || four.result == DNS_NO_DATA ? ERR_NO_NAME : ERR_DNS);
}

static void attach(void *filter, const struct filter_world *world)
{
    struct hook *h = filter;

    h->world = world;
    if (world->dns != NULL) {
        h->pool.names = (struct fetch_names){names, world->dns};
    }
    if (h->registration != NULL) {
        struct registry_options o = *h->registration;
        struct registry *r;

        o.pool = h->pool;
        o.trust = h->trust;
        r = registries_take(world->registries, &o);
        registry_drop(h->registry);
        if (r != h->registry) { /* a chain in use may be attached again, to the same */
            h->registry = r;
        }
    }
}

static void drop(void *filter)
{
    struct hook *h = filter;

    registry_drop(h->registry);
    tls_trust_drop(h->trust);
}

/* ---- the body of a request ---- */

/* Text, the message within it as `insert` says, and text. */
struct body_source {
    const struct hook_view *view;
    const struct hook_request *request;
    struct inserter inserter;
    struct buf header; /* of a whole message; empty: the body alone is inserted */
    struct buf read, out;
    struct buf whole; /* all of it, when it is small */
    uint64_t at;      /* in the body */
    enum { AT_BEFORE, AT_HEADER, AT_BODY, AT_AFTER, AT_END } part;
};

static struct err body_piece(struct body_source *s, struct str *ret, struct when by)
{
    const struct hook_bytes *body = &s->view->body;
    struct err e = ERR_OK;

    if (body->read == NULL) {
        *ret = str_skip(body->whole, (size_t)s->at);
    } else {
        e = body->read(body->ctx, s->at, &s->read, ret, by);
    }
    *ret = str_head(*ret, PIECE_BYTES);
    if ((uint64_t)ret->len > body->size - s->at) {
        ret->len = (size_t)(body->size - s->at);
    }
    s->at += ret->len;
    return e.code == OK && ret->len == 0 ? err_of(ERR_CORRUPT) : e;
}

/* The next piece, perhaps empty; AT_END: it was the last. */
static struct err step(struct body_source *s, struct str *ret, struct when by)
{
    enum hook_insert how = s->request->insert;
    struct str in;
    struct err e;

    buf_clear(&s->out);
    *ret = STR_EMPTY;
    switch (s->part) {
    case AT_BEFORE:
        *ret = buf_str(&s->request->before);
        s->part = how == HOOK_INSERT_NONE ? AT_AFTER : AT_HEADER;
        return ERR_OK;
    case AT_HEADER:
        if (s->header.len > 0) {
            insert_add(&s->inserter, how, buf_str(&s->header), &s->out);
        }
        s->part = AT_BODY;
        break;
    case AT_BODY:
        if (s->at == s->view->body.size) {
            insert_end(&s->inserter, how, &s->out);
            s->part = AT_AFTER;
            break;
        }
        e = body_piece(s, &in, by);
        if (e.code != OK) {
            return e;
        }
        insert_add(&s->inserter, how, in, &s->out);
        break;
    case AT_AFTER:
        *ret = buf_str(&s->request->after);
        s->part = AT_END;
        return ERR_OK;
    case AT_END:
        return ERR_OK;
    }
    *ret = buf_str(&s->out);
    return ERR_OK;
}

static struct err source_next(void *ctx, struct str *ret, struct when by)
{
    struct body_source *s = ctx;
    struct err e;

    do {
        e = step(s, ret, by);
    } while (e.code == OK && ret->len == 0 && s->part != AT_END);
    return e;
}

static void source_rewind(void *ctx)
{
    struct body_source *s = ctx;

    s->inserter = (struct inserter){0};
    s->at = 0;
    s->part = AT_BEFORE;
}

static void source_begin(struct body_source *s, const struct hook_view *view,
                         const struct hook_request *request)
{
    *s = (struct body_source){.view = view, .request = request};
    if (request->insert == HOOK_INSERT_BASE64_MESSAGE ||
        request->insert == HOOK_INSERT_CBOR_MESSAGE) {
        insert_header(view, &s->header);
    }
}

static void source_done(struct body_source *s)
{
    buf_done(&s->header);
    buf_done(&s->read);
    buf_done(&s->out);
    buf_done(&s->whole);
}

/* What is small is written once and whole, so that it leaves together with its head; else `whole`
 * stays empty. */
static struct err source_gather(struct body_source *s, struct when by)
{
    uint64_t least = s->request->before.len + s->request->after.len;
    struct err e = ERR_OK;
    struct str piece;
    bool is_small;

    if (s->request->insert != HOOK_INSERT_NONE) {
        least += s->header.len + s->view->body.size;
    }
    is_small = least <= WHOLE_BYTES_MAX;
    source_rewind(s);
    while (e.code == OK && is_small && s->part != AT_END) {
        e = source_next(s, &piece, by);
        is_small = piece.len <= WHOLE_BYTES_MAX - s->whole.len;
        if (is_small) {
            buf_put(&s->whole, piece);
        }
    }
    source_rewind(s);
    buf_done(is_small ? &s->out : &s->whole);
    return e;
}

/* Escapes have to be counted, in one pass over it all; the others are of a known length. The loop
 * is not held meanwhile: a body at hand never waits by itself. */
static struct err source_length(struct body_source *s, uint64_t *ret, struct when by)
{
    const struct hook_request *request = s->request;
    uint64_t message = s->header.len + s->view->body.size;
    struct err e = ERR_OK;
    struct str piece;

    *ret = request->before.len + request->after.len;
    switch (request->insert) {
    case HOOK_INSERT_NONE:
        return ERR_OK;
    case HOOK_INSERT_CBOR_MESSAGE:
        *ret += message;
        return ERR_OK;
    case HOOK_INSERT_BASE64_MESSAGE:
        *ret += (message + 2) / 3 * 4;
        return ERR_OK;
    case HOOK_INSERT_JSON_BODY:
        break;
    }
    *ret = 0;
    source_rewind(s);
    while (e.code == OK && s->part != AT_END) {
        e = source_next(s, &piece, by);
        *ret += piece.len;
        if (e.code == OK && message > BIG_BYTES) {
            e = fiber_yield(by);
        }
    }
    source_rewind(s);
    return e;
}

struct encoding {
    const struct hook_call *call;
    struct hook_request *ret;
};

static void encode(void *arg)
{
    const struct encoding *n = arg;
    const struct hook_call *c = n->call;

    c->hook->dialect->encode(c->view, c->terms, c->a, n->ret);
}

void hook_encode(const struct hook_call *c, struct hook_request *ret, struct when by)
{
    struct encoding n = {c, ret};

    hook_work("request of a hook", hook_bytes_at_hand(c->view), encode, &n, by);
}

/* ---- the answer ---- */

struct decoding {
    const struct hook_call *call;
    const struct hook_answer *answer;
    struct hook_pending *pending;
    struct hook_outcome *ret;
    struct err result;
};

static void decode(void *arg)
{
    struct decoding *d = arg;
    const struct hook_call *c = d->call;

    d->result = c->hook->dialect->decode(d->answer, c->view, c->terms, d->pending, c->a, d->ret,
                                         c->why);
}

struct err hook_decode(const struct hook_call *c, const struct fetch_answer *answer,
                       struct hook_pending *pending, struct hook_outcome *ret, struct when by)
{
    struct hook_answer a = {answer->status, answer->content_type, answer->body};
    struct decoding d = {.call = c, .answer = &a, .pending = pending, .ret = ret};

    hook_work("answer of a hook", a.body.len, decode, &d, by);
    return d.result;
}

/* ---- one question ---- */

struct err hook_exchange(const struct hook_call *c, const struct hook_request *request,
                         struct fetch_answer *ret, struct when by)
{
    const struct hook *h = c->hook;
    struct body_source source;
    struct fetch_source body = {.next = source_next, .rewind = source_rewind, .ctx = &source};
    struct fetch_request r = {.method = STR("POST"),
                              .target = c->target,
                              .fields = c->fields,
                              .field_count = c->field_count,
                              .response_max = c->response_max};
    struct engine_pool *held;
    struct fetch_pool *pool;
    struct err e;

    held = engine_pool_take(h->world->engine, h->settings->name, h->pool_key, &h->pool, h->trust,
                            &pool, c->why, by);
    if (held == NULL) {
        return err_of(ERR_CONFIG);
    }
    source_begin(&source, c->view, request);
    e = source_gather(&source, by);
    if (e.code == OK && source.whole.len > 0) {
        r.body = buf_str(&source.whole);
    } else if (e.code == OK) {
        r.source = &body;
        e = source_length(&source, &body.length, by);
    }
    if (e.code == OK) {
        e = fetch(pool, &r, c->a, ret, c->why, by);
        if (h->watch.told != NULL) {
            h->watch.told(h->watch.ctx, &r, e.code == OK ? ret : NULL, by);
        }
    } else {
        buf_put(c->why, STR("the message could not be read again"));
    }
    source_done(&source);
    engine_pool_give(held);
    if (e.code != OK && c->why->len == 0) {
        buf_put(c->why, str_of(err_text(e.code)));
    }
    return e;
}

static struct err ask_classic(const struct hook *h, struct hook_pending *pending,
                              const struct hook_view *view, struct arena *a,
                              struct hook_outcome *ret, struct buf *why, struct when by)
{
    struct fetch_field *fields = arena_array(a, h->field_count, sizeof *fields);
    struct hook_call c = {.hook = h,
                          .view = view,
                          .terms = &h->terms,
                          .target = &h->target,
                          .fields = fields,
                          .field_count = h->field_count,
                          .response_max = h->response_max,
                          .a = a,
                          .why = why};
    struct hook_request request = {0};
    struct fetch_answer answer = {0};
    struct err e;

    hook_encode(&c, &request, by);
    memcpy(fields, h->fields, h->field_count * sizeof *fields);
    if (fields[0].name.len == 0) {
        fields[0] = (struct fetch_field){STR("Content-Type"), str_of(request.content_type)};
    }
    e = hook_exchange(&c, &request, &answer, by);
    buf_done(&request.before);
    buf_done(&request.after);
    if (e.code == OK && answer.status / 100 != 2) {
        buf_printf(why, "it answered with status %d", answer.status);
        return err_of(ERR_PROTOCOL);
    }
    return e.code == OK ? hook_decode(&c, &answer, pending, ret, by) : e;
}

static struct err ask(const void *filter, void *session, const struct hook_view *view,
                      struct arena *a, struct hook_outcome *ret, struct buf *why, struct when by)
{
    const struct hook *h = filter;

    return h->registry != NULL ? hook_ask_draft(h, view, a, ret, why, by)
                               : ask_classic(h, session, view, a, ret, why, by);
}

static void *begin(const void *filter, const struct hook_view *view)
{
    (void)filter, (void)view;
    return NULL; /* each question stands for itself */
}

static void nothing(const void *filter, void *session)
{
    (void)filter, (void)session;
}

const struct filter_kind hook_kind = {.name = "hook",
                                      .attach = attach,
                                      .drop = drop,
                                      .begin = begin,
                                      .ask = ask,
                                      .reset = nothing,
                                      .end = nothing};
