#include "admin/request.h"

#include "admin/json.h"
#include "admin/view.h"
#include "base/check.h"
#include "doc/doc.h"
#include "http/serve.h"

#include <stdlib.h>

enum member_type { MEMBER_IDS, MEMBER_TEXT, MEMBER_FLAG, MEMBER_DATE };

#define ON(kind) (1u << REQUEST_##kind)
enum {
    ON_ACTIONS = (1 << ACTION_COUNT) - 1,
    ON_PAUSE = ON(PAUSE),
    ON_CHOICE = ON_ACTIONS | ON_PAUSE,
    BY_MAX = 64,
    TEXT_MAX = 4096,
    VALUES_MAX = 64 * 1024, /* as many ids as fit into a body, and some */
    DEPTH_MAX = 16
};

static const struct member {
    const char *key;
    enum member_type type;
    unsigned on; /* requests that take it */
    size_t offset, most;
    const char *why; /* said when it is something else */
} members[] = {
    {"ids", MEMBER_IDS, ON_ACTIONS, offsetof(struct request, ids), 0, ""},
    {"all", MEMBER_FLAG, ON_CHOICE, offsetof(struct request, all), 0, "all is true or false"},
    {"queue", MEMBER_TEXT, ON_CHOICE, offsetof(struct request, which.queue), TEXT_MAX,
     "queue is the name of a virtual queue"},
    {"site", MEMBER_TEXT, ON_CHOICE, offsetof(struct request, which.site), TEXT_MAX,
     "site is a destination: a next hop such as a.example, or route and next hop"},
    {"sender", MEMBER_TEXT, ON_CHOICE, offsetof(struct request, which.sender), TEXT_MAX,
     "sender is an address, or @domain, or <>"},
    {"rcpt", MEMBER_TEXT, ON_CHOICE, offsetof(struct request, which.rcpt), TEXT_MAX,
     "rcpt is an address, or @domain"},
    {"where", MEMBER_TEXT, ON_CHOICE, offsetof(struct request, which.text), 64 * 1024,
     "where is the text of an expression"},
    {"held", MEMBER_FLAG, ON_ACTIONS, offsetof(struct request, which.held), 0,
     "held is true or false"},
    {"dry_run", MEMBER_FLAG, ON_CHOICE, offsetof(struct request, dry_run), 0,
     "dry_run is true or false"},
    {"progress", MEMBER_FLAG, ON_ACTIONS, offsetof(struct request, progress), 0,
     "progress is true or false"},
    {"by", MEMBER_TEXT, ON_CHOICE | ON(RESUME), offsetof(struct request, by), BY_MAX,
     "by is who asks: at most 64 bytes"},
    {"reason", MEMBER_TEXT, ON(HOLD) | ON(CANCEL) | ON_PAUSE, offsetof(struct request, reason), 400,
     "reason is a text of at most 400 bytes"},
    {"quarantine", MEMBER_FLAG, ON(HOLD), offsetof(struct request, quarantine), 0,
     "quarantine is true or false"},
    {"silent", MEMBER_FLAG, ON(CANCEL), offsetof(struct request, silent), 0,
     "silent is true or false"},
    {"at", MEMBER_DATE, ON(RETRY), offsetof(struct request, at), 0,
     "at is a date such as 2026-03-03T10:00:00.000Z"},
    {"to_queue", MEMBER_TEXT, ON(MOVE), offsetof(struct request, to_queue), TEXT_MAX,
     "to_queue is the name of a virtual queue"},
    {"to_route", MEMBER_TEXT, ON(MOVE), offsetof(struct request, to_route), TEXT_MAX,
     "to_route is the name of a route"},
    {"name", MEMBER_TEXT, ON_PAUSE | ON(RESUME), offsetof(struct request, name), 32,
     "name is that of the pause: at most 32 bytes"},
    {"until", MEMBER_DATE, ON_PAUSE, offsetof(struct request, until), 0,
     "until is a date such as 2026-03-03T10:00:00.000Z"},
};

static void *at(struct request *r, const struct member *m)
{
    return (char *)r + m->offset;
}

static const void *in(const struct request *r, const struct member *m)
{
    return (const char *)r + m->offset;
}

/* ---- reading ---- */

struct reading {
    enum request_kind kind;
    struct arena *arena;
    struct request *ret;
    struct str why;
};

static struct str text_of(const struct doc *v)
{
    return v->kind == DOC_TEXT ? v->text : STR_EMPTY;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static bool read_ids(struct reading *r, const struct doc *list, struct id_list *ret)
{
    size_t kept = 0;

    if (list->kind != DOC_LIST || list->count == 0) {
        r->why = STR("ids is a list of message ids, with at least one");
        return false;
    }
    ret->items = arena_array(r->arena, list->count, sizeof(*ret->items));
    for (size_t i = 0; i < list->count; i++) {
        if (!str_hex_to_u64(text_of(&list->members[i].value), &ret->items[i]) ||
            ret->items[i] == 0) {
            r->why = STR("a message id is a text of 16 hexadecimal digits");
            return false;
        }
    }
    ret->count = list->count;
    qsort(ret->items, ret->count, sizeof(*ret->items), compare_ids);
    for (size_t i = 0; i < ret->count; i++) {
        if (kept == 0 || ret->items[kept - 1] != ret->items[i]) {
            ret->items[kept++] = ret->items[i];
        }
    }
    ret->count = kept;
    return true;
}

static bool read_value(struct reading *r, const struct member *m, const struct doc *v)
{
    struct str text = text_of(v);
    bool is_good = false;

    switch (m->type) {
    case MEMBER_IDS:
        return read_ids(r, v, at(r->ret, m));
    case MEMBER_TEXT:
        is_good = text.len > 0 && text.len <= m->most;
        *(struct str *)at(r->ret, m) = text;
        break;
    case MEMBER_FLAG:
        is_good = v->kind == DOC_BOOL;
        *(bool *)at(r->ret, m) = is_good && v->yes;
        break;
    case MEMBER_DATE:
        is_good = date_parse_iso(text, at(r->ret, m));
        break;
    }
    if (!is_good) {
        r->why = str_of(m->why);
    }
    return is_good;
}

static void unknown(struct reading *r, struct str key)
{
    struct buf out BUF_LOCAL = {0};

    buf_printf(&out, "there is no %.*s here; there are", STR_ARG(str_head(key, 40)));
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        if (members[i].on & (1u << r->kind)) {
            buf_printf(&out, " %s", members[i].key);
        }
    }
    r->why = arena_dup(r->arena, buf_str(&out));
}

