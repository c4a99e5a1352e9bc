#include "scanner.h"

#include "doc/pointer.h"
#include "hooks/retry.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"

#include <stdio.h>

enum { QUICK_MS = 30, GRACE_MS = 1000 };

static const struct doc_limits limits = {4 * 1024 * 1024, 100000, 32, 256, false};

/* ---- documents ---- */

static struct doc *part_of(struct doc *d, const char *pointer, struct arena *a)
{
    struct pointer p;

    must(pointer_parse(str_of(pointer), a, &p));
    return pointer_find(d, &p);
}

struct doc *scanner_part(const struct scanner_question *q, const char *pointer)
{
    return part_of(q->request, pointer, q->arena);
}

struct str scanner_text(const struct scanner_question *q, const char *pointer)
{
    const struct doc *d = scanner_part(q, pointer);

    return d != NULL && d->kind == DOC_TEXT ? d->text : STR_EMPTY;
}

static void put(struct doc *d, struct arena *a, const char *key, struct doc value)
{
    (void)doc_put(d, a, str_of(key), value);
}

static void append(struct doc *list, struct arena *a, struct doc value)
{
    (void)doc_insert(list, a, list->count, value);
}

static void patch(struct scanner_question *q, const char *op, struct str path,
                  const struct doc *value)
{
    struct doc d = doc_object();

    put(&d, q->arena, "op", doc_text(str_of(op)));
    put(&d, q->arena, "path", doc_text(path));
    if (value != NULL) {
        put(&d, q->arena, "value", *value);
    }
    append(&q->set, q->arena, d);
}

void scanner_set(struct scanner_question *q, const char *pointer, struct doc value)
{
    struct doc d = doc_object();
    struct str path = arena_dup(q->arena, str_of(pointer));

    if (q->scanner->is_patch) {
        patch(q, "add", path, &value); /* a member that is there is replaced */
        return;
    }
    put(&d, q->arena, "path", doc_text(path));
    put(&d, q->arena, "value", value);
    append(&q->set, q->arena, d);
}

void scanner_insert(struct scanner_question *q, const char *list, int64_t index, struct doc value)
{
    struct doc d = doc_object();

    if (q->scanner->is_patch) {
        patch(q, "add",
              index < 0 ? arena_printf(q->arena, "%s/-", list)
                        : arena_printf(q->arena, "%s/%lld", list, (long long)index),
              &value);
        return;
    }
    put(&d, q->arena, "path", doc_text(arena_dup(q->arena, str_of(list))));
    put(&d, q->arena, "value", value);
    if (index >= 0) {
        put(&d, q->arena, "index", doc_int(index));
    }
    append(&q->add, q->arena, d);
}

void scanner_delete(struct scanner_question *q, const char *pointer)
{
    struct doc d = doc_object();
    struct str path = arena_dup(q->arena, str_of(pointer));

    if (q->scanner->is_patch) {
        patch(q, "remove", path, NULL);
        return;
    }
    put(&d, q->arena, "path", doc_text(path));
    append(&q->delete, q->arena, d);
}

static struct str type_of(bool is_cbor)
{
    return is_cbor ? STR("application/cbor") : STR("application/json");
}

static void write_doc(const struct doc *d, bool is_cbor, struct arena *a, struct fetch_answer *ret)
{
    struct buf out BUF_LOCAL = {0};

    if (is_cbor) {
        doc_write_cbor(&out, d);
    } else {
        doc_write_json(&out, d);
    }
    ret->content_type = type_of(is_cbor);
    ret->body = arena_dup(a, buf_str(&out));
}

/* ---- finding and registering ---- */

void scanner_config(const struct scanner *s, const char *properties, const char *allow,
                    struct buf *out)
{
    buf_printf(out,
               "url: \"https://%s/reg\", dialect: %s, format: %s, discover: %s, "
               "auth: { bearer: { token: \"a-token\" } }, properties: [%s], allow: [%s]",
               s->host, s->is_patch ? "draft-02" : "draft-01", s->is_cbor ? "cbor" : "json",
               s->is_found ? "true" : "false", properties, allow);
}

