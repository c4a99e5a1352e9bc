#include "config/yaml.h"

#include "base/map.h"
#include "base/mem.h"
#include "config/hint.h"

#include <libfyaml.h>

/* A map or list that is still being read. */
struct frame {
    struct yaml *node;
    struct yaml **items;
    struct yaml_pair *pairs;
    size_t count, size;
    struct map keys;  /* of a map: key -> its struct position, for duplicates */
    struct yaml *key; /* of a map: read, its value not yet */
};

struct reading {
    struct arena *arena;
    struct faults *faults;
    struct str name;
    size_t *nodes_left;
    struct frame frames[YAML_DEPTH_MAX];
    size_t depth;
    struct yaml *root;
    unsigned documents;
};

/* A value that is not written has no mark; it stands where its key does. */
static struct position position_of(const struct reading *r, const struct fy_mark *mark)
{
    const struct frame *f = r->depth == 0 ? NULL : &r->frames[r->depth - 1];

    if (r->name.len == 0) {
        return (struct position){r->name, 0, 0}; /* ours, not from a file */
    }
    if (mark != NULL) {
        return (struct position){r->name, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
    }
    if (f == NULL) {
        return (struct position){r->name, 1, 1};
    }
    return f->key != NULL ? f->key->at : f->node->at;
}

static struct position offset_position(struct str name, struct str text, size_t offset)
{
    struct position at = {name, 1, 1};

    for (size_t i = 0; i < offset; i++) {
        if (text.ptr[i] == '\n') {
            at.line++;
            at.col = 1;
        } else if (((unsigned char)text.ptr[i] & 0xc0) != 0x80) {
            at.col++;
        }
    }
    return at;
}

/* Well-formed UTF-8 without NUL; otherwise a fault at the first line that is not. */
static bool check_bytes(struct faults *f, struct str name, struct str text)
{
    struct str rest = text, line;

    while (rest.len > 0) {
        str_cut(&rest, '\n', &line);
        size_t nul = str_find(line, '\0');

        if (nul == STR_NONE && str_is_utf8(line)) {
            continue;
        }
        size_t good = nul;

        if (nul == STR_NONE) { /* the longest head that is whole characters */
            for (good = line.len - 1; good > 0 && !str_is_utf8(str_head(line, good)); good--) {
            }
        }
        fault_error(f, offset_position(name, text, (size_t)(line.ptr - text.ptr) + good),
                    nul != STR_NONE ? "a NUL byte: this is not a text file"
                                    : "a byte that is not UTF-8");
        return false;
    }
    return true;
}

static struct yaml *node_new(struct reading *r, enum yaml_kind kind, struct position at)
{
    struct yaml *n = ARENA_NEW(r->arena, struct yaml);

