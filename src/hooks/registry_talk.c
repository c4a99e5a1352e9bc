#include "hooks/reference.h"
#include "hooks/registry_part.h"
#include "runtime/clock.h"

enum { FIELDS_MAX = 4, RETRY_S_MAX = REGISTRY_BACKOFF_MS_MAX / 1000 };

struct talk {
    struct registry *r;
    struct arena *a;
    struct buf *why;
    struct fetch_answer answer;
};

/* One exchange; `id`: a registration it is about. */
static struct err exchange(struct talk *t, struct str method, const struct fetch_target *target,
                           struct str body, struct str id, struct when by)
{
    struct registry *r = t->r;
    struct fetch_field *fields = arena_array(t->a, r->o.field_count + FIELDS_MAX, sizeof(*fields));
    struct str type = r->o.offer.is_cbor ? STR("application/cbor") : STR("application/json");
    bool has_credentials = !str_ends(target->path, STR("/.well-known/mta-hooks"));
    struct fetch_request request = {.method = method,
                                    .target = target,
                                    .fields = fields,
                                    .body = body,
                                    .response_max = REGISTRY_BYTES_MAX};
    size_t n = 0;

    fields[n++] = (struct fetch_field){STR("Accept"), type};
    if (body.len > 0) {
        fields[n++] = (struct fetch_field){STR("Content-Type"), type};
    }
    if (id.len > 0) {
        fields[n++] = (struct fetch_field){STR("X-MTA-Hooks-Registration"), id};
    }
    for (size_t i = 0; has_credentials && i < r->o.field_count; i++) {
        fields[n++] = r->o.fields[i];
    }
    request.field_count = n;
    return fetch(r->pool, &request, t->a, &t->answer, t->why, when_within(by, r->o.timeout_ms));
}

static bool parse_near(struct registry *r, struct str url, struct arena *a,
                       struct fetch_target *ret)
{
    struct buf why BUF_LOCAL = {0};

    return fetch_target_parse(url, a, ret, &why).code == OK &&
           fetch_target_is_near(&r->target, ret);
}

static enum registry_result failed(struct err e)
{
    return e.code == ERR_CANCELLED ? REGISTRY_CANCELLED : REGISTRY_MAY_PASS;
}

/* A status that is not the one wished for. */
static enum registry_result refused(struct talk *t, const char *what, int64_t *retry_ms)
{
    int status = t->answer.status;
    struct str code = registry_error_code(t->answer.content_type, t->answer.body, t->a);
    uint64_t retry_s;

    buf_clear(t->why);
    buf_printf(t->why, "%s: status %d%s%.*s", what, status, code.len > 0 ? " " : "", STR_ARG(code));
    if (status == 429 || status >= 500) {
        if (str_to_u64(t->answer.retry_after, &retry_s)) {
            *retry_ms = (int64_t)(retry_s < RETRY_S_MAX ? retry_s : RETRY_S_MAX) * 1000;
        }
        return REGISTRY_MAY_PASS;
    }
    return REGISTRY_REFUSED;
}

static enum registry_result discover(struct talk *t, struct registry_discovery *ret,
                                     int64_t *retry_ms, struct when by)
{
    struct registry *r = t->r;
    struct fetch_target target;
    struct buf text BUF_LOCAL = {0};
    struct err e;

    buf_put(&text, r->target.origin);
    buf_put(&text, STR("/.well-known/mta-hooks"));
    if (!parse_near(r, buf_str(&text), t->a, &target)) {
        buf_put(t->why, STR("discovery: its address is none"));
        return REGISTRY_REFUSED;
    }
    e = exchange(t, STR("GET"), &target, STR_EMPTY, STR_EMPTY, by);
    if (e.code) {
        return failed(e);
    }
    if (t->answer.status != 200) {
        return refused(t, "discovery", retry_ms);
    }
    buf_put(t->why, STR("discovery: "));
    e = registry_read_discovery(t->answer.content_type, t->answer.body, str_of(target.url), t->a,
                                ret, t->why);
    return e.code ? REGISTRY_REFUSED : REGISTRY_OK;
}

/* "/mh/reg/{registration_id}" */
static struct str fill_template(struct registry *r, struct str text, struct str id, struct str url,
                                struct arena *a)
{
    size_t at = str_find_str(text, STR("{registration_id}"));
    struct buf filled BUF_LOCAL = {0};
    struct fetch_target target;
    struct str ret;