static const char discovery[] =
    "{\"version\":\"1.0\",\"endpoints\":{\"registration\":\"/reg\","
    "\"deregistration\":\"/reg/{registration_id}\"},\"serialization\":[\"json\",\"cbor\"],"
    "\"capabilities\":{"
    "\"inbound\":{\"stages\":[\"connect\",\"ehlo\",\"mail\",\"rcpt\",\"data\"],"
    "\"actions\":[\"accept\",\"reject\",\"discard\",\"quarantine\"],"
    "\"fetchProperties\":[\"\"],\"updateProperties\":[\"\"]},"
    "\"outbound\":{\"stages\":[\"route\",\"delivery\",\"defer\",\"dsn\"],"
    "\"actions\":[\"continue\",\"cancel\"],"
    "\"fetchProperties\":[\"\"],\"updateProperties\":[\"\"]}}}";

/* Of one direction all stages, and now and then not the last property. */
static struct doc confirm(struct doc *offer, const char *side, bool is_short, struct arena *a)
{
    struct doc *offered = doc_get(offer, side), d, *list;

    if (offered == NULL || offered->kind != DOC_OBJECT) {
        return doc_null();
    }
    d = doc_copy(offered, a);
    list = doc_get(&d, "properties");
    if (is_short && list->count > 0) {
        doc_remove(list, list->count - 1);
    }
    return d;
}

static void grant(struct scanner *s, struct doc *offer, bool is_bad, struct arena *a,
                  struct fetch_answer *ret)
{
    struct doc d = doc_object(), negotiated = doc_object(), endpoints = doc_object();
    char date[DATE_ISO_BYTES];
    bool is_short = random_below(4) == 0;
    struct date expires = date_add(clock_date(), 15000 + (int64_t)random_below(90 * 1000));

    if (random_below(4) == 0) {
        expires = (struct date){0};
    }
    if (!is_bad) {
        s->grants++;
        s->is_left = false;
        s->expires_ms[s->grants % SCANNER_GRANTS] = expires.ms;
        s->properties[s->grants % SCANNER_GRANTS] = is_short;
    }
    put(&d, a, "registrationId",
        doc_text(is_bad ? STR("no id") : arena_printf(a, "r%u", s->grants)));
    put(&d, a, "status", doc_text(STR("active")));
    put(&d, a, "expiresAt",
        expires.ms == 0 ? doc_null() : doc_text(arena_dup(a, date_iso(expires, date))));
    put(&d, a, "hookEndpoint", doc_text(STR("/ask")));
    put(&negotiated, a, "serialization", doc_text(s->is_cbor ? STR("cbor") : STR("json")));
    put(&negotiated, a, "inbound", confirm(offer, "inbound", is_short, a));
    put(&negotiated, a, "outbound", confirm(offer, "outbound", is_short, a));
    put(&d, a, "negotiated", negotiated);
    put(&endpoints, a, "deregistration", doc_text(arena_printf(a, "/reg/r%u", s->grants)));
    put(&d, a, "endpoints", endpoints);
    ret->status = 201;
    write_doc(&d, s->is_cbor, a, ret);
}

static bool read_body(struct scanners *all, struct scanner *s, const struct fetch_request *r,
                      struct str body, struct arena *a, struct doc *ret)
{
    struct buf why BUF_LOCAL = {0};
    struct err e = s->is_cbor ? doc_read_cbor(body, &limits, a, ret, &why)
                              : doc_read_json(body, &limits, a, ret, &why);

    for (size_t i = 0; i < r->field_count; i++) {
        if (str_eq_nocase(r->fields[i].name, STR("Content-Type")) &&
            !str_eq(r->fields[i].value, type_of(s->is_cbor))) {
            e = err_of(ERR_PROTOCOL);
        }
    }
    if (e.code != OK) {
        sim_fail(all->run, "a request that is none: %.*s", STR_ARG(buf_str(&why)));
        return false;
    }
    return true;
}

/* All that is no question about mail. True: it failed, as the mood has it. */
static bool fails(struct scanner *s, struct fetch_answer *ret, struct buf *why, struct err *e,
                  struct when by)
{
    *e = fiber_sleep(when_after((int64_t)random_below(QUICK_MS)), by);
    if (e->code != OK) {
        return true;
    }
    if (s->is_mute) {
        return false;
    }
    switch ((enum scanner_mood)s->mood) {
    case SCANNER_SILENT:
        *e = fiber_sleep(WHEN_NEVER, by);
        return true;
    case SCANNER_RESET:
        buf_put(why, STR("the connection ended before the answer was whole"));
        *e = err_of(ERR_CLOSED);
        return true;
    case SCANNER_REFUSING:
        ret->status = s->blocks && random_below(30) == 0 ? 403 : 503;
        return true;
    case SCANNER_WELL:
    case SCANNER_SLOW:
    case SCANNER_GARBAGE:
    case SCANNER_FORGETFUL:
    case SCANNER_MOODS:
        break;
    }
    return false;
}

