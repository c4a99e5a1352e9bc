/*
 * The classic dialect, MTA Hooks as Stalwart ships them: what is sent, and how an answer's action
 * and reply are read.
 *
 * Source    docs/hooks.md, which lists where we differ.
 *
 * Sent is what Stalwart sends, key by key and null by null; besides, what its schema declares and
 * it does not send, where we know it (parameters, cipherBits, sasl.method), which scanners made for
 * it know or ignore.
 */
#include "base/check.h"
#include "base/version.h"
#include "dns/idn.h"
#include "hooks/classic_part.h"
#include "hooks/insert.h"
#include "hooks/policy.h"
#include "mail/envelope.h"

/* ---- what is sent ---- */

static void put_text(struct buf *out, struct str s)
{
    struct inserter i = {0};

    buf_byte(out, '"');
    insert_add(&i, HOOK_INSERT_JSON_BODY, s, out);
    insert_end(&i, HOOK_INSERT_JSON_BODY, out);
    buf_byte(out, '"');
}

static void put_key(struct buf *out, const char *key)
{
    if (out->ptr[out->len - 1] != '{') {
        buf_byte(out, ',');
    }
    buf_byte(out, '"');
    buf_put(out, str_of(key));
    buf_put(out, STR("\":"));
}

static void put_member(struct buf *out, const char *key, struct str text)
{
    put_key(out, key);
    put_text(out, text);
}

static void put_member_if(struct buf *out, const char *key, struct str text)
{
    if (text.len > 0) {
        put_member(out, key, text);
    }
}

/* The key is there whether the value is known or not. */
static void put_member_or_null(struct buf *out, const char *key, struct str text)
{
    put_key(out, key);
    if (text.len > 0) {
        put_text(out, text);
    } else {
        buf_put(out, STR("null"));
    }
}

static void put_number(struct buf *out, const char *key, uint64_t n)
{
    put_key(out, key);
    buf_printf(out, "%llu", (unsigned long long)n);
}

static void put_object(struct buf *out, const char *key)
{
    put_key(out, key);
    buf_byte(out, '{');
}

static void put_client(const struct hook_view *v, struct buf *out)
{
    char ip[ADDR_BYTES];
    struct str ptr = v->client.ptr;

    if (str_ends(ptr, STR("."))) {
        ptr.len--;
    }
    if (v->stage < HOOK_AUTH) {
        ptr = STR_EMPTY; /* whatever we know already: scanners count on null here */
    }
    put_object(out, "client");
    put_member(out, "ip", addr_print_ip(&v->client.addr, ip));
    put_number(out, "port", v->client.addr.port);
    put_member_or_null(out, "ptr", ptr);
    put_member_or_null(out, "helo", v->client.helo);
    put_number(out, "activeConnections", v->client.connections);
    buf_byte(out, '}');
}

static void put_tls(const struct hook_tls *t, bool is_least, struct buf *out)
{
    put_object(out, "tls");
    put_member(out, "version", t->version);
    put_member(out, "cipher", t->cipher);
    if (!is_least) {
        if (t->bits > 0) {
            put_number(out, "cipherBits", t->bits);
        }
        put_member_if(out, "certIssuer", t->cert_issuer);
        put_member_if(out, "certSubject", t->cert_subject);
    }
    buf_byte(out, '}');
}

static void put_context(const struct hook_view *v, bool is_least, struct buf *out)
{
    char ip[ADDR_BYTES];

    put_object(out, "context");
    put_member(out, "stage", hook_stage_name(v->stage));
    put_client(v, out);
    if (v->login.len > 0) {
        put_object(out, "sasl");
        put_member(out, "login", v->login);
        put_member_if(out, "method", is_least ? STR_EMPTY : v->login_method);
        buf_byte(out, '}');
    }
    if (v->tls.active) {
        put_tls(&v->tls, is_least, out);
    }
    put_object(out, "server");
    put_member(out, "name", STR("Postyard " POSTYARD_VERSION));
    put_number(out, "port", v->server.port);
    put_member_or_null(out, "ip", addr_print_ip(&v->server, ip));
    buf_byte(out, '}');
    if (v->stage == HOOK_DATA && v->queue_id != 0) {
        put_object(out, "queue");
        put_key(out, "id");
        buf_printf(out, "\"%llx\"}", (unsigned long long)v->queue_id);
    }
    put_object(out, "protocol");
    put_number(out, "version", 1);
    buf_put(out, STR("}}"));
}