static bool read_member(struct reading *r, struct str key, const struct doc *v)
{
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        if (str_eq(key, str_of(members[i].key)) && members[i].on & (1u << r->kind)) {
            return read_value(r, &members[i], v);
        }
    }
    unknown(r, key);
    return false;
}

static bool chooses(const struct selection *s)
{
    return s->queue.len + s->site.len + s->sender.len + s->rcpt.len + s->text.len > 0 || s->held;
}

/* What is only wrong together. */
static void check(struct reading *r)
{
    const struct request *q = r->ret;
    bool some = q->ids.count > 0 || chooses(&q->which);

    if (r->kind != REQUEST_RESUME && q->all == some) {
        r->why = STR("say which messages: ids, queue, site, sender, rcpt, where; or all");
    } else if (r->kind == REQUEST_MOVE && q->to_queue.len == 0 && q->to_route.len == 0) {
        r->why = STR("say where to: to_queue, to_route");
    } else if ((r->kind == REQUEST_PAUSE || r->kind == REQUEST_RESUME) && q->name.len == 0) {
        r->why = STR("say the name of the pause: name");
    }
}

bool request_read(enum request_kind kind, struct str json, struct arena *a, struct request *ret,
                  struct str *why)
{
    const struct doc_limits limits = {.bytes_max = HTTP_BODY_MAX,
                                      .nodes_max = VALUES_MAX,
                                      .depth_max = DEPTH_MAX,
                                      .key_bytes_max = HTTP_BODY_MAX};
    struct reading r = {.kind = kind, .arena = a, .ret = ret, .why = STR_EMPTY};
    struct buf mistake BUF_LOCAL = {0};
    struct doc root;

    *ret = (struct request){0};
    buf_put(&mistake, STR("the body is not one JSON object: "));
    if (doc_read_json(json, &limits, a, &root, &mistake).code != OK) {
        *why = arena_dup(a, buf_str(&mistake));
        return false;
    }
    if (root.kind != DOC_OBJECT) {
        *why = STR("the body is not one JSON object");
        return false;
    }
    for (uint32_t i = 0; i < root.count && r.why.len == 0; i++) {
        (void)read_member(&r, root.members[i].key, &root.members[i].value);
    }
    if (r.why.len == 0) {
        check(&r);
    }
    *why = r.why;
    return r.why.len == 0;
}

/* ---- writing ---- */

static void write_ids(const char *key, const struct id_list *ids, struct buf *out)
{
    if (ids->count == 0) {
        return;
    }
    json_key(out, key);
    buf_byte(out, '[');
    for (size_t i = 0; i < ids->count; i++) {
        json_next(out);
        buf_printf(out, "\"%016llx\"", (unsigned long long)ids->items[i]);
    }
    buf_byte(out, ']');
}

void request_write(const struct request *ask, struct buf *out)
{
    buf_byte(out, '{');
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        const struct member *m = &members[i];
        const void *v = in(ask, m);

        switch (m->type) {
        case MEMBER_IDS:
            write_ids(m->key, v, out);
            break;
        case MEMBER_TEXT:
            json_text_if(out, m->key, *(const struct str *)v);
            break;
        case MEMBER_FLAG:
            if (*(const bool *)v) {
                json_bool(out, m->key, true);
            }
            break;
        case MEMBER_DATE:
            json_date_if(out, m->key, *(const struct date *)v);
            break;
        }
    }
    buf_byte(out, '}');
}

static void say(struct buf *out, const char *what, struct str s, const char *end)
{
    if (s.len > 0) {
        buf_printf(out, "%s%s%.*s%s", out->len > 0 ? " and " : "", what, STR_ARG(s), end);
    }
}

struct str request_says(const struct request *ask, struct arena *a)
{
    struct buf out BUF_LOCAL = {0};

    if (ask->ids.count > 0) {
        buf_printf(&out, "%zu id%s", ask->ids.count, ask->ids.count == 1 ? "" : "s");
    }
    say(&out, "queue ", ask->which.queue, "");
    say(&out, "site ", ask->which.site, "");
    say(&out, "sender ", ask->which.sender, "");
    say(&out, "rcpt ", ask->which.rcpt, "");
    say(&out, "(", ask->which.text, ")");
    if (ask->which.held) {
        buf_printf(&out, "%sheld", out.len > 0 ? " and " : "");
    }
    return out.len > 0 ? arena_dup(a, buf_str(&out)) : STR("all");
}