    n->kind = kind;
    n->at = at;
    n->tag = STR_EMPTY;
    n->text = STR_EMPTY;
    return n;
}

static void frame_grow(struct frame *f)
{
    if (f->count < f->size) {
        return;
    }
    f->size = f->size == 0 ? 8 : f->size * 2;
    if (f->node->kind == YAML_MAP) {
        f->pairs = mem_grow(f->pairs, f->size, sizeof *f->pairs);
    } else {
        f->items = mem_grow(f->items, f->size, sizeof *f->items);
    }
}

static void put_pair(struct reading *r, struct frame *f, struct yaml *value)
{
    struct yaml *key = f->key;
    struct yaml *before = map_get(&f->keys, key->text);

    f->key = NULL;
    if (before != NULL) {
        fault_error(r->faults, key->at, "\"%.*s\" is given twice: first in line %u",
                    STR_ARG(key->text), before->at.line);
        return;
    }
    map_put(&f->keys, key->text, key);
    frame_grow(f);
    f->pairs[f->count++] = (struct yaml_pair){key->text, key->at, value};
}

/* A node is complete, or opens: it belongs to the innermost map or list. */
static bool put_node(struct reading *r, struct yaml *n)
{
    if (r->depth == 0) {
        r->root = n;
        return true;
    }
    struct frame *f = &r->frames[r->depth - 1];

    if (f->node->kind == YAML_LIST) {
        frame_grow(f);
        f->items[f->count++] = n;
    } else if (f->key != NULL) {
        put_pair(r, f, n);
    } else if (n->kind == YAML_TEXT) {
        f->key = n;
    } else {
        fault_error(r->faults, n->at, "a key must be a text, not %s", yaml_kind_name(n));
        return false;
    }
    return true;
}

static bool open_frame(struct reading *r, struct yaml *n)
{
    if (!put_node(r, n)) {
        return false;
    }
    if (r->depth == YAML_DEPTH_MAX) {
        fault_error(r->faults, n->at, "nested more than %d deep", YAML_DEPTH_MAX);
        return false;
    }
    r->frames[r->depth++] = (struct frame){.node = n};
    return true;
}

static void frame_done(struct frame *f)
{
    mem_free(f->items);
    mem_free(f->pairs);
    map_done(&f->keys);
}

static void close_frame(struct reading *r)
{
    must(r->depth > 0);
    struct frame *f = &r->frames[--r->depth];
    struct yaml *n = f->node;

    n->count = f->count;
    if (f->count > 0 && n->kind == YAML_MAP) {
        n->pairs = arena_array(r->arena, f->count, sizeof *n->pairs);
        memcpy(n->pairs, f->pairs, f->count * sizeof *n->pairs);
    } else if (f->count > 0) {
        n->items = arena_array(r->arena, f->count, sizeof *n->items);
        memcpy(n->items, f->items, f->count * sizeof *n->items);
    }
    frame_done(f);
}

static enum yaml_style style_of(struct fy_token *t)
{
    switch (t == NULL ? FYSS_PLAIN : fy_token_scalar_style(t)) {
    case FYSS_SINGLE_QUOTED:
        return YAML_SINGLE;
    case FYSS_DOUBLE_QUOTED:
        return YAML_DOUBLE;
    case FYSS_LITERAL:
    case FYSS_FOLDED:
        return YAML_BLOCK;
    case FYSS_ANY:
    case FYSS_PLAIN:
    case FYSS_MAX:
        break;
    }
    return YAML_PLAIN;
}

static struct str token_text(struct reading *r, struct fy_token *t)
{
    size_t len = 0;
    const char *text = t == NULL ? NULL : fy_token_get_text(t, &len);

    return text == NULL ? STR_EMPTY : arena_dup(r->arena, str_make(text, len));
}

/* Anchors name a node for aliases, which can make a small file enormous; we have `include`. */
static void refuse_anchor(struct reading *r, struct fy_event *e, struct position at)
{
    if (fy_event_get_anchor_token(e) != NULL) {
        fault_error(r->faults, at, "anchors (&name) and aliases (*name) are not read here");
        hint_expression_at(r->faults, at);
    }
}

static bool take_node(struct reading *r, struct fy_event *e, enum yaml_kind kind)
{
    struct position at = position_of(r, fy_event_start_mark(e));
    struct fy_token *tag = fy_event_get_tag_token(e);

    if (*r->nodes_left == 0) {
        fault_error(r->faults, at, "more than %d values", YAML_NODES_MAX);
        return false;
    }
    --*r->nodes_left;
    struct yaml *n = node_new(r, kind, at);

    refuse_anchor(r, e, at);
    n->tag = token_text(r, tag);
    if (kind != YAML_TEXT) {
        if (n->tag.len > 0) {
            fault_error(r->faults, at, "tags such as %.*s are not read here", STR_ARG(n->tag));
            hint_syntax_at(r->faults, at);
        }
        return open_frame(r, n);
    }
    n->style = style_of(fy_event_get_token(e));
    n->text = token_text(r, fy_event_get_token(e));
    return put_node(r, n);
}

static bool take_event(struct reading *r, struct fy_event *e)
{
    switch (e->type) {
    case FYET_SCALAR:
        return take_node(r, e, YAML_TEXT);
    case FYET_SEQUENCE_START:
        return take_node(r, e, YAML_LIST);
    case FYET_MAPPING_START:
        return take_node(r, e, YAML_MAP);
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        close_frame(r);
        return true;
    case FYET_ALIAS: {
        struct position at = position_of(r, fy_event_start_mark(e));

        fault_error(r->faults, at, "anchors (&name) and aliases (*name) are not read here");
        hint_expression_at(r->faults, at);
        return put_node(r, node_new(r, YAML_TEXT, at));
    }
    case FYET_DOCUMENT_START:
        if (++r->documents > 1) {
            fault_error(r->faults, position_of(r, fy_event_start_mark(e)),
                        "a second document (---): a configuration is one");
            return false;
        }
        return true;
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        break;
    }
    return true;
}

static void tell_syntax(struct reading *r, struct fy_diag *diag)
{
    void *at = NULL;
    struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);
    struct position where = {r->name, 1, 1};

