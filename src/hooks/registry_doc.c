#include "hooks/registry_doc.h"

#include "base/check.h"
#include "doc/pointer.h"
#include "hooks/draft.h"
#include "hooks/reference.h"
#include "http/target.h"

static const struct doc_limits limits = {REGISTRY_BYTES_MAX, 5000, 16, 256, false};

static const struct {
    const char *name;
    unsigned stages;
} sides[REGISTRY_DIRECTIONS] = {
    [REGISTRY_INBOUND] = {"inbound", (1u << HOOK_ROUTE) - 1},
    [REGISTRY_OUTBOUND] = {"outbound", ~((1u << HOOK_ROUTE) - 1)},
};

static struct err wrong(struct buf *why, const char *what)
{
    buf_put(why, str_of(what));
    return err_of(ERR_PROTOCOL);
}

static struct err read_doc(struct str content_type, struct str bytes, struct arena *a,
                           struct doc *ret, struct buf *why)
{
    struct str rest = content_type, type;
    struct err e;

    str_cut(&rest, ';', &type);
    type = str_trim(type);
    if (str_eq_nocase(type, STR("application/json"))) {
        e = doc_read_json(bytes, &limits, a, ret, why);
    } else if (str_eq_nocase(type, STR("application/cbor"))) {
        e = doc_read_cbor(bytes, &limits, a, ret, why);
    } else {
        return wrong(why, "its type is neither JSON nor CBOR");
    }
    if (e.code) {
        return err_of(ERR_PROTOCOL);
    }
    return ret->kind == DOC_OBJECT ? ERR_OK : wrong(why, "it is no object");
}

static bool is_null(const struct doc *d)
{
    return d == NULL || d->kind == DOC_NULL;
}

static struct str get_text(const struct doc *d, const char *key)
{
    const struct doc *value = doc_get(d, key);

    return value != NULL && value->kind == DOC_TEXT ? value->text : STR_EMPTY;
}

/* A list of texts; null counts as an empty one. */
static bool get_texts(const struct doc *d, const char *key, struct arena *a, struct str_set *ret)
{
    const struct doc *list = doc_get(d, key);
    struct str *items;

    *ret = (struct str_set){0};
    if (is_null(list)) {
        return true;
    }
    if (list->kind != DOC_LIST) {
        return false;
    }
    items = arena_array(a, list->count, sizeof(*items));
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->members[i].value.kind != DOC_TEXT) {
            return false;
        }
        items[i] = list->members[i].value.text;
    }
    *ret = (struct str_set){items, list->count};
    return true;
}

/* Stages nobody here knows are left out, as a later revision may have more. */
static bool get_stages(const struct doc *d, int side, struct arena *a, unsigned *ret)
{
    struct str_set names;
    enum hook_stage stage;

    *ret = 0;
    if (!get_texts(d, "stages", a, &names)) {
        return false;
    }
    for (uint32_t i = 0; i < names.count; i++) {
        if (hook_stage_find(names.items[i], &stage)) {
            *ret |= 1u << stage & sides[side].stages;
        }
    }
    return true;
}

/* An address named by a document, of the same origin as where that came from. */
static bool get_near(struct str text, struct str url, struct arena *a, struct str *ret)
{
    struct buf why BUF_LOCAL = {0};
    struct fetch_target base, target;

    return text.len > 0 && reference_resolve(url, text, a, ret) &&
           fetch_target_parse(url, a, &base, &why).code == OK &&
           fetch_target_parse(*ret, a, &target, &why).code == OK &&
           fetch_target_is_near(&base, &target);
}

/* Discovery. */

static bool read_limits(const struct doc *d, struct registry_discovery *ret)
{
    const struct doc *bytes = doc_get(d, "maxMessageSize"), *time = doc_get(d, "timeoutMs");

    if (!is_null(bytes)) {
        if (bytes->kind != DOC_INT || bytes->number < 0) {
            return false;
        }
        ret->message_bytes_max = (uint64_t)bytes->number;
    }
    if (!is_null(time)) {
        if (time->kind != DOC_INT || time->number < 0 || time->number > UINT32_MAX) {
            return false;
        }
        ret->timeout_ms = (uint32_t)time->number;
    }
    return true;
}

