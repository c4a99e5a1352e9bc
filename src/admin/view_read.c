/*
 * The other way: JSON to views. What is missing or of another type counts as empty, since a server
 * of another version may be asked; what is no JSON, or has no id, is refused.
 */
#include "admin/view.h"
#include "doc/doc.h"
#include "mail/envelope.h"

enum { VALUES_MAX = 1 << 24, DEPTH_MAX = 64 };

/* NULL: it is none. A server may have shown us what a stranger sent it, NUL included. */
static struct doc *read_json(struct str text, struct arena *a)
{
    const struct doc_limits limits = {.bytes_max = text.len,
                                      .nodes_max = VALUES_MAX,
                                      .depth_max = DEPTH_MAX,
                                      .key_bytes_max = UINT32_MAX,
                                      .bears_nul = true};
    struct doc *root = ARENA_NEW(a, struct doc);
    struct buf why BUF_LOCAL = {0};

    return doc_read_json(text, &limits, a, root, &why).code == OK ? root : NULL;
}

static struct str text_of(const struct doc *o, const char *key)
{
    const struct doc *v = doc_get(o, key);

    return v != NULL && v->kind == DOC_TEXT ? v->text : STR_EMPTY;
}

static int64_t signed_of(const struct doc *o, const char *key)
{
    const struct doc *v = doc_get(o, key);

    return v != NULL && v->kind == DOC_INT ? v->number : 0;
}

static bool flag_of(const struct doc *o, const char *key)
{
    const struct doc *v = doc_get(o, key);

    return v != NULL && v->kind == DOC_BOOL && v->yes;
}

/* How many members there are, when it is of that kind. */
static uint32_t count_of(const struct doc *v, enum doc_kind kind)
{
    return v != NULL && v->kind == kind ? v->count : 0;
}

static uint64_t number_of(const struct doc *o, const char *key)
{
    int64_t n = signed_of(o, key);

    return n > 0 ? (uint64_t)n : 0;
}

static struct date date_of(const struct doc *o, const char *key)
{
    struct date d;

    return date_parse_iso(text_of(o, key), &d) ? d : DATE_NEVER;
}

static void read_rcpt(const struct doc *o, struct view_rcpt *ret)
{
    const struct doc *wait = doc_get(o, "wait"), *last = doc_get(o, "last");

    *ret = (struct view_rcpt){.index = number_of(o, "index"),
                              .address = text_of(o, "address"),
                              .orcpt = text_of(o, "orcpt"),
                              .status = text_of(o, "status"),
                              .queue = text_of(o, "queue"),
                              .lane = text_of(o, "lane"),
                              .site = text_of(o, "site"),
                              .route = text_of(o, "route"),
                              .attempts = number_of(o, "attempts"),
                              .notices = number_of(o, "notices"),
                              .next = date_of(o, "next"),
                              .notice = date_of(o, "notice"),
                              .expires = date_of(o, "expires"),
                              .waits = wait != NULL && wait->kind == DOC_OBJECT,
                              .was_tried = last != NULL && last->kind == DOC_OBJECT};
    ret->state = text_of(wait, "state");
    ret->reason = text_of(wait, "reason");
    ret->says = text_of(wait, "says");
    ret->text = text_of(wait, "text");
    ret->by = text_of(wait, "by");
    ret->since = date_of(wait, "since");
    ret->until = date_of(wait, "until");
    ret->last_error = text_of(last, "error");
    ret->last_code = number_of(last, "code");
    ret->last_status = text_of(last, "status");
    ret->last_text = text_of(last, "text");
    ret->last_host = text_of(last, "host");
    ret->last_at = date_of(last, "at");
}

static void read_meta(const struct doc *o, struct arena *a, struct view_message *ret)
{
    uint32_t count = count_of(o, DOC_OBJECT);

    ret->meta = arena_array(a, count, sizeof(*ret->meta));
    for (uint32_t i = 0; i < count; i++) {
        const struct doc *v = &o->members[i].value;
        struct view_meta *m = &ret->meta[ret->meta_count];

        *m = (struct view_meta){.name = o->members[i].key, .text = STR_EMPTY};
        if (v->kind == DOC_TEXT) {
            m->kind = META_STRING;
            m->text = v->text;
        } else if (v->kind == DOC_INT) {
            m->kind = META_INTEGER;
            m->number = v->number;
        } else if (v->kind == DOC_BOOL) {
            m->kind = META_BOOLEAN;
            m->number = v->yes;
        } else {
            continue;
        }
        ret->meta_count++;
    }
}