struct str classic_address(struct str address, struct arena *a)
{
    struct str domain = address_domain(address), ascii;
    struct buf out BUF_LOCAL = {0};
    size_t before = address.len - domain.len;

    buf_put(&out, str_head(address, before));
    buf_put(&out, !str_is_ascii(domain) && idn_to_ascii(domain, a, &ascii) ? ascii : domain);
    for (size_t i = 0; i < out.len; i++) {
        out.ptr[i] = byte_lower(out.ptr[i]);
    }
    return arena_dup(a, buf_str(&out));
}

static void put_address(struct str address, const struct hook_params *params, struct arena *a,
                        struct buf *out)
{
    buf_byte(out, '{');
    put_member(out, "address", classic_address(address, a));
    if (params->count > 0) {
        put_object(out, "parameters");
        for (uint32_t i = 0; i < params->count; i++) {
            const struct hook_param *p = &params->items[i];

            put_member(out, arena_z(a, p->key), p->has_value ? p->value : STR_EMPTY);
        }
        buf_byte(out, '}');
    }
    buf_byte(out, '}');
}

static void put_envelope(const struct hook_view *v, bool is_least, struct arena *a, struct buf *out)
{
    static const struct hook_params none = {0};

    put_object(out, "envelope");
    put_key(out, "from");
    put_address(v->sender, is_least ? &none : &v->sender_params, a, out);
    put_key(out, "to");
    buf_byte(out, '[');
    for (uint32_t i = 0; i < v->to_count; i++) {
        if (i > 0) {
            buf_byte(out, ',');
        }
        put_address(v->to[i].address, is_least ? &none : &v->to[i].params, a, out);
    }
    buf_put(out, STR("]}"));
}

/* Values keep their folds and end in CR LF: scanners trim them. */
static void put_header(const struct hook_field *f, struct buf *out)
{
    struct inserter i = {0};

    buf_byte(out, '[');
    put_text(out, f->name);
    buf_put(out, STR(",\""));
    insert_add(&i, HOOK_INSERT_JSON_BODY, f->value, out);
    insert_add(&i, HOOK_INSERT_JSON_BODY, STR("\r\n"), out);
    insert_end(&i, HOOK_INSERT_JSON_BODY, out);
    buf_put(out, STR("\"]"));
}

static void put_message(const struct hook_view *v, struct buf *out)
{
    put_object(out, "message");
    put_key(out, "headers");
    buf_byte(out, '[');
    for (uint32_t i = 0; i < v->field_count; i++) {
        if (i > 0) {
            buf_byte(out, ',');
        }
        put_header(&v->fields[i], out);
    }
    buf_byte(out, ']');
    put_key(out, "contents");
    buf_byte(out, '"');
}

static void classic_encode(const struct hook_view *v, const struct hook_terms *terms,
                           struct arena *a, struct hook_request *ret)
{
    struct buf *out = &ret->before;

    must_not(hook_stage_is_outbound(v->stage));
    *ret = (struct hook_request){.content_type = "application/json"};
    buf_byte(out, '{');
    put_context(v, terms->as_stalwart, out);
    if (v->has_sender) {
        put_envelope(v, terms->as_stalwart, a, out);
    }
    if (v->stage == HOOK_DATA && v->has_message) {
        put_message(v, out);
        ret->insert = HOOK_INSERT_JSON_BODY;
        buf_printf(&ret->after, "\",\"size\":%llu}}", (unsigned long long)v->message_bytes);
    } else {
        buf_byte(out, '}');
    }
}

/* ---- what is answered ---- */

