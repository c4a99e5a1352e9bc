/*
 * A call of a draft hook: under a registration, with an id of its own that stays over retries.
 *
 *   1. A registration is entered; there may be none, and then there is no call.
 *   2. The request is written once. What is sent again is the same bytes under the same id; after a
 *      new registration it is written anew only where other properties were confirmed.
 *   3. A registration that the scanner does not know any more is got again once; what it agrees on
 *      is looked at as at first: the stage, and how large a message may be.
 *   4. All of it has one deadline.
 */
#include "base/check.h"
#include "base/version.h"
#include "config/config.h"
#include "doc/doc.h"
#include "hooks/call_part.h"
#include "hooks/draft.h"
#include "hooks/draft_filter.h"
#include "hooks/retry.h"
#include "hooks/settings_part.h"
#include "mime/mime.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"

enum { ANSWER_BYTES = 1024 * 1024, FIELDS_MAX = 4 };

/* ---- compiling ---- */

static struct str_set set_of(const struct str_list *list, bool (*has)(struct str pointer),
                             struct arena *a)
{
    struct str *items = arena_array(a, list->count, sizeof(*items));
    uint32_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (has == NULL || has(list->items[i])) {
            items[count++] = list->items[i];
        }
    }
    return (struct str_set){items, count};
}

/* A property that outbound stages have too. */
static bool is_outbound(struct str pointer)
{
    for (const char *const *p = draft_properties(true); *p != NULL; p++) {
        if (str_starts(pointer, str_of(*p))) {
            return true;
        }
    }
    return false;
}

static struct str_set allowed(const struct hook_settings *s, struct arena *a)
{
    static const struct str usual[] = {STR_INIT("/action"), STR_INIT("/response")};

    return s->allow.count > 0 ? set_of(&s->allow, NULL, a)
                              : (struct str_set){usual, COUNT_OF(usual)};
}

static void put_list(struct buf *out, const struct str_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        buf_put(out, list->items[i]);
        buf_byte(out, ',');
    }
    buf_byte(out, ';');
}

/* All that a registration was made with, the credentials too: it is never shown. */
static struct str registration_key(const struct hook *h, const struct chain_source *source,
                                   struct arena *a)
{
    const struct hook_settings *s = h->settings;
    struct buf key BUF_LOCAL = {0};

    buf_printf(&key, "%.*s %.*s %d %d %d %lld %.*s ", STR_ARG(h->pool_key), STR_ARG(s->url),
               s->discover, (int)s->format, s->require_all_stages, (long long)s->timeout_ms,
               STR_ARG(source->hostname));
    put_list(&key, &s->stages);
    put_list(&key, &s->properties);
    put_list(&key, &s->headers);
    buf_put(&key, s->disclose_filter ? s->filter : STR_EMPTY);
    for (size_t i = 1; i < h->field_count; i++) {
        buf_put(&key, h->fields[i].value);
        buf_byte(&key, '\n');
    }
    return arena_dup(a, buf_str(&key));
}

static bool may_change_message(const struct hook *h, struct arena *a)
{
    struct pointer p;

    return pointer_parse(STR("/rawMessage"), a, &p) && draft_is_in(&p, &h->allow, a);
}

void hook_compile_draft(struct hook *h, const struct chain_source *source, struct arena *a)
{
    const struct hook_settings *s = h->settings;
    struct registry_options *o = ARENA_NEW(a, struct registry_options);
    struct buf why BUF_LOCAL = {0};
    size_t most = ANSWER_BYTES;

    h->allow = allowed(s, a);
    if (may_change_message(h, a) && source->message_bytes_max < SIZE_MAX / 4) {
        most += (size_t)source->message_bytes_max / 3 * 4 + 4;
    }
    h->response_max = h->response_max < most ? h->response_max : most;
    h->terms.answer_bytes_max = h->response_max;
    h->terms.is_cbor = s->format == FORMAT_CBOR;
    h->terms.may_weaken = s->may_weaken;
    h->terms.strict = s->strict;
    if (s->filter.len > 0) {
        struct doc *filter = ARENA_NEW(a, struct doc);

        if (!hook_read_filter(s->filter, a, filter, &why)) {
            return; /* the table's check has told it */
        }
        h->filter = filter;
    }
    *o = (struct registry_options){
        .name = s->name,
        .key = registration_key(h, source, a),
        .url = s->url,
        .discovers = s->discover,
        .offer = {.name = source->hostname,
                  .version = STR("Postyard " POSTYARD_VERSION),
                  .timeout_ms = (uint32_t)s->timeout_ms,
                  .is_cbor = h->terms.is_cbor,
                  .needs_all_stages = s->require_all_stages,
                  .stages = h->terms.stages & ~(1U << HOOK_AUTH),
                  .properties = {set_of(&s->properties, NULL, a),
                                 set_of(&s->properties, is_outbound, a)},
                  .filter = s->disclose_filter ? h->filter : NULL},
        .fields = h->fields + 1, /* the first is the content's type */
        .field_count = h->field_count - 1,
        .timeout_ms = s->timeout_ms,
    };
    h->registration = o;
}