static bool read_message(const struct doc *o, struct arena *a, struct view_message *ret)
{
    const struct doc *to = doc_get(o, "recipients");

    *ret = (struct view_message){.id = text_of(o, "id"),
                                 .arrived = date_of(o, "arrived"),
                                 .source = text_of(o, "source"),
                                 .sender = text_of(o, "sender"),
                                 .envid = text_of(o, "envid"),
                                 .client_ip = text_of(o, "client_ip"),
                                 .client_name = text_of(o, "client_name"),
                                 .listener = text_of(o, "listener"),
                                 .authenticated_as = text_of(o, "authenticated_as"),
                                 .size = number_of(o, "size"),
                                 .priority = signed_of(o, "priority"),
                                 .is_trusted = flag_of(o, "trusted"),
                                 .schedule = text_of(o, "schedule"),
                                 .queue = text_of(o, "queue"),
                                 .to_all = number_of(o, "recipients_total"),
                                 .to_count = count_of(to, DOC_LIST)};
    read_meta(doc_get(o, "meta"), a, ret);
    ret->to = arena_array(a, ret->to_count, sizeof(*ret->to));
    for (size_t i = 0; i < ret->to_count; i++) {
        read_rcpt(&to->members[i].value, &ret->to[i]);
    }
    return ret->id.len > 0;
}

struct err view_read(struct str json, struct arena *a, struct view_message *ret)
{
    return read_message(read_json(json, a), a, ret) ? ERR_OK : err_of(ERR_SYNTAX);
}

struct err view_read_page(struct str json, struct arena *a, struct view_page *ret)
{
    const struct doc *root = read_json(json, a), *items = doc_get(root, "items");
    bool is_good = items != NULL && items->kind == DOC_LIST;

    *ret = (struct view_page){.count = count_of(items, DOC_LIST),
                              .total = number_of(root, "total"),
                              .next = text_of(root, "next")};
    ret->items = arena_array(a, ret->count, sizeof(*ret->items));
    for (size_t i = 0; items != NULL && i < ret->count; i++) {
        is_good = read_message(&items->members[i].value, a, &ret->items[i]) && is_good;
    }
    return is_good ? ERR_OK : err_of(ERR_SYNTAX);
}

static struct str flat_value(const struct doc *v, struct arena *a)
{
    if (v->kind == DOC_TEXT) {
        return v->text;
    }
    if (v->kind == DOC_INT) {
        return arena_printf(a, "%lld", (long long)v->number);
    }
    return v->kind != DOC_BOOL ? STR_EMPTY : v->yes ? STR("true") : STR("false");
}

static void read_flat(const struct doc *o, struct arena *a, struct view_flat *ret)
{
    uint32_t count = count_of(o, DOC_OBJECT);

    *ret = (struct view_flat){.members = arena_array(a, count, sizeof(*ret->members))};
    for (uint32_t i = 0; i < count; i++) {
        ret->members[ret->count++] = (struct view_member){o->members[i].key,
                                                          flat_value(&o->members[i].value, a)};
    }
}

struct err view_read_flat(struct str json, struct arena *a, struct view_member **ret, size_t *count)
{
    const struct doc *root = read_json(json, a);
    struct view_flat flat;

    read_flat(root, a, &flat);
    *ret = flat.members;
    *count = flat.count;
    return root != NULL && root->kind == DOC_OBJECT ? ERR_OK : err_of(ERR_SYNTAX);
}

struct err view_read_items(struct str json, struct arena *a, struct view_flat **ret, size_t *count)
{
    const struct doc *root = read_json(json, a), *items = doc_get(root, "items");

    *count = count_of(items, DOC_LIST);
    *ret = arena_array(a, *count, sizeof(**ret));
    for (size_t i = 0; i < *count; i++) {
        read_flat(&items->members[i].value, a, &(*ret)[i]);
    }
    return items != NULL && items->kind == DOC_LIST ? ERR_OK : err_of(ERR_SYNTAX);
}
