#include "admin/retry.h"

#include "admin/json.h"
#include "runtime/fiber.h"

#include <jansson.h>

struct reading {
    struct str json;
    struct arena *arena;
    struct retry_request *ret;
    const char *why;
};

static bool read_ids(struct reading *r, const json_t *list)
{
    if (!json_is_array(list) || json_array_size(list) == 0) {
        r->why = "ids is a list of message ids, with at least one";
        return false;
    }
    r->ret->ids = arena_array(r->arena, json_array_size(list), sizeof(*r->ret->ids));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *id = json_array_get(list, i);
        struct str text = json_is_string(id)
                              ? str_make(json_string_value(id), json_string_length(id))
                              : STR_EMPTY;

        if (!str_hex_to_u64(text, &r->ret->ids[i]) || r->ret->ids[i] == 0) {
            r->why = "a message id is a text of 16 hexadecimal digits";
            return false;
        }
        r->ret->id_count++;
    }
    return true;
}

static bool read_flag(struct reading *r, const json_t *v, bool *ret, const char *why)
{
    if (!json_is_boolean(v)) {
        r->why = why;
        return false;
    }
    *ret = json_is_true(v);
    return true;
}

static bool read_member(struct reading *r, struct str key, const json_t *v)
{
    if (str_eq(key, STR("ids"))) {
        return read_ids(r, v);
    }
    if (str_eq(key, STR("all"))) {
        return read_flag(r, v, &r->ret->all, "all is true or false");
    }
    if (str_eq(key, STR("dry_run"))) {
        return read_flag(r, v, &r->ret->dry_run, "dry_run is true or false");
    }
    if (str_eq(key, STR("where"))) {
        if (!json_is_string(v) || json_string_length(v) == 0) {
            r->why = "where is the text of an expression";
            return false;
        }
        r->ret->where = arena_dup(r->arena, str_make(json_string_value(v), json_string_length(v)));
        return true;
    }
    r->why = "there are ids, where, all and dry_run, and nothing else";
    return false;
}

static void read_here(void *arg)
{
    struct reading *r = arg;
    json_error_t error;
    json_t *root = json_loadb(r->json.ptr, r->json.len, JSON_REJECT_DUPLICATES, &error), *v;
    const char *key;

    if (!json_is_object(root)) {
        r->why = "the body is not one JSON object";
        json_decref(root);
        return;
    }
    json_object_foreach(root, key, v)
    {
        if (!read_member(r, str_of(key), v)) {
            break;
        }
    }
    if (r->why == NULL && (r->ret->id_count > 0) + (r->ret->where.len > 0) + r->ret->all != 1) {
        r->why = "say which messages: ids, or where, or all";
    }
    json_decref(root);
}

bool retry_read(struct str json, struct arena *a, struct retry_request *ret, const char **why)
{
    struct reading r = {.json = json, .arena = a, .ret = ret};

    *ret = (struct retry_request){.where = STR_EMPTY};
    on_big_stack(read_here, &r);
    *why = r.why;
    return r.why == NULL;
}

void retry_write(const struct retry_request *ask, struct buf *out)
{
    buf_byte(out, '{');
    if (ask->id_count > 0) {
        json_key(out, "ids");
        buf_byte(out, '[');
        for (size_t i = 0; i < ask->id_count; i++) {
            json_next(out);
            buf_printf(out, "\"%016llx\"", (unsigned long long)ask->ids[i]);
        }
        buf_byte(out, ']');
    }
    json_text_if(out, "where", ask->where);
    if (ask->all) {
        json_bool(out, "all", true);
    }
    json_bool(out, "dry_run", ask->dry_run);
    buf_byte(out, '}');
}
