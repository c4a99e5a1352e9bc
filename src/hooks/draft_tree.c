#include "base/check.h"
#include "hooks/draft.h"
#include "hooks/policy.h"
#include "mail/utf8.h"

static void put(struct doc *to, struct arena *a, const char *key, struct doc value)
{
    doc_put(to, a, str_of(key), value);
}

static struct doc text(struct arena *a, struct str s)
{
    return doc_text(utf8_clean(a, s));
}

/* Empty: unknown, and left out. */
static void put_text(struct doc *to, struct arena *a, const char *key, struct str s)
{
    if (s.len > 0) {
        put(to, a, key, text(a, s));
    }
}

static struct doc date(struct arena *a, struct date when)
{
    char at[DATE_ISO_BYTES];

    return when.ms == 0 || date_is_never(when) ? doc_null()
                                               : doc_text(arena_dup(a, date_iso(when, at)));
}

static struct doc ip(struct arena *a, const struct addr *addr)
{
    char at[ADDR_BYTES];

    return doc_text(arena_dup(a, addr_print_ip(addr, at)));
}

/* Properties: one function each. */

static struct doc make_stage(const struct hook_view *view, struct arena *a)
{
    (void)a;
    return doc_text(hook_stage_name(view->stage));
}

static struct doc make_action(const struct hook_view *view, struct arena *a)
{
    (void)a;
    return doc_text(hook_action_name(view->action));
}

static struct doc make_timestamp(const struct hook_view *view, struct arena *a)
{
    char at[DATE_ISO_BYTES];

    return doc_text(arena_dup(a, date_iso(view->at, at)));
}

static struct doc make_protocol(const struct hook_view *view, struct arena *a)
{
    struct doc d = doc_object();

    (void)view;
    put(&d, a, "version", doc_text(STR("1.0")));
    return d;
}

static struct doc make_queue(const struct hook_view *view, struct arena *a)
{
    struct buf id BUF_LOCAL = {0};
    struct doc d = doc_object();

    if (view->queue_id == 0) {
        return doc_null();
    }
    buf_hex16(&id, view->queue_id);
    put(&d, a, "id", doc_text(arena_dup(a, buf_str(&id))));
    if (hook_stage_is_outbound(view->stage)) {
        put(&d, a, "expiresAt", date(a, view->expires));
        put(&d, a, "attempts", doc_int(view->attempts));
    }
    return d;
}

static struct doc make_server(const struct hook_view *view, struct arena *a)
{
    struct doc d = doc_object();

    put(&d, a, "name", text(a, view->server_name));
    if (view->server.family != 0) {
        put(&d, a, "ip", ip(a, &view->server));
        put(&d, a, "port", doc_int(view->server.port));
    }
    return d;
}

static struct doc make_params(const struct hook_params *params, struct arena *a)
{
    struct doc d = doc_object();

    for (uint32_t i = 0; i < params->count; i++) {
        const struct hook_param *p = &params->items[i];

        doc_put(&d, a, utf8_clean(a, p->key), text(a, p->has_value ? p->value : STR_EMPTY));
    }
    return d;
}

static struct doc make_reply(const struct hook_reply *reply, struct arena *a)
{
    struct doc d = doc_object();

    if (reply->code == 0) {
        return doc_null();
    }
    put(&d, a, "code", doc_int(reply->code));
    if (reply->esc.class != 0) {
        put(&d, a, "enhancedCode",
            doc_text(arena_printf(a, "%u.%u.%u", reply->esc.class, reply->esc.subject,
                                  reply->esc.detail)));
    }
    put(&d, a, "message", text(a, reply->text));
    return d;
}

static struct doc make_rcpt(const struct hook_view *view, const struct hook_rcpt *r,
                            struct arena *a)
{
    struct doc d = doc_object();

    put(&d, a, "address", text(a, r->address));
    put(&d, a, "parameters", make_params(&r->params, a));
    if (hook_stage_is_outbound(view->stage)) {
        put(&d, a, "status", doc_text(draft_status_name(r->status)));
        put(&d, a, "attempt", doc_int(r->attempt));
        put(&d, a, "lastResponse", make_reply(&r->last, a));
        put(&d, a, "nextAttemptAt", date(a, r->next_attempt));
        put(&d, a, "nextDsnAt", date(a, r->next_notice));
        put(&d, a, "queueName", r->queue.len > 0 ? text(a, r->queue) : doc_null());
    }
    return d;
}

static struct doc make_envelope(const struct hook_view *view, struct arena *a)
{
    struct doc d = doc_object(), from = doc_object(), to = doc_list();

    if (!view->has_sender) {
        return doc_null();
    }
    put(&from, a, "address", view->sender.len > 0 ? text(a, view->sender) : doc_null());
    put(&from, a, "parameters", make_params(&view->sender_params, a));
    doc_reserve(&to, a, view->to_count);
    for (uint32_t i = 0; i < view->to_count; i++) {
        struct doc rcpt = make_rcpt(view, &view->to[i], a);

        rcpt.tag = i + 1;
        doc_insert(&to, a, i, rcpt);
    }
    put(&d, a, "from", from);
    put(&d, a, "to", to);
    return d;
}