enum { NODES_MAX = 100000, DEPTH_MAX = 128, KEY_BYTES_MAX = 1024 };

static const struct {
    struct str word;
    enum hook_action action;
} actions[] = {
    {STR_INIT("accept"), HOOK_ACCEPT},
    {STR_INIT("discard"), HOOK_DISCARD},
    {STR_INIT("reject"), HOOK_REJECT},
    {STR_INIT("quarantine"), HOOK_QUARANTINE},
};

static bool read_action(const struct doc *d, enum hook_action *ret)
{
    for (size_t i = 0; d != NULL && d->kind == DOC_TEXT && i < COUNT_OF(actions); i++) {
        if (str_eq(d->text, actions[i].word)) {
            *ret = actions[i].action;
            return true;
        }
    }
    return false;
}

static bool is_given(const struct doc *d)
{
    return d != NULL && d->kind != DOC_NULL;
}

/* "5.7.1"; anything else has class 0. */
static struct enhanced read_enhanced(struct str text)
{
    struct str class, subject;
    uint64_t c, s, d;

    if (str_cut(&text, '.', &class) && str_cut(&text, '.', &subject) && str_to_u64(class, &c) &&
        str_to_u64(subject, &s) && str_to_u64(text, &d) && c <= 5 && s <= 999 && d <= 999) {
        return (struct enhanced){(uint8_t)c, (uint16_t)s, (uint16_t)d};
    }
    return (struct enhanced){0};
}

static const char *read_response(const struct doc *d, struct arena *a, struct hook_outcome *ret)
{
    const struct doc *status = doc_get(d, "status"), *text = doc_get(d, "message");
    const struct doc *esc = doc_get(d, "enhanced_status"), *alias = doc_get(d, "enhancedStatus");
    const struct doc *disconnect = doc_get(d, "disconnect");

    if (d->kind != DOC_OBJECT) {
        return "response is not an object";
    }
    if (is_given(status) &&
        (status->kind != DOC_INT || status->number < 0 || status->number > UINT16_MAX)) {
        return "response.status is not a number of a reply";
    }
    if ((is_given(text) && text->kind != DOC_TEXT) || (is_given(esc) && esc->kind != DOC_TEXT)) {
        return "response.message or response.enhanced_status is not a text";
    }
    if (disconnect != NULL && disconnect->kind != DOC_BOOL) {
        return "response.disconnect is not true or false";
    }
    ret->disconnect = disconnect != NULL && disconnect->yes;
    if (ret->action == HOOK_ACCEPT) {
        return NULL;
    }
    if (is_given(status) && is_given(text)) {
        ret->reply.code = (uint16_t)status->number;
        ret->reply.text = text->text;
        if (status->number == 0) {
            hook_note(ret, a, "a reply of 0 does not go with anything: it is left out");
        }
    } else if (is_given(status) || is_given(text)) {
        hook_note(ret, a, "a reply needs both status and message: it is left out");
    }
    esc = is_given(esc) ? esc : alias;
    if (is_given(esc) && esc->kind == DOC_TEXT) {
        ret->reply.esc = read_enhanced(esc->text);
        if (ret->reply.esc.class == 0) {
            hook_note(ret, a, "response.enhanced_status is none: it is left out");
        }
    }
    return NULL;
}

/* The modifications of an answer that lets the message in, behind those of the answers before. */
static void keep(const struct hook_pending *own, bool quarantine, struct arena *a,
                 struct hook_pending *pending)
{
    struct hook_modification *all;
    uint32_t count;

    must_not(__builtin_add_overflow(pending->count, own->count + 1, &count));
    all = arena_array(a, count, sizeof(*all));
    if (pending->count > 0) {
        memcpy(all, pending->items, pending->count * sizeof(*all));
    }
    for (uint32_t i = 0; i < own->count; i++) {
        own->items[i].answer = pending->answers;
        all[pending->count + i] = own->items[i];
    }
    pending->count += own->count;
    if (quarantine) {
        all[pending->count++] = (struct hook_modification){.type = CLASSIC_QUARANTINE,
                                                           .answer = pending->answers,
                                                           .name = STR("X-Quarantine"),
                                                           .value = STR("true")};
    }
    pending->items = all;
    pending->size = count;
}