/* ---- one call ---- */

struct asking {
    const struct hook *hook;
    struct hook_view view;
    struct hook_terms terms;
    struct registry_pass pass;
    struct hook_request request;
    struct fetch_target target;
    struct str id;
    struct hook_call call;
    bool is_due;       /* by the filter, and by the registration entered last */
    bool is_too_large; /* by that registration */
};

/* All of the body, for those who are shown what is in it. */
static struct err load_body(struct asking *k, struct when by)
{
    struct hook_bytes *body = &k->view.body;
    char *all = arena_array(k->call.a, (size_t)body->size + 1, 1);
    struct buf piece BUF_LOCAL = {0};
    size_t have = 0;
    struct str got;

    while (have < body->size) {
        struct err e = body->read(body->ctx, have, &piece, &got, by);

        if (e.code || got.len == 0) {
            buf_put(k->call.why, STR("the message could not be read again"));
            return e.code ? e : err_of(ERR_CORRUPT);
        }
        got = str_head(got, (size_t)body->size - have);
        memcpy(all + have, got.ptr, got.len);
        have += got.len;
        buf_clear(&piece);
    }
    *body = (struct hook_bytes){.size = body->size, .whole = str_make(all, have)};
    return ERR_OK;
}

static bool may_load_body(const struct hook_view *v)
{
    return v->has_message && v->body.read != NULL && v->body.size <= MIME_BYTES_MAX;
}

/* Whether what was agreed on has this stage, and this message in it; then what it needs of it. */
static struct err look_at_terms(struct asking *k, struct when by)
{
    const struct hook_view *v = &k->view;

    k->is_due = (k->pass.grant.stages >> v->stage & 1) != 0;
    if (!k->is_due) {
        return ERR_OK;
    }
    if (v->has_message && k->pass.message_bytes_max > 0 &&
        v->message_bytes > k->pass.message_bytes_max) {
        buf_printf(k->call.why, "the message is larger than the %llu bytes it takes",
                   (unsigned long long)k->pass.message_bytes_max);
        k->is_too_large = true;
        return err_of(ERR_LIMIT);
    }
    return may_load_body(v) && draft_wants_body(&k->terms) ? load_body(k, by) : ERR_OK;
}

static struct err enter(struct asking *k, struct str lost, struct when by)
{
    const struct hook *h = k->hook;
    int n = registry_direction(k->view.stage);
    struct arena *a = k->call.a;
    struct err e = registry_enter(h->registry, lost, a, &k->pass, k->call.why, by);

    if (e.code) {
        return e;
    }
    k->terms = h->terms;
    k->terms.stages = k->pass.grant.stages;
    k->terms.properties = k->pass.grant.properties[n];
    k->terms.updates = k->pass.has_updates ? registry_common(&h->allow, &k->pass.updates[n], a)
                                           : h->allow;
    e = fetch_target_parse(k->pass.grant.hook, a, &k->target, k->call.why);
    return e.code ? err_of(ERR_BUSY) : look_at_terms(k, by);
}

static void write_request(struct asking *k, struct when by)
{
    buf_done(&k->request.before);
    buf_done(&k->request.after);
    hook_encode(&k->call, &k->request, by);
}

static void write_fields(struct asking *k)
{
    const struct hook *h = k->hook;
    struct fetch_field *f = arena_array(k->call.a, h->field_count + FIELDS_MAX, sizeof(*f));
    size_t n = 0;

    f[n++] = (struct fetch_field){STR("Content-Type"), str_of(k->request.content_type)};
    f[n++] = (struct fetch_field){STR("Accept"), str_of(k->request.content_type)};
    f[n++] = (struct fetch_field){STR("X-MTA-Hooks-Registration"), k->pass.grant.id};
    f[n++] = (struct fetch_field){STR("X-MTA-Hooks-Request-Id"), k->id};
    for (size_t i = 1; i < h->field_count; i++) {
        f[n++] = h->fields[i];
    }
    k->call.fields = f;
    k->call.field_count = n;
}