static struct err registers(struct scanners *all, struct scanner *s, const struct fetch_request *r,
                            struct arena *a, struct fetch_answer *ret, struct buf *why,
                            struct when by)
{
    struct doc offer;
    struct str body;
    struct err e = fetch_request_body(r, a, &body, by);

    if (e.code != OK || fails(s, ret, why, &e, by)) {
        return e;
    }
    sim_point(all->world, "registration");
    if (read_body(all, s, r, body, a, &offer)) {
        grant(s, &offer, s->blocks && s->mood == SCANNER_GARBAGE && random_below(20) == 0, a, ret);
    }
    return ERR_OK;
}

static struct err leaves(struct scanner *s, struct fetch_answer *ret, struct buf *why,
                         struct when by)
{
    struct err e;

    if (fails(s, ret, why, &e, by)) {
        return e;
    }
    s->is_left = true;
    return ERR_OK;
}

/* ---- questions ---- */

static struct str field_of(struct scanners *all, const struct fetch_request *r, const char *name)
{
    struct str ret = STR_EMPTY;
    unsigned count = 0;

    for (size_t i = 0; i < r->field_count; i++) {
        if (str_eq_nocase(r->fields[i].name, str_of(name))) {
            ret = r->fields[i].value;
            count++;
        }
    }
    if (count != 1) {
        sim_fail(all->run, "a request has %s %u times", name, count);
    }
    return ret;
}

static struct scanner_asked *find(struct scanner *s, struct str id)
{
    for (unsigned i = s->asked_count; i-- > 0;) {
        if (str_eq(str_of(s->asked[i].id), id)) {
            return &s->asked[i];
        }
    }
    return NULL;
}

static unsigned grant_number(struct scanners *all, struct scanner *s, const struct fetch_request *r)
{
    uint64_t n = 0;
    struct str id = field_of(all, r, "X-MTA-Hooks-Registration");

    if (!str_to_u64(str_skip(id, 1), &n) || n == 0 || n > s->grants || s->is_left) {
        sim_fail(all->run, "a question under the registration %.*s, which is none", STR_ARG(id));
    }
    return (unsigned)n;
}

static void check_grant(struct scanners *all, const struct scanner *s, unsigned n)
{
    int64_t until = s->expires_ms[n % SCANNER_GRANTS];

    /* A call may have waited for nothing but a connection since it looked. */
    if (n + 1 < s->grants || (until > 0 && clock_date().ms > until + GRACE_MS)) {
        sim_fail(all->run, "a question under the registration r%u of %u, %lld ms after its end", n,
                 s->grants, (long long)(clock_date().ms - until));
    }
}

/* A question that was sent before. */
static void check_again(struct scanners *all, const struct scanner *s,
                        const struct scanner_asked *k, uint64_t hash, unsigned n)
{
    unsigned properties = s->properties[n % SCANNER_GRANTS];

    if (k->again == AGAIN_NEVER) {
        sim_fail(all->run, "question %s was asked again", k->id);
    }
    if (clock_now().ns < k->not_before_ns) {
        sim_fail(all->run, "question %s was asked again %lld ms early", k->id,
                 (long long)((k->not_before_ns - clock_now().ns) / NS_PER_MS));
    }
    if (k->sends > RETRIES_MAX + (k->registrations > 0 ? 1 : 0)) {
        sim_fail(all->run, "question %s was asked %u times", k->id, k->sends + 1);
    }
    if (k->again == AGAIN_REGISTERED && n == k->grant) {
        sim_fail(all->run, "question %s came again under the registration that was lost", k->id);
    }
    if (k->properties == properties && k->hash != hash) {
        sim_fail(all->run, "question %s has other bytes than before", k->id);
    }
    sim_point(all->world, k->again == AGAIN_REGISTERED ? "asked-re-registered" : "asked-again");
}