static bool read_side(const struct doc *d, int n, struct arena *a, struct registry_side *ret)
{
    const struct doc *side = doc_get(d, sides[n].name);

    if (is_null(side)) {
        return true;
    }
    ret->is_there = true;
    return get_stages(side, n, a, &ret->stages) &&
           get_texts(side, "fetchProperties", a, &ret->fetch) &&
           get_texts(side, "updateProperties", a, &ret->updates);
}

struct err registry_read_discovery(struct str content_type, struct str bytes, struct str url,
                                   struct arena *a, struct registry_discovery *ret, struct buf *why)
{
    const struct doc *endpoints, *abilities, *bounds;
    struct str_set formats;
    struct doc d;
    struct err e = read_doc(content_type, bytes, a, &d, why);

    *ret = (struct registry_discovery){0};
    if (e.code) {
        return e;
    }
    endpoints = doc_get(&d, "endpoints");
    abilities = doc_get(&d, "capabilities");
    bounds = doc_get(&d, "limits");
    if (!str_eq(get_text(&d, "version"), STR("1.0"))) {
        return wrong(why, "its version is not \"1.0\"");
    }
    if (is_null(endpoints) ||
        !get_near(get_text(endpoints, "registration"), url, a, &ret->registration)) {
        return wrong(why, "it names no registration address of the same origin");
    }
    /* The braces are no part of an address until they are replaced. */
    ret->deregistration = get_text(endpoints, "deregistration");
    if (!get_texts(&d, "serialization", a, &formats)) {
        return wrong(why, "its serialization is no list");
    }
    for (uint32_t i = 0; i < formats.count; i++) {
        ret->has_json = ret->has_json || str_eq(formats.items[i], STR("json"));
        ret->has_cbor = ret->has_cbor || str_eq(formats.items[i], STR("cbor"));
    }
    if (is_null(abilities) || abilities->kind != DOC_OBJECT) {
        return wrong(why, "it has no capabilities");
    }
    for (int n = 0; n < REGISTRY_DIRECTIONS; n++) {
        if (!read_side(abilities, n, a, &ret->sides[n])) {
            return wrong(why, "its capabilities are not lists of texts");
        }
    }
    if (!is_null(bounds) && !read_limits(bounds, ret)) {
        return wrong(why, "its limits are no numbers");
    }
    return ERR_OK;
}

static bool covers(const struct str_set *set, struct str text, struct arena *a)
{
    struct pointer p;

    return pointer_parse(text, a, &p) && draft_is_in(&p, set, a);
}

struct str_set registry_common(const struct str_set *left, const struct str_set *right,
                               struct arena *a)
{
    struct str *items = arena_array(a, (size_t)left->count + right->count, sizeof(*items));
    uint32_t count = 0;

    for (uint32_t i = 0; i < left->count; i++) {
        if (covers(right, left->items[i], a)) {
            items[count++] = left->items[i];
        }
    }
    for (uint32_t i = 0; i < right->count; i++) {
        bool is_twice = false;

        for (uint32_t k = 0; k < left->count; k++) {
            is_twice = is_twice || str_eq(left->items[k], right->items[i]);
        }
        if (!is_twice && covers(left, right->items[i], a)) {
            items[count++] = right->items[i];
        }
    }
    return (struct str_set){items, count};
}

struct err registry_narrow(const struct registry_discovery *d, struct registry_offer *offer,
                           struct arena *a, struct buf *why)
{
    unsigned stages = 0;

    if (offer->is_cbor ? !d->has_cbor : !d->has_json) {
        return wrong(why, offer->is_cbor ? "it does not speak CBOR" : "it does not speak JSON");
    }
    for (int n = 0; n < REGISTRY_DIRECTIONS; n++) {
        stages |= d->sides[n].stages;
        offer->properties[n] = registry_common(&offer->properties[n], &d->sides[n].fetch, a);
    }
    if (offer->needs_all_stages && (offer->stages & ~stages) != 0) {
        return wrong(why, "it does not know all the stages it is configured for");
    }
    offer->stages &= stages;
    return offer->stages != 0 ? ERR_OK : wrong(why, "it knows none of the stages");
}

