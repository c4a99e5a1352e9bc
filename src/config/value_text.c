/* Texts: names, hosts, addresses of mail, paths and secrets. */
#include "base/check.h"
#include "config/hint.h"
#include "config/source.h"
#include "config/value_kinds.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TEXT_BYTES_MAX = 4096,
    HOSTNAME_BYTES_MAX = 253,
    LABEL_BYTES_MAX = 63,
    SECRET_BYTES_MAX = 65536
};

static bool put_text(struct str text, void *member)
{
    memcpy(member, &text, sizeof text);
    return true;
}

static struct str lower(struct arena *a, struct str s)
{
    char *bytes = arena_alloc(a, s.len + 1);

    for (size_t i = 0; i < s.len; i++) {
        bytes[i] = byte_lower(s.ptr[i]);
    }
    return str_make(bytes, s.len);
}

bool name_is_good(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!byte_is_alnum(c) && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return s.len > 0 && s.len <= NAME_BYTES_MAX;
}

/* RFC 1123 section 2.1; the last label of a name is not all digits, which an address would be. */
static bool hostname_is_good(struct str s)
{
    struct str rest = s, label = STR_EMPTY;
    uint64_t number;

    if (s.len == 0 || s.len > HOSTNAME_BYTES_MAX || s.ptr[s.len - 1] == '.') {
        return false;
    }
    while (rest.len > 0) {
        str_cut(&rest, '.', &label);
        if (label.len == 0 || label.len > LABEL_BYTES_MAX || label.ptr[0] == '-' ||
            label.ptr[label.len - 1] == '-') {
            return false;
        }
        for (size_t i = 0; i < label.len; i++) {
            if (!byte_is_alnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_') {
                return false;
            }
        }
    }
    return !str_to_u64(label, &number);
}

static bool mailbox_is_good(struct str s)
{
    size_t at = str_rfind(s, '@');

    if (at == STR_NONE || at == 0 || at > 64 || !hostname_is_good(str_skip(s, at + 1))) {
        return false;
    }
    for (size_t i = 0; i < at; i++) {
        if ((unsigned char)s.ptr[i] <= ' ' || strchr("<>()[]\\,;:@\"\x7f", s.ptr[i]) != NULL) {
            return false;
        }
    }
    return true;
}

bool value_read_text(struct value_reading *v, const struct setting *row, const struct yaml *node,
                     void *member)
{
    size_t most = row->max > 0 ? (size_t)row->max : TEXT_BYTES_MAX;
    struct str s = node->text;

    if (s.len > most || s.len < (size_t)row->min) {
        fault_error(v->faults, node->at, "%.*s must have %lld to %zu bytes", STR_ARG(v->key),
                    (long long)row->min, most);
        return false;
    }
    return put_text(arena_dup(v->arena, s), member);
}

bool value_read_name(struct value_reading *v, const struct setting *row, const struct yaml *node,
                     void *member)
{
    (void)row;
    return name_is_good(node->text) ? put_text(arena_dup(v->arena, node->text), member)
                                    : value_wrong(v, node, SETTING_NAME);
}

bool value_read_hostname(struct value_reading *v, const struct setting *row,
                         const struct yaml *node, void *member)
{
    struct str s = node->text;
    struct addr ip;

    if (hostname_is_good(s) || (row->type == SETTING_HOST && addr_parse_ip(s, &ip))) {
        return put_text(lower(v->arena, s), member);
    }
    value_wrong(v, node, row->type);
    if (!str_is_ascii(s)) {
        fault_hint(v->faults, "write the name in its ASCII form (xn--...)");
    } else if (s.len > 0 && s.ptr[s.len - 1] == '.') {
        fault_hint(v->faults, "without the last dot: %.*s", STR_ARG(str_head(s, s.len - 1)));
    }
    return false;
}

bool value_read_mailbox(struct value_reading *v, const struct setting *row, const struct yaml *node,
                        void *member)
{
    (void)row;
    return mailbox_is_good(node->text) ? put_text(arena_dup(v->arena, node->text), member)
                                       : value_wrong(v, node, SETTING_MAILBOX);
}

bool value_read_path(struct value_reading *v, const struct setting *row, const struct yaml *node,
                     void *member)
{
    struct str path = source_beside(v->arena, node->at.file, node->text);

    if (path.len == 0 || path.len > TEXT_BYTES_MAX) {
        return value_wrong(v, node, row->type);
    }
    if (row->type == SETTING_FILE && node->at.line > 0 && v->options->read == NULL &&
        access(arena_z(v->arena, path), R_OK) != 0) {
        fault_warn(v->faults, node->at, "%.*s: %.*s cannot be read: %s", STR_ARG(v->key),
                   STR_ARG(path), strerror(errno));
    }
    return put_text(path, member);
}

static bool secret_missing(struct value_reading *v, const struct yaml *node, const char *what,
                           const char *why)
{
    if (v->options->is_check) {
        fault_warn(v->faults, node->at, "%.*s: the %s %.*s: %s", STR_ARG(v->key), what,
                   STR_ARG(node->text), why);
        return true;
    }
    fault_error(v->faults, node->at, "%.*s: the %s %.*s: %s", STR_ARG(v->key), what,
                STR_ARG(node->text), why);
    return false;
}