static struct scanner_asked *note(struct scanners *all, struct scanner *s,
                                  const struct fetch_request *r, struct str body)
{
    struct str id = field_of(all, r, "X-MTA-Hooks-Request-Id");
    unsigned n = grant_number(all, s, r);
    struct scanner_asked *k = find(s, id);
    uint64_t hash = str_hash(body, k != NULL && sim_switched(all->run, "other-bytes"));

    if (all->run->failed) {
        return NULL;
    }
    if (k != NULL) {
        check_again(all, s, k, hash, n);
    } else {
        must(s->asked_count < SCANNER_ASKED_MAX);
        check_grant(all, s, n);
        k = &s->asked[s->asked_count++];
        *k = (struct scanner_asked){0};
        snprintf(k->id, sizeof k->id, "%.*s", STR_ARG(id));
    }
    k->grant = n;
    k->hash = hash;
    k->properties = s->properties[n % SCANNER_GRANTS];
    k->sends++;
    return k;
}

static void later(struct scanner_asked *k, int64_t wished_ms)
{
    int64_t ms = k->sends <= RETRIES_MAX ? (int64_t)RETRY_MS_FIRST << (k->sends - 1) : 0;

    k->again = AGAIN_LATER;
    k->not_before_ns = clock_now().ns + (ms > wished_ms ? ms : wished_ms) * NS_PER_MS;
}

static struct err refuses(struct scanner_asked *k, struct arena *a, struct fetch_answer *ret)
{
    uint64_t wish_s = random_below(3);

    switch (random_below(6)) {
    case 0:
        ret->status = 429;
        ret->retry_after = arena_printf(a, "%llu", (unsigned long long)wish_s);
        later(k, (int64_t)wish_s * 1000);
        break;
    case 1:
        ret->status = 413;
        break;
    case 2:
        ret->status = 401;
        break;
    default:
        ret->status = 500 + (int)random_below(4);
        later(k, 0);
        break;
    }
    return ERR_OK;
}

static struct str words(struct scanner_question *q)
{
    struct doc d = doc_object();
    struct fetch_answer answer = {0};

    if (q->scanner->is_patch) {
        write_doc(&q->set, q->scanner->is_cbor, q->arena, &answer);
        return answer.body;
    }
    put(&d, q->arena, "set", q->set);
    put(&d, q->arena, "add", q->add);
    put(&d, q->arena, "delete", q->delete);
    write_doc(&d, q->scanner->is_cbor, q->arena, &answer);
    return answer.body;
}

/* Nothing of it may be done: `cancel` and `reject` would be seen. */
static void babbles(struct scanner_question *q, struct fetch_answer *ret)
{
    const struct scanner *s = q->scanner;
    bool is_inbound = str_eq(q->stage, STR("data")) || str_eq(q->stage, STR("rcpt")) ||
                      str_eq(q->stage, STR("mail"));

    scanner_set(q, "/action", doc_text(is_inbound ? STR("reject") : STR("cancel")));
    switch (random_below(5)) {
    case 0:
        ret->body = words(q);
        ret->body = str_head(ret->body, ret->body.len - 1 - random_below(6));
        break;
    case 1:
        ret->body = words(q);
        ret->content_type = random_below(2) == 0 ? STR("text/html") : type_of(!s->is_cbor);
        break;
    case 2:
        scanner_set(q, "/queue/id", doc_text(STR("mine"))); /* nobody allowed that */
        ret->body = words(q);
        break;
    case 3:
        scanner_set(q, "/action", doc_text(STR("bogus")));
        ret->body = words(q);
        break;
    default:
        ret->body = s->is_cbor ? str_make("\xff\x00\xa1\x63", 4) : STR("<html>Bad Gateway</html>");
        break;
    }
}

static struct err acts(struct scanners *all, struct scanner *s, struct scanner_asked *k,
                       struct scanner_question *q, struct fetch_answer *ret, struct buf *why,
                       struct when by)
{
    struct err e;