    if (e != NULL && e->line > 0) {
        where.line = (uint32_t)e->line;
        where.col = e->column > 0 ? (uint32_t)e->column : 1;
    }
    fault_error(r->faults, where, "not YAML: %s",
                e != NULL && e->msg != NULL ? e->msg : "cannot be read");
    if (str_find(faults_line(r->faults, where.file, where.line), '\t') != STR_NONE) {
        fault_hint(r->faults, "indent with spaces");
    } else {
        hint_syntax_at(r->faults, where);
    }
}

static bool read_events(struct reading *r, struct str text)
{
    struct fy_diag_cfg diag_cfg;
    struct fy_event *e;
    bool ok = true, ended = false;

    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.colorize = false;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);

    must(diag != NULL);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE | FYPCF_COLLECT_DIAG,
        .diag = diag,
    };
    struct fy_parser *parser = fy_parser_create(&cfg);

    must(parser != NULL);
    must(fy_parser_set_string(parser, text.ptr, text.len) == 0);
    while (ok && !ended && (e = fy_parser_parse(parser)) != NULL) {
        ended = e->type == FYET_STREAM_END;
        ok = take_event(r, e);
        fy_parser_event_free(parser, e);
    }
    if (ok && !ended) {
        tell_syntax(r, diag);
        ok = false;
    }
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return ok;
}

struct yaml *yaml_read(struct arena *a, struct str name, struct str text, size_t *nodes_left,
                       struct faults *faults)
{
    struct reading r = {
        .arena = a, .faults = faults, .name = arena_dup(a, name), .nodes_left = nodes_left};

    if (text.len > YAML_BYTES_MAX) {
        fault_error(faults, (struct position){name, 1, 1}, "larger than %d MiB",
                    YAML_BYTES_MAX >> 20);
        return NULL;
    }
    if (str_starts(text, STR("\xef\xbb\xbf"))) { /* a byte order mark says nothing in UTF-8 */
        text = str_skip(text, 3);
    }
    faults_know_file(faults, name, text);
    if (!check_bytes(faults, name, text)) {
        return NULL;
    }
    bool ok = read_events(&r, text);

    while (r.depth > 0) {
        frame_done(&r.frames[--r.depth]);
    }
    if (!ok) {
        return NULL;
    }
    if (r.root == NULL || yaml_is_null(r.root)) {
        r.root = node_new(&r, YAML_MAP, (struct position){r.name, 1, 1});
    }
    return r.root;
}

bool yaml_is_null(const struct yaml *n)
{
    return n->kind == YAML_TEXT && n->style == YAML_PLAIN && n->tag.len == 0 &&
           (n->text.len == 0 || str_eq(n->text, STR("~")) || str_eq(n->text, STR("null")));
}

const struct yaml_pair *yaml_get(const struct yaml *map, struct str key)
{
    for (size_t i = 0; map->kind == YAML_MAP && i < map->count; i++) {
        if (str_eq(map->pairs[i].key, key)) {
            return &map->pairs[i];
        }
    }
    return NULL;
}

const char *yaml_kind_name(const struct yaml *n)
{
    switch (n->kind) {
    case YAML_TEXT:
        return "a text";
    case YAML_LIST:
        return "a list";
    case YAML_MAP:
        return "a map";
    }
    never("a kind of node");
}