static struct doc make_headers(const struct hook_view *view, struct arena *a)
{
    struct doc list = doc_list();

    doc_reserve(&list, a, view->field_count);
    for (uint32_t i = 0; i < view->field_count; i++) {
        struct doc d = doc_object();

        put(&d, a, "name", text(a, view->fields[i].name));
        put(&d, a, "value", text(a, view->fields[i].value));
        d.tag = i + 1;
        doc_insert(&list, a, i, d);
    }
    return list;
}

static struct doc make_message(const struct hook_view *view, struct arena *a)
{
    struct doc d = doc_object();

    if (!view->has_message) {
        return doc_null();
    }
    put(&d, a, "size", doc_int((int64_t)view->message_bytes));
    return d;
}

static struct doc make_response(const struct hook_view *view, struct arena *a)
{
    return make_reply(&view->reply, a);
}

static struct doc make_client(const struct hook_view *view, struct arena *a)
{
    const struct hook_client *c = &view->client;
    struct doc d = doc_object();

    if (c->addr.family == 0) {
        return doc_null();
    }
    put(&d, a, "ip", ip(a, &c->addr));
    put(&d, a, "port", doc_int(c->addr.port));
    put_text(&d, a, "ptr", c->ptr);
    put(&d, a, "ehlo", c->helo.len > 0 ? text(a, c->helo) : doc_null());
    if (c->connections > 0) {
        put(&d, a, "activeConnections", doc_int(c->connections));
    }
    return d;
}

static struct doc make_tls(const struct hook_view *view, struct arena *a)
{
    const struct hook_tls *tls = &view->tls;
    struct doc d = doc_object();

    if (!tls->active) {
        return doc_null();
    }
    put(&d, a, "version", text(a, tls->version));
    put(&d, a, "cipher", text(a, tls->cipher));
    if (tls->bits > 0) {
        put(&d, a, "cipherBits", doc_int(tls->bits));
    }
    put_text(&d, a, "certIssuer", tls->cert_issuer);
    put_text(&d, a, "certSubject", tls->cert_subject);
    return d;
}

static struct doc make_auth(const struct hook_view *view, struct arena *a)
{
    struct doc d = doc_object();

    if (view->login.len == 0) {
        return doc_null();
    }
    put(&d, a, "login", text(a, view->login));
    put(&d, a, "method", text(a, view->login_method));
    return d;
}

/* Nobody checks SPF and its like here yet; the member exists and is null. */
static struct doc make_sender_auth(const struct hook_view *view, struct arena *a)
{
    (void)view;
    (void)a;
    return doc_null();
}

/* Extensions, by their namespaces: ours tells what filters have said about queueing. */
static struct doc make_ext(const struct hook_view *view, struct arena *a)
{
    struct doc d = doc_object();

    if (view->stage == HOOK_DATA) {
        put(&d, a, POLICY_NAMESPACE, hook_policy_tree(view, a));
    }
    return d;
}

static const struct property {
    const char *name;
    bool is_inbound_only;
    struct doc (*make)(const struct hook_view *view, struct arena *a);
} properties[] = {
    {"stage", false, make_stage},
    {"action", false, make_action},
    {"timestamp", false, make_timestamp},
    {"protocol", false, make_protocol},
    {"queue", false, make_queue},
    {"server", false, make_server},
    {"envelope", false, make_envelope},
    {"message", false, make_message},
    {"response", true, make_response},
    {"client", true, make_client},
    {"tls", true, make_tls},
    {"auth", true, make_auth},
    {"senderAuth", true, make_sender_auth},
    {"ext", true, make_ext},
};

void draft_tree(const struct hook_view *view, bool parsed, const struct draft_wanted *w,
                struct arena *a, struct doc *ret)
{
    bool is_outbound = hook_stage_is_outbound(view->stage);
    struct doc *message;

    *ret = doc_object();
    doc_reserve(ret, a, COUNT_OF(properties) + 2); /* what others put there: rawMessage, ext */
    for (size_t i = 0; i < COUNT_OF(properties); i++) {
        const struct property *p = &properties[i];

        if (!(p->is_inbound_only && is_outbound) &&
            (w == NULL || draft_touches(w, p->name, NULL))) {
            put(ret, a, p->name, p->make(view, a));
        }
    }
    message = doc_get(ret, "message");
    if (message == NULL || message->kind != DOC_OBJECT) {
        return;
    }
    if (w == NULL || draft_touches(w, "message", "headers")) {
        put(message, a, "headers", make_headers(view, a));
    }
    if (parsed) {
        draft_put_message(message, view, a);
    }
}

void draft_put_headers(struct buf *out, const struct hook_view *view)
{
    for (uint32_t i = 0; i < view->field_count; i++) {
        const struct hook_field *f = &view->fields[i];

        if (f->whole.len > 0) {
            buf_put(out, f->whole);
        } else {
            buf_put(out, f->name);
            buf_byte(out, ':');
            buf_put(out, f->value);
            buf_put(out, STR("\r\n"));
        }
    }
    if (!view->no_separator) {
        buf_put(out, STR("\r\n"));
    }
}