    if (at == STR_NONE) {
        return STR_EMPTY;
    }
    buf_put(&filled, str_head(text, at));
    buf_put(&filled, id);
    buf_put(&filled, str_skip(text, at + strlen("{registration_id}")));
    return reference_resolve(url, buf_str(&filled), a, &ret) && parse_near(r, ret, a, &target)
               ? ret
               : STR_EMPTY;
}

static enum registry_result enroll(struct talk *t, const struct registry_offer *offer,
                                   struct str url, struct registry_news *ret, struct when by)
{
    struct buf body BUF_LOCAL = {0};
    struct fetch_target target;
    struct err e;

    if (!parse_near(t->r, url, t->a, &target)) {
        buf_put(t->why, STR("registration: its address is none"));
        return REGISTRY_REFUSED;
    }
    registry_write_offer(offer, t->a, &body);
    e = exchange(t, STR("POST"), &target, buf_str(&body), STR_EMPTY, by);
    if (e.code) {
        return failed(e);
    }
    if (t->answer.status / 100 != 2) {
        return refused(t, "registration", &ret->retry_ms);
    }
    buf_clear(t->why);
    buf_put(t->why, STR("registration: "));
    e = registry_read_grant(t->answer.status, t->answer.content_type, t->answer.body, offer,
                            str_of(target.url), clock_date(), t->a, &ret->pass.grant, t->why);
    return e.code ? REGISTRY_REFUSED : REGISTRY_OK;
}

enum registry_result registry_ask(struct registry *r, struct arena *a, struct registry_news *ret,
                                  struct buf *why, struct when by)
{
    struct talk t = {.r = r, .a = a, .why = why};
    struct registry_offer offer = r->o.offer;
    struct registry_discovery found = {0};
    struct str url = r->o.url;
    enum registry_result result = REGISTRY_OK;

    *ret = (struct registry_news){0};
    if (r->o.discovers) {
        result = discover(&t, &found, &ret->retry_ms, by);
        if (result == REGISTRY_OK && registry_narrow(&found, &offer, a, why).code) {
            result = REGISTRY_REFUSED;
        }
        url = found.registration;
        ret->pass.has_updates = true;
        ret->pass.message_bytes_max = found.message_bytes_max;
        for (int n = 0; n < REGISTRY_DIRECTIONS; n++) {
            ret->pass.updates[n] = found.sides[n].updates;
        }
    }
    if (result == REGISTRY_OK) {
        buf_clear(why);
        result = enroll(&t, &offer, url, ret, by);
    }
    if (result == REGISTRY_OK) {
        buf_clear(why);
        ret->deregistration = ret->pass.grant.deregistration;
        if (ret->deregistration.len == 0) {
            ret->deregistration = fill_template(r, found.deregistration, ret->pass.grant.id, url,
                                                a);
        }
    }
    return result;
}

enum registry_result registry_poll(struct registry *r, enum registry_status *ret, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct talk t = {.r = r, .a = &a, .why = &why};
    struct str id = r->pass.grant.id;
    struct fetch_target target;
    struct date expires;
    struct err e;

    if (!parse_near(r, r->pass.grant.status, &a, &target)) {
        return REGISTRY_MAY_PASS;
    }
    e = exchange(&t, STR("GET"), &target, STR_EMPTY, id, by);
    if (e.code) {
        return failed(e);
    }
    if (t.answer.status == 404 || t.answer.status == 410) {
        *ret = REGISTRY_DEREGISTERED;
        return REGISTRY_OK;
    }
    return t.answer.status == 200 && registry_read_status(t.answer.content_type, t.answer.body, id,
                                                          &a, ret, &expires, &why)
                                             .code == OK
               ? REGISTRY_OK
               : REGISTRY_MAY_PASS;
}

bool registry_give_back(struct registry *r, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct talk t = {.r = r, .a = &a, .why = &why};
    struct fetch_target target;

    if (!parse_near(r, r->deregistration, &a, &target) ||
        exchange(&t, STR("DELETE"), &target, STR_EMPTY, r->pass.grant.id, by).code) {
        return false;
    }
    return t.answer.status / 100 == 2 || t.answer.status == 404 || t.answer.status == 410;
}