/* Registration. */

static void put(struct doc *to, struct arena *a, const char *key, struct doc value)
{
    doc_put(to, a, str_of(key), value);
}

static struct doc make_side(const struct registry_offer *offer, int n, struct arena *a)
{
    struct doc d = doc_object(), stages = doc_list(), properties = doc_list();

    if ((offer->stages & sides[n].stages) == 0) {
        return doc_null();
    }
    for (unsigned s = 0; s < HOOK_STAGES; s++) {
        if (offer->stages & sides[n].stages & 1u << s) {
            doc_insert(&stages, a, stages.count, doc_text(hook_stage_name((enum hook_stage)s)));
        }
    }
    for (uint32_t i = 0; i < offer->properties[n].count; i++) {
        doc_insert(&properties, a, i, doc_text(offer->properties[n].items[i]));
    }
    put(&d, a, "stages", stages);
    put(&d, a, "properties", properties);
    return d;
}

void registry_write_offer(const struct registry_offer *offer, struct arena *a, struct buf *out)
{
    struct doc d = doc_object();

    put(&d, a, "name", doc_text(offer->name));
    put(&d, a, "version", doc_text(offer->version));
    put(&d, a, "timeoutMs", doc_int(offer->timeout_ms));
    put(&d, a, "serialization", doc_text(offer->is_cbor ? STR("cbor") : STR("json")));
    for (int n = 0; n < REGISTRY_DIRECTIONS; n++) {
        put(&d, a, sides[n].name, make_side(offer, n, a));
    }
    put(&d, a, "filter", offer->filter != NULL ? *offer->filter : doc_null());
    if (offer->is_cbor) {
        doc_write_cbor(out, &d);
    } else {
        doc_write_json(out, &d);
    }
}

bool registry_id_is_good(struct str id)
{
    bool is_good = id.len > 0 && id.len <= REGISTRY_ID_BYTES_MAX;

    for (size_t i = 0; is_good && i < id.len; i++) {
        is_good = byte_is_alnum(id.ptr[i]) || (id.ptr[i] != '\0' && strchr("-_:", id.ptr[i]));
    }
    return is_good;
}

static bool get_date(const struct doc *d, const char *key, struct date *ret)
{
    const struct doc *value = doc_get(d, key);

    *ret = (struct date){0};
    return value == NULL || draft_to_date(value, ret);
}

static struct err read_negotiated(const struct doc *d, const struct registry_offer *offer, int n,
                                  struct arena *a, struct registry_grant *ret, struct buf *why)
{
    const struct doc *side = doc_get(d, sides[n].name);
    struct str_set *set = &ret->properties[n];
    unsigned stages, wanted = offer->stages & sides[n].stages;

    if (wanted == 0) {
        return ERR_OK; /* what was not asked for is not used, whatever is said of it */
    }
    if (is_null(side)) {
        return offer->needs_all_stages ? wrong(why, "a stage was not confirmed") : ERR_OK;
    }
    if (!get_stages(side, n, a, &stages) || !get_texts(side, "properties", a, set)) {
        return wrong(why, "what was negotiated is not lists of texts");
    }
    if ((stages & ~wanted) != 0) {
        return wrong(why, "a stage was confirmed that was not offered");
    }
    if (offer->needs_all_stages && stages != wanted) {
        return wrong(why, "a stage was not confirmed");
    }
    ret->stages |= stages;
    for (uint32_t i = 0; i < set->count; i++) {
        if (!covers(&offer->properties[n], set->items[i], a)) {
            return wrong(why, "a property was confirmed that was not offered");
        }
    }
    if (stages != 0 && (!covers(set, STR("/stage"), a) || !covers(set, STR("/action"), a))) {
        return wrong(why, "/stage or /action was not confirmed");
    }
    return ERR_OK;
}

static struct err read_addresses(const struct doc *d, struct str url, struct arena *a,
                                 struct registry_grant *ret, struct buf *why)
{
    const struct doc *endpoints = doc_get(d, "endpoints");
    struct str text;

