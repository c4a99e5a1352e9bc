/*
 * The other way: JSON to views. What is missing or of another type counts as empty, since a server
 * of another version may be asked; what is no JSON, or has no id, is refused.
 */
#include "admin/view.h"
#include "runtime/fiber.h"

#include <jansson.h>

struct parse {
    struct str text;
    size_t flags;
    json_t *root;
};

/* The library recurses over what it reads. */
static void parse(void *arg)
{
    struct parse *p = arg;
    json_error_t error;

    p->root = json_loadb(p->text.ptr, p->text.len, p->flags, &error);
}

static json_t *read_json(struct str text)
{
    struct parse p = {.text = text, .flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL};

    on_big_stack(parse, &p);
    return p.root;
}

static struct str text_of(const json_t *o, const char *key, struct arena *a)
{
    const json_t *v = json_object_get(o, key);

    return json_is_string(v) ? arena_dup(a, str_make(json_string_value(v), json_string_length(v)))
                             : STR_EMPTY;
}

static int64_t signed_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key)); /* 0 when it is none */
}

static uint64_t number_of(const json_t *o, const char *key)
{
    int64_t n = signed_of(o, key);

    return n > 0 ? (uint64_t)n : 0;
}

static struct date date_of(const json_t *o, const char *key, struct arena *a)
{
    struct date d;

    return date_parse_iso(text_of(o, key, a), &d) ? d : DATE_NEVER;
}

static void read_rcpt(const json_t *o, struct arena *a, struct view_rcpt *ret)
{
    const json_t *wait = json_object_get(o, "wait"), *last = json_object_get(o, "last");

    *ret = (struct view_rcpt){.index = number_of(o, "index"),
                              .address = text_of(o, "address", a),
                              .orcpt = text_of(o, "orcpt", a),
                              .status = text_of(o, "status", a),
                              .queue = text_of(o, "queue", a),
                              .lane = text_of(o, "lane", a),
                              .site = text_of(o, "site", a),
                              .route = text_of(o, "route", a),
                              .attempts = number_of(o, "attempts"),
                              .notices = number_of(o, "notices"),
                              .next = date_of(o, "next", a),
                              .notice = date_of(o, "notice", a),
                              .expires = date_of(o, "expires", a),
                              .waits = json_is_object(wait),
                              .was_tried = json_is_object(last)};
    ret->state = text_of(wait, "state", a);
    ret->reason = text_of(wait, "reason", a);
    ret->says = text_of(wait, "says", a);
    ret->text = text_of(wait, "text", a);
    ret->by = text_of(wait, "by", a);
    ret->since = date_of(wait, "since", a);
    ret->until = date_of(wait, "until", a);
    ret->last_error = text_of(last, "error", a);
    ret->last_code = number_of(last, "code");
    ret->last_status = text_of(last, "status", a);
    ret->last_text = text_of(last, "text", a);
    ret->last_host = text_of(last, "host", a);
    ret->last_at = date_of(last, "at", a);
}

static bool read_message(const json_t *o, struct arena *a, struct view_message *ret)
{
    const json_t *to = json_object_get(o, "recipients");

    *ret = (struct view_message){.id = text_of(o, "id", a),
                                 .arrived = date_of(o, "arrived", a),
                                 .source = text_of(o, "source", a),
                                 .sender = text_of(o, "sender", a),
                                 .envid = text_of(o, "envid", a),
                                 .client_ip = text_of(o, "client_ip", a),
                                 .client_name = text_of(o, "client_name", a),
                                 .listener = text_of(o, "listener", a),
                                 .authenticated_as = text_of(o, "authenticated_as", a),
                                 .size = number_of(o, "size"),
                                 .priority = signed_of(o, "priority"),
                                 .is_trusted = json_is_true(json_object_get(o, "trusted")),
                                 .to_all = number_of(o, "recipients_total"),
                                 .to_count = json_array_size(to)};
    ret->to = arena_array(a, ret->to_count, sizeof(*ret->to));
    for (size_t i = 0; i < ret->to_count; i++) {
        read_rcpt(json_array_get(to, i), a, &ret->to[i]);
    }
    return ret->id.len > 0;
}

struct err view_read(struct str json, struct arena *a, struct view_message *ret)
{
    json_t *root = read_json(json);
    bool is_good = read_message(root, a, ret);

    json_decref(root);
    return is_good ? ERR_OK : err_of(ERR_SYNTAX);
}

struct err view_read_page(struct str json, struct arena *a, struct view_page *ret)
{
    json_t *root = read_json(json);
    const json_t *items = json_object_get(root, "items");
    bool is_good = json_is_array(items);

    *ret = (struct view_page){.count = json_array_size(items),
                              .total = number_of(root, "total"),
                              .next = text_of(root, "next", a)};
    ret->items = arena_array(a, ret->count, sizeof(*ret->items));
    for (size_t i = 0; i < ret->count; i++) {
        is_good = read_message(json_array_get(items, i), a, &ret->items[i]) && is_good;
    }
    json_decref(root);
    return is_good ? ERR_OK : err_of(ERR_SYNTAX);
}

static struct str flat_value(const json_t *v, struct arena *a)
{
    if (json_is_string(v)) {
        return arena_dup(a, str_make(json_string_value(v), json_string_length(v)));
    }
    if (json_is_integer(v)) {
        return arena_printf(a, "%lld", (long long)json_integer_value(v));
    }
    return json_is_true(v) ? STR("true") : json_is_false(v) ? STR("false") : STR_EMPTY;
}

static void read_flat(json_t *o, struct arena *a, struct view_flat *ret)
{
    const char *key;
    json_t *v;

    *ret = (struct view_flat){
        .members = arena_array(a, json_object_size(o), sizeof(*ret->members))};
    json_object_foreach(o, key, v)
    {
        ret->members[ret->count++] = (struct view_member){arena_dup(a, str_of(key)),
                                                          flat_value(v, a)};
    }
}

struct err view_read_flat(struct str json, struct arena *a, struct view_member **ret, size_t *count)
{
    json_t *root = read_json(json);
    bool is_good = json_is_object(root);
    struct view_flat flat;

    read_flat(root, a, &flat);
    *ret = flat.members;
    *count = flat.count;
    json_decref(root);
    return is_good ? ERR_OK : err_of(ERR_SYNTAX);
}

struct err view_read_items(struct str json, struct arena *a, struct view_flat **ret, size_t *count)
{
    json_t *root = read_json(json), *items = json_object_get(root, "items");
    bool is_good = json_is_array(items);

    *count = json_array_size(items);
    *ret = arena_array(a, *count, sizeof(**ret));
    for (size_t i = 0; i < *count; i++) {
        read_flat(json_array_get(items, i), a, &(*ret)[i]);
    }
    json_decref(root);
    return is_good ? ERR_OK : err_of(ERR_SYNTAX);
}