    k->again = AGAIN_NEVER;
    e = fiber_sleep(when_after((int64_t)random_below(s->mood == SCANNER_SLOW && s->slow_ms > 0
                                                         ? (uint64_t)s->slow_ms
                                                         : QUICK_MS)),
                    by);
    if (e.code != OK) {
        return e;
    }
    if (k->grant <= s->forgotten) {
        ret->status = random_below(2) == 0 ? 404 : 410;
        k->again = k->registrations++ == 0 ? AGAIN_REGISTERED : AGAIN_NEVER;
        k->not_before_ns = 0;
        return ERR_OK;
    }
    switch ((enum scanner_mood)s->mood) {
    case SCANNER_SILENT:
        sim_point(all->world, "scanner-silent");
        return fiber_sleep(WHEN_NEVER, by);
    case SCANNER_RESET:
        sim_point(all->world, "scanner-reset");
        buf_put(why, STR("the connection ended before the answer was whole"));
        later(k, 0);
        return err_of(random_below(2) == 0 ? ERR_CLOSED : ERR_NETWORK);
    case SCANNER_REFUSING:
        sim_point(all->world, "scanner-refuses");
        return refuses(k, q->arena, ret);
    case SCANNER_GARBAGE:
        sim_point(all->world, "scanner-babbles");
        babbles(q, ret);
        return ERR_OK;
    case SCANNER_WELL:
    case SCANNER_SLOW:
    case SCANNER_FORGETFUL:
    case SCANNER_MOODS:
        break;
    }
    all->says(all, q);
    if (q->set.count + q->add.count + q->delete.count == 0 && random_below(2) == 0) {
        ret->status = 204;
    } else {
        ret->body = words(q);
    }
    return ERR_OK;
}

static struct err asked(struct scanners *all, struct scanner *s, const struct fetch_request *r,
                        struct arena *a, struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct scanner_question q = {.scanners = all,
                                 .scanner = s,
                                 .arena = a,
                                 .set = doc_list(),
                                 .add = doc_list(),
                                 .delete = doc_list()};
    struct scanner_asked *k;
    struct doc request;
    struct str body;
    struct err e = fetch_request_body(r, a, &body, by);

    if (e.code != OK) {
        return e;
    }
    k = note(all, s, r, body);
    if (k == NULL || !read_body(all, s, r, body, a, &request)) {
        return err_of(ERR_CLOSED);
    }
    if (s->mood == SCANNER_FORGETFUL && k->grant == s->grants && random_below(3) == 0) {
        sim_point(all->world, "scanner-forgets");
        s->forgotten = s->grants;
    }
    q.request = &request;
    q.id = str_of(k->id);
    q.stage = scanner_text(&q, "/stage");
    ret->content_type = type_of(s->is_cbor);
    if (k->sends == 1 && all->asked != NULL) {
        all->asked(all, &q);
    }
    return acts(all, s, k, &q, ret, why, by);
}

/* ---- all of them ---- */

struct err scanners_answer(void *ctx, const struct fetch_request *r, struct arena *a,
                           struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct scanners *all = ctx;
    struct scanner *s = NULL;
    struct err e;

    for (unsigned i = 0; i < all->count; i++) {
        if (str_eq(r->target->host, str_of(all->items[i]->host))) {
            s = all->items[i];
        }
    }
    must(s != NULL);
    *ret = (struct fetch_answer){.status = 200,
                                 .content_type = STR("application/json"),
                                 .retry_after = STR_EMPTY,
                                 .head = STR_EMPTY,
                                 .body = STR_EMPTY};
    if (str_eq(r->target->path, STR("/.well-known/mta-hooks"))) {
        if (!fails(s, ret, why, &e, by)) {
            ret->body = str_of(discovery);
        }
        return e;
    }
    if (str_eq(r->method, STR("DELETE"))) {
        return leaves(s, ret, why, by);
    }
    return str_eq(r->target->path, STR("/reg")) ? registers(all, s, r, a, ret, why, by)
                                                : asked(all, s, r, a, ret, why, by);
}

void scanners_begin(struct scanners *all, struct machine *m)
{
    all->world = m->world;
    all->run = m->run;
    all->sim = (struct fetch_sim){scanners_answer, all};
    for (unsigned i = 0; i < all->count; i++) {
        struct scanner *s = all->items[i];

        s->grants = s->forgotten = s->asked_count = 0;
        s->expires_ms[0] = s->expires_ms[1] = 0;
        s->is_left = false;
    }
    sim_service_set(m->world, "fetch", &all->sim);
}