static bool is_same_set(const struct str_set *a, const struct str_set *b)
{
    bool is_same = a->count == b->count;

    for (uint32_t i = 0; is_same && i < a->count; i++) {
        is_same = str_eq(a->items[i], b->items[i]);
    }
    return is_same;
}

static struct err enter_again(struct asking *k, struct when by)
{
    struct str_set before = k->terms.properties;
    struct err e;

    buf_clear(k->call.why);
    e = enter(k, k->pass.grant.id, by);
    if (e.code || !k->is_due) {
        return e;
    }
    if (!is_same_set(&before, &k->terms.properties)) {
        write_request(k, by);
    }
    write_fields(k);
    return ERR_OK;
}

/* Until there is an answer that is none of "later" and "who are you". */
static struct err send(struct asking *k, struct fetch_answer *ret, struct when by)
{
    bool has_entered_again = false;
    unsigned sent = 0;
    int64_t ms;

    for (;;) {
        struct retry_said said;
        struct err e;

        buf_clear(k->call.why);
        e = hook_exchange(&k->call, &k->request, ret, by);
        sent++;
        if (!e.code && (ret->status == 404 || ret->status == 410) && !has_entered_again) {
            has_entered_again = true;
            e = enter_again(k, by);
            if (e.code || !k->is_due) {
                return e;
            }
            continue;
        }
        said = (struct retry_said){e.code, ret->status, ret->retry_after};
        if (!retry_is_due(&said, sent, clock_now(), by, random_u64(), &ms)) {
            return e;
        }
        e = fiber_sleep(when_after(ms), by);
        if (e.code) {
            return e;
        }
    }
}

static struct err failed(struct asking *k, const struct fetch_answer *answer)
{
    struct str code = registry_error_code(answer->content_type, answer->body, k->call.a);

    buf_printf(k->call.why, "it answered with status %d%s%.*s", answer->status,
               code.len > 0 ? " " : "", STR_ARG(code));
    if (answer->status == 401 || answer->status == 403) {
        buf_put(k->call.why, STR(": it does not take our credentials"));
    }
    return err_of(ERR_NETWORK);
}

static struct err ask(struct asking *k, struct hook_outcome *ret, struct when by)
{
    struct fetch_answer answer = {0};
    struct err e;

    write_request(k, by);
    write_fields(k);
    e = send(k, &answer, by);
    if (e.code) {
        /* What is no answer is not a bad one. */
        return e.code == ERR_PROTOCOL ? err_of(ERR_NETWORK) : e;
    }
    if (!k->is_due) {
        return ERR_OK; /* the new registration has not this stage */
    }
    if (answer.status != 200 && answer.status != 204) {
        return failed(k, &answer);
    }
    e = hook_decode(&k->call, &answer, NULL, ret, by);
    if (e.code) {
        buf_printf(k->call.why, " (request %.*s)", STR_ARG(k->id));
    }
    return e;
}

static void match(void *arg)
{
    struct asking *k = arg;

    k->is_due = draft_filter_matches(k->hook->filter, &k->view, k->call.a);
}

/* The filter first, which asks the scanner for nothing; then what was agreed with it. */
static struct err is_asked(struct asking *k, struct when by)
{
    const struct doc *filter = k->hook->filter;
    struct err e = ERR_OK;

    if (filter != NULL && may_load_body(&k->view) && draft_filter_wants_body(filter)) {
        e = load_body(k, by);
    }
    if (!e.code && filter != NULL) {
        hook_work("filter of a hook", hook_bytes_at_hand(&k->view), match, k, by);
        if (!k->is_due) {
            return ERR_OK;
        }
    }
    return e.code ? e : enter(k, STR_EMPTY, by);
}

struct err hook_ask_draft(const struct hook *h, const struct hook_view *view, struct arena *a,
                          struct hook_outcome *ret, struct buf *why, struct when by)
{
    struct asking k = {.hook = h, .view = *view};
    struct err e;

    k.call = (struct hook_call){.hook = h,
                                .view = &k.view,
                                .terms = &k.terms,
                                .target = &k.target,
                                .response_max = h->response_max,
                                .a = a,
                                .why = why};
    k.id = arena_printf(a, "%016llx%016llx", (unsigned long long)random_u64(),
                        (unsigned long long)random_u64());
    *ret = (struct hook_outcome){.action = view->action, .reply = {.text = STR_EMPTY}};
    e = is_asked(&k, by);
    if (!e.code && k.is_due) {
        e = ask(&k, ret, by);
    }
    ret->was_unasked = k.is_too_large;
    buf_done(&k.request.before);
    buf_done(&k.request.after);
    return e;
}