static const struct hook_reply rejection = {503, {5, 5, 3}, STR_INIT("Message rejected.")};

static struct err malformed(struct buf *why, const char *what)
{
    buf_put(why, str_of(what));
    return err_of(ERR_PROTOCOL);
}

/* What it says about queueing; a member that the operator has not allowed is one of those that we
 * do not know. */
static bool read_policy(const struct doc *root, const struct hook_terms *terms, bool counts,
                        struct arena *a, struct hook_outcome *ret)
{
    const struct doc *policy = doc_get(root, "policy");

    if (!is_given(policy) || !terms->has_extensions) {
        return true;
    }
    if (!counts) {
        hook_aside(ret, a, "policy counts only at data, and when the message is let in");
        return true;
    }
    return hook_policy_read(policy, a, ret);
}

static struct err read_answer(const struct doc *root, const struct hook_view *view,
                              const struct hook_terms *terms, struct hook_pending *pending,
                              struct arena *a, struct hook_outcome *ret, struct buf *why)
{
    const struct doc *response = doc_get(root, "response"), *list = doc_get(root, "modifications");
    struct hook_pending own = {0};
    const char *wrong = NULL;
    bool lets_in;

    if (root->kind != DOC_OBJECT) {
        return malformed(why, "the answer is not an object");
    }
    if (!read_action(doc_get(root, "action"), &ret->action)) {
        return malformed(why, "action is not accept, discard, reject or quarantine");
    }
    if (is_given(response) && (wrong = read_response(response, a, ret)) != NULL) {
        return malformed(why, wrong);
    }
    if (list != NULL && !classic_modifications_read(list, a, &own, why)) {
        return err_of(ERR_PROTOCOL);
    }
    hook_reply_check(ret, view, a);
    if (ret->action == HOOK_REJECT && ret->reply.code == 0) {
        ret->reply = rejection;
    }
    lets_in = ret->action == HOOK_ACCEPT || ret->action == HOOK_QUARANTINE;
    if (own.count > 0 && (view->stage != HOOK_DATA || !lets_in)) {
        hook_aside(ret, a, "modifications count only at data, and when the message is let in");
        own.count = 0;
    }
    if (!classic_modifications_check(&own, view, a, why)) {
        return err_of(ERR_PROTOCOL);
    }
    if (!read_policy(root, terms, view->stage == HOOK_DATA && lets_in, a, ret)) {
        return malformed(why, "policy is not an object");
    }
    if (view->stage == HOOK_DATA && lets_in) {
        keep(&own, ret->action == HOOK_QUARANTINE, a, pending);
    }
    return ERR_OK;
}

static struct err classic_decode(const struct hook_answer *answer, const struct hook_view *view,
                                 const struct hook_terms *terms, struct hook_pending *pending,
                                 struct arena *a, struct hook_outcome *ret, struct buf *why)
{
    const struct doc_limits limits = {.bytes_max = terms->answer_bytes_max,
                                      .nodes_max = NODES_MAX,
                                      .depth_max = DEPTH_MAX,
                                      .key_bytes_max = KEY_BYTES_MAX};
    struct doc root;
    struct err e;

    *ret = (struct hook_outcome){.action = HOOK_ACCEPT, .reply = {.text = STR_EMPTY}};
    pending->answers++;
    if (answer->body.len == 0) {
        return ERR_OK;
    }
    e = doc_read_json(answer->body, &limits, a, &root, why);
    if (e.code != OK) {
        return err_of(ERR_PROTOCOL);
    }
    return read_answer(&root, view, terms, pending, a, ret, why);
}

const struct hook_dialect hook_classic = {.name = "classic",
                                          .is_collected = true,
                                          .encode = classic_encode,
                                          .decode = classic_decode,
                                          .finish = classic_finish};