/* {file: PATH} or {env: NAME}; the text stays out of the file that others may read. */
static bool read_secret_elsewhere(struct value_reading *v, const struct yaml *node,
                                  struct secret *ret)
{
    const struct yaml_pair *pair = node->count == 1 ? &node->pairs[0] : NULL;
    bool is_file = pair != NULL && str_eq(pair->key, STR("file"));

    if (pair == NULL || pair->value->kind != YAML_TEXT ||
        (!is_file && !str_eq(pair->key, STR("env")))) {
        fault_error(v->faults, node->at, "%.*s must be %s", STR_ARG(v->key),
                    value_called(SETTING_SECRET));
        return false;
    }
    ret->is_given = true;
    ret->text = STR_EMPTY;
    if (is_file) {
        struct str path = source_beside(v->arena, node->at.file, pair->value->text);
        struct err e = source_bytes(v->options, path, v->arena, &ret->text);
        char why[128];

        if (e.code != OK) {
            err_say(e, why, sizeof why);
            return secret_missing(v, pair->value, "file", why);
        }
        while (ret->text.len > 0 && strchr("\r\n", ret->text.ptr[ret->text.len - 1]) != NULL) {
            ret->text.len--;
        }
    } else {
        const char *value = getenv(arena_z(v->arena, pair->value->text));

        if (value == NULL) {
            return secret_missing(v, pair->value, "environment variable", "is not set");
        }
        ret->text = arena_dup(v->arena, str_of(value));
    }
    if (ret->text.len == 0 || ret->text.len > SECRET_BYTES_MAX) {
        return secret_missing(v, pair->value, is_file ? "file" : "environment variable",
                              "is empty or too long");
    }
    return true;
}

/* ---- one of several hosts ---- */

static const struct {
    const char *key;
    size_t offset;
    uint64_t min, max;
} target_numbers[] = {
    {"port", offsetof(struct target, port), 1, 65535},
    {"priority", offsetof(struct target, priority), 0, 65535},
    {"weight", offsetof(struct target, weight), 0, 65535},
};

static bool read_target_number(struct value_reading *v, const struct yaml_pair *pair,
                               struct target *ret)
{
    struct hint_words words = {.given = pair->key};
    uint64_t n = 0;

    hint_word_try(&words, STR("address"));
    for (size_t i = 0; i < COUNT_OF(target_numbers); i++) {
        hint_word_try(&words, str_of(target_numbers[i].key));
        if (!str_eq(pair->key, str_of(target_numbers[i].key))) {
            continue;
        }
        if (pair->value->kind != YAML_TEXT || !str_to_u64(pair->value->text, &n) ||
            n < target_numbers[i].min || n > target_numbers[i].max) {
            fault_error(v->faults, pair->value->at, "%.*s: %s must be %llu to %llu",
                        STR_ARG(v->key), target_numbers[i].key,
                        (unsigned long long)target_numbers[i].min,
                        (unsigned long long)target_numbers[i].max);
            return false;
        }
        *(uint32_t *)(void *)((char *)ret + target_numbers[i].offset) = (uint32_t)n;
        return true;
    }
    fault_error(v->faults, pair->at,
                "%.*s: a host has no \"%.*s\", only address, port, priority and weight",
                STR_ARG(v->key), STR_ARG(str_head(pair->key, 80)));
    if (hint_word_found(&words)) {
        fault_hint(v->faults, "did you mean %.*s?", STR_ARG(words.best));
    }
    return false;
}

bool value_read_target(struct value_reading *v, const struct setting *row, const struct yaml *node,
                       void *member)
{
    struct setting host = {.type = SETTING_HOST};
    struct target t = {.weight = 1};
    bool ok = true;

    (void)row;
    if (node->kind == YAML_MAP) {
        const struct yaml_pair *address = yaml_get(node, STR("address"));

        if (address == NULL || address->value->kind != YAML_TEXT) {
            fault_error(v->faults, node->at, "%.*s: each host needs an address", STR_ARG(v->key));
            return false;
        }
        ok = value_read_hostname(v, &host, address->value, &t.host);
        for (size_t i = 0; i < node->count; i++) {
            if (&node->pairs[i] != address) {
                ok = read_target_number(v, &node->pairs[i], &t) && ok;
            }
        }
    } else {
        ok = value_read_hostname(v, &host, node, &t.host);
    }
    if (ok) {
        memcpy(member, &t, sizeof t);
    }
    return ok;
}

bool value_read_secret(struct value_reading *v, const struct setting *row, const struct yaml *node,
                       void *member)
{
    struct secret s = {arena_dup(v->arena, node->text), node->text.len > 0};

    (void)row;
    if (node->kind == YAML_MAP && !read_secret_elsewhere(v, node, &s)) {
        return false;
    }
    memcpy(member, &s, sizeof s);
    return true;
}