    if (!get_near(get_text(d, "hookEndpoint"), url, a, &ret->hook)) {
        return wrong(why, "its hookEndpoint is no address of the same origin");
    }
    text = is_null(endpoints) ? STR_EMPTY : get_text(endpoints, "deregistration");
    if (text.len > 0 && !get_near(text, url, a, &ret->deregistration)) {
        return wrong(why, "its deregistration is no address of the same origin");
    }
    text = is_null(endpoints) ? STR_EMPTY : get_text(endpoints, "status");
    if (text.len > 0 && !get_near(text, url, a, &ret->status)) {
        return wrong(why, "its status is no address of the same origin");
    }
    return ERR_OK;
}

static struct err read_state(const struct doc *d, struct date now, struct registry_grant *ret,
                             struct buf *why)
{
    struct str status = get_text(d, "status");

    ret->id = get_text(d, "registrationId");
    if (!registry_id_is_good(ret->id)) {
        return wrong(why, "its registrationId is none");
    }
    ret->is_suspended = str_eq(status, STR("suspended"));
    if (!ret->is_suspended && !str_eq(status, STR("active"))) {
        return wrong(why, "its status is neither active nor suspended");
    }
    if (!get_date(d, "expiresAt", &ret->expires)) {
        return wrong(why, "its expiresAt is no date");
    }
    return ret->expires.ms != 0 && ret->expires.ms <= now.ms
               ? wrong(why, "its expiresAt is over already")
               : ERR_OK;
}

struct err registry_read_grant(int status, struct str content_type, struct str bytes,
                               const struct registry_offer *offer, struct str url, struct date now,
                               struct arena *a, struct registry_grant *ret, struct buf *why)
{
    const struct doc *negotiated;
    struct doc d;
    struct err e;

    *ret = (struct registry_grant){0};
    if (status != 201) {
        buf_printf(why, "its status is %d, not 201", status);
        return err_of(ERR_PROTOCOL);
    }
    e = read_doc(content_type, bytes, a, &d, why);
    if (!e.code) {
        e = read_state(&d, now, ret, why);
    }
    if (!e.code) {
        e = read_addresses(&d, url, a, ret, why);
    }
    if (e.code) {
        return e;
    }
    negotiated = doc_get(&d, "negotiated");
    if (is_null(negotiated) || !str_eq(get_text(negotiated, "serialization"),
                                       offer->is_cbor ? STR("cbor") : STR("json"))) {
        return wrong(why, "its serialization is not the one asked for");
    }
    for (int n = 0; !e.code && n < REGISTRY_DIRECTIONS; n++) {
        e = read_negotiated(negotiated, offer, n, a, ret, why);
    }
    return e.code || ret->stages != 0 ? e : wrong(why, "no stage was confirmed");
}

struct err registry_read_status(struct str content_type, struct str bytes, struct str id,
                                struct arena *a, enum registry_status *ret, struct date *expires,
                                struct buf *why)
{
    static const char *const names[] = {[REGISTRY_ACTIVE] = "active",
                                        [REGISTRY_SUSPENDED] = "suspended",
                                        [REGISTRY_DEREGISTERED] = "deregistered"};
    struct doc d;
    struct err e = read_doc(content_type, bytes, a, &d, why);

    if (e.code) {
        return e;
    }
    if (!str_eq(get_text(&d, "registrationId"), id)) {
        return wrong(why, "it speaks of another registration");
    }
    if (!get_date(&d, "expiresAt", expires)) {
        return wrong(why, "its expiresAt is no date");
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_eq(get_text(&d, "status"), str_of(names[i]))) {
            *ret = (enum registry_status)i;
            return ERR_OK;
        }
    }
    return wrong(why, "its status is none");
}

struct str registry_error_code(struct str content_type, struct str bytes, struct arena *a)
{
    struct buf why BUF_LOCAL = {0};
    const struct doc *error;
    struct str code;
    struct doc d;

    if (read_doc(content_type, bytes, a, &d, &why).code != OK) {
        return STR_EMPTY;
    }
    error = doc_get(&d, "error");
    code = error != NULL ? get_text(error, "code") : STR_EMPTY;
    for (size_t i = 0; i < code.len; i++) {
        if (!byte_is_alnum(code.ptr[i]) && code.ptr[i] != '_') {
            return STR_EMPTY;
        }
    }
    return str_head(code, 64);
}
