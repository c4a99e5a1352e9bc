/*
 * How a tree becomes structs.
 *
 * 1. A scope is a set of paths: the root scope holds the rows of every TABLE_ONE and the place of
 *    every table of objects; an object's scope holds the rows of its table.
 * 2. A key of the file is a path of its scope, the beginning of one, or unknown. Nothing is
 *    ignored.
 * 3. What the file does not give is read from the row's default by the same code.
 * 4. All faults are collected; only then is it decided whether there is a snapshot.
 */
#include "base/mem.h"
#include "config/hint.h"
#include "config/snapshot.h"
#include "config/source.h"
#include "config/value.h"

struct entry {
    struct str path;
    const struct setting *row;         /* NULL: the place of a table of objects */
    const struct setting_table *table; /* NULL: reserved by config/ itself */
    struct filled *owner;
    struct table_state *state; /* of the place */
    bool is_seen;
    struct position seen_at;
};

struct scope {
    struct entry *entries;
    size_t count;
    struct map by_path;  /* path -> entry */
    struct map interior; /* paths that only lead further */
};

struct load {
    const struct config_options *options;
    struct config *config;
    struct faults *faults;
    struct arena scratch;
    struct map defaults; /* row -> its default as a tree */
};

static const struct setting reserved[] = {
#include "config/reserved.def"
};

static struct str join(struct arena *a, struct str head, struct str tail)
{
    return head.len == 0 ? arena_dup(a, tail)
                         : arena_printf(a, "%.*s.%.*s", STR_ARG(head), STR_ARG(tail));
}

static struct entry *scope_add(struct scope *s, struct entry e)
{
    if (map_get(&s->by_path, e.path) != NULL) {
        return NULL; /* the first table that has the key wins */
    }
    struct entry *new = &s->entries[s->count++];

    *new = e;
    map_put(&s->by_path, new->path, new);
    for (size_t i = 0; i < new->path.len; i++) {
        if (new->path.ptr[i] == '.') {
            map_put(&s->interior, str_head(new->path, i), new);
        }
    }
    return new;
}

static void scope_done(struct scope *s)
{
    map_done(&s->by_path);
    map_done(&s->interior);
}

static void scope_add_rows(struct load *l, struct scope *s, const struct setting_table *table,
                           struct str prefix, struct filled *owner)
{
    for (size_t i = 0; i < table->row_count; i++) {
        scope_add(s, (struct entry){
                         .path = join(&l->scratch, prefix, str_of(table->rows[i].key)),
                         .row = &table->rows[i],
                         .table = table,
                         .owner = owner,
                     });
    }
}

static struct filled *filled_new(struct load *l, const struct setting_table *table,
                                 struct position at)
{
    struct arena *a = &l->config->arena;
    struct filled *f = ARENA_NEW(a, struct filled);

    f->table = table;
    f->settings = arena_alloc(a, table->size);
    f->at = at;
    f->where = arena_array(a, table->row_count + 1, sizeof *f->where);
    f->given = arena_array(a, table->row_count + 1, sizeof *f->given);
    map_put_num(&l->config->filled, (uintptr_t)f->settings, f);
    return f;
}

/* Whether an entry stands directly below `prefix`, or leads to what does; *word: its next word. */
static bool is_below(const struct entry *e, struct str prefix, struct str *word)
{
    struct str rest = e->path;

    if (prefix.len > 0) {
        if (!str_starts(rest, prefix) || rest.len <= prefix.len || rest.ptr[prefix.len] != '.') {
            return false;
        }
        rest = str_skip(rest, prefix.len + 1);
    }
    str_cut(&rest, '.', word);
    return e->row == NULL || e->row->type != SETTING_IS_RESERVED;
}

/* Which keys there are, when nothing resembles the one that was given. */
static void hint_keys(struct load *l, const struct scope *s, struct str prefix)
{
    struct buf list BUF_LOCAL = {0};
    struct str before = STR_EMPTY, word;

    for (size_t i = 0; i < s->count; i++) {
        if (is_below(&s->entries[i], prefix, &word) && !str_eq(word, before)) {
            buf_printf(&list, "%s%.*s", list.len > 0 ? ", " : "", STR_ARG(word));
            before = word;
        }
    }
    fault_hint(l->faults, "the keys here are %.*s", STR_ARG(buf_str(&list)));
}

static void tell_unknown(struct load *l, const struct scope *s, struct str prefix,
                         const struct yaml_pair *pair)
{
    struct hint_words words = {.given = pair->key};
    const struct entry *elsewhere = NULL;
    struct str path = join(&l->scratch, prefix, pair->key);

    for (size_t i = 0; i < s->count; i++) {
        const struct entry *e = &s->entries[i];
        size_t dot = str_rfind(e->path, '.');
        struct str word;

        if (e->row != NULL && e->row->type == SETTING_IS_RESERVED) {
            continue;
        }
        if (dot != STR_NONE && str_eq(str_skip(e->path, dot + 1), pair->key)) {
            elsewhere = e;
        }
        if (is_below(e, prefix, &word)) {
            hint_word_try(&words, word);
        }
    }
    fault_error(l->faults, pair->at, "unknown key \"%.*s\"", STR_ARG(str_head(path, 120)));
    if (str_find(pair->key, '.') != STR_NONE && map_get(&s->by_path, path) != NULL) {
        fault_hint(l->faults, "write a dot as nesting: %.*s: { %.*s: ... }",
                   (int)str_find(pair->key, '.'), pair->key.ptr,
                   STR_ARG(str_skip(pair->key, str_find(pair->key, '.') + 1)));
    } else if (hint_word_found(&words)) {
        fault_hint(l->faults, "did you mean %.*s?", STR_ARG(words.best));
    } else if (elsewhere != NULL) {
        fault_hint(l->faults, "there is %.*s", STR_ARG(elsewhere->path));
    } else {
        hint_keys(l, s, prefix);
    }
}

/* A default is YAML; a plain word needs no reader. Nothing in it has a place in a file. */
static const struct yaml *default_node(struct load *l, const struct setting *row)
{
    struct yaml *node = map_get_num(&l->defaults, (uintptr_t)row);
    size_t nodes = YAML_NODES_MAX;

    if (node != NULL) {
        return node;
    }
    if (strchr("[{\"'-", row->standard[0]) == NULL) {
        node = ARENA_NEW(&l->scratch, struct yaml);
        node->tag = STR_EMPTY;
        node->text = str_of(row->standard);
        node->at.file = STR_EMPTY;
    } else {
        node = yaml_read(&l->scratch, STR_EMPTY, str_of(row->standard), &nodes, l->faults);
    }
    if (node != NULL) {
        map_put_num(&l->defaults, (uintptr_t)row, node);
    }
    return node;
}

static void put_default(struct load *l, struct entry *e)
{
    struct value_reading v = {&l->config->arena, l->faults, l->options, e->path};
    const struct yaml *node = NULL;

    if (e->row->standard != NULL && e->row->standard[0] != '\0') {
        node = default_node(l, e->row);
    }
    if (node != NULL) {
        value_read(&v, e->row, node, (char *)e->owner->settings + e->row->offset);
    }
}

/* A value that is wrong counts as given; the checks that follow find the default in its place. */
static void read_row(struct load *l, struct entry *e, struct str key, const struct yaml *node,
                     struct position at)
{
    struct value_reading v = {&l->config->arena, l->faults, l->options, key};
    size_t i = (size_t)(e->row - e->table->rows);

    e->is_seen = true;
    e->seen_at = at;
    e->owner->given[i] = true;
    e->owner->where[i] = node->at;
    if (!value_read(&v, e->row, node, (char *)e->owner->settings + e->row->offset)) {
        put_default(l, e);
    }
}

static void read_objects(struct load *l, struct table_state *state, const struct yaml *node,
                         bool is_builtin);

/* What begins with "old: " had its place in another version of Stalwart, and has another here. */
static void tell_reserved(struct load *l, const struct entry *e, struct position at)
{
    struct str prose = str_of(e->row->prose), old = STR("old: ");

    if (str_starts(prose, old)) {
        fault_error(l->faults, at, "%.*s is an old name", STR_ARG(e->path));
        fault_hint(l->faults, "%.*s", STR_ARG(str_skip(prose, old.len)));
    } else {
        fault_error(l->faults, at, "%.*s is not offered by this version (%.*s)", STR_ARG(e->path),
                    STR_ARG(prose));
    }
}

static void take(struct load *l, struct scope *s, struct entry *e, const struct yaml_pair *pair)
{
    if (e->row == NULL) {
        read_objects(l, e->state, pair->value, false);
        return;
    }
    if (e->row->type == SETTING_IS_RESERVED) {
        tell_reserved(l, e, pair->at);
        return;
    }
    if (e->row->type == SETTING_IS_ALIAS) {
        size_t key_len = strlen(e->row->key);
        struct str stem = str_head(e->path, e->path.len - key_len);
        struct entry *real = map_get(
            &s->by_path, arena_printf(&l->scratch, "%.*s%s", STR_ARG(stem), e->row->prose));

        must(real != NULL);
        e = real;
    }
    if (e->is_seen) {
        fault_error(l->faults, pair->at, "%.*s is given twice: first in line %u, by another name",
                    STR_ARG(pair->key), e->seen_at.line);
        return;
    }
    read_row(l, e, pair->key, pair->value, pair->at);
}

static void walk(struct load *l, struct scope *s, struct str prefix, const struct yaml *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_pair *pair = &map->pairs[i];
        struct str path = join(&l->scratch, prefix, pair->key);
        struct entry *e = map_get(&s->by_path, path);
        bool leads_on = map_get(&s->interior, path) != NULL;

        if (str_find(pair->key, '.') != STR_NONE || (e == NULL && !leads_on)) {
            tell_unknown(l, s, prefix, pair);
        } else if (e != NULL &&
                   !(leads_on && e->row != NULL && e->row->type == SETTING_IS_RESERVED)) {
            take(l, s, e, pair);
        } else if (pair->value->kind == YAML_MAP) {
            walk(l, s, path, pair->value); /* no deeper than YAML_DEPTH_MAX */
        } else if (!yaml_is_null(pair->value)) {
            fault_error(l->faults, pair->value->at, "%.*s must be a map of keys, not %s",
                        STR_ARG(path), yaml_kind_name(pair->value));
        }
    }
}

/* What the file does not give. */
static void fill_defaults(struct load *l, struct scope *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = &s->entries[i];

        if (e->row == NULL || e->owner == NULL || value_size(e->row) == 0 ||
            e->owner->given[e->row - e->table->rows]) {
            continue;
        }
        if (e->row->standard == NULL) {
            fault_error(l->faults, e->owner->at, "%.*s is required", STR_ARG(e->path));
            fault_hint(l->faults, "%.*s: %s", STR_ARG(e->path), e->row->prose);
        } else {
            put_default(l, e);
        }
    }
}

static void object_add(struct load *l, struct table_state *state, struct config_object object)
{
    for (size_t i = 0; i < state->count; i++) {
        if (str_eq(state->objects[i].name, object.name)) {
            fault_error(l->faults, object.at, "%s: \"%.*s\" is declared twice", state->table->key,
                        STR_ARG(object.name));
            return;
        }
    }
    must(state->count < state->size);
    state->objects[state->count++] = object;
}

/* NAME: VALUE, where the table says which key that is. */
static const struct yaml *written_out(struct load *l, const struct setting_table *table,
                                      const struct yaml *node)
{
    struct yaml *map;

    if (table->short_row == NULL || node->kind != YAML_TEXT || yaml_is_null(node)) {
        return node;
    }
    map = ARENA_NEW(&l->scratch, struct yaml);
    *map = (struct yaml){.kind = YAML_MAP, .at = node->at, .tag = STR_EMPTY, .count = 1};
    map->pairs = ARENA_NEW(&l->scratch, struct yaml_pair);
    map->pairs[0] = (struct yaml_pair){str_of(table->short_row), node->at,
                                       ARENA_NEW(&l->scratch, struct yaml)};
    *map->pairs[0].value = *node;
    return map;
}

static void read_object(struct load *l, struct table_state *state, struct scope *s, struct str name,
                        struct position at, const struct yaml *node, bool is_builtin)
{
    const struct setting_table *table = state->table;
    struct filled *f = filled_new(l, table, at);

    node = written_out(l, table, node);
    if (node->kind != YAML_MAP && !yaml_is_null(node)) {
        fault_error(l->faults, node->at, "%s.%.*s must be a map of keys, not %s", table->key,
                    STR_ARG(name), yaml_kind_name(node));
        if (map_get(&s->by_path, name) != NULL) {
            fault_hint(l->faults, "it is a key of each: %s: { NAME: { %.*s: ... } }", table->key,
                       STR_ARG(name));
        }
        return;
    }
    for (size_t i = 0; i < s->count; i++) {
        s->entries[i].owner = f;
        s->entries[i].is_seen = false;
    }
    if (node->kind == YAML_MAP) {
        walk(l, s, STR_EMPTY, node);
    }
    fill_defaults(l, s);
    if (table->kind == TABLE_LIST) {
        const struct entry *e = map_get(&s->by_path, STR("name"));

        must(e != NULL && e->row->type == SETTING_NAME);
        memcpy(&name, (char *)f->settings + e->row->offset, sizeof name);
        if (name.ptr == NULL) {
            return; /* told already: it is required */
        }
    }
    object_add(l, state, (struct config_object){name, at, is_builtin, f->settings});
}

static bool name_is_free(const struct table_state *state, struct str name)
{
    for (size_t i = 0; i < state->count; i++) {
        if (str_eq(state->objects[i].name, name)) {
            return false;
        }
    }
    return true;
}

static void read_object_by_ip(struct load *l, struct table_state *state, struct scope *s,
                              const struct yaml_pair *pair)
{
    struct addr ip;
    char usual[ADDR_BYTES];

    if (!addr_parse_ip(pair->key, &ip)) {
        fault_error(l->faults, pair->at, "%s: \"%.*s\" is no IP address", state->table->key,
                    STR_ARG(str_head(pair->key, 80)));
        fault_hint(l->faults, "write 192.0.2.1, or \"2001:db8::1\" in quotes");
        return;
    }
    read_object(l, state, s, arena_dup(&l->config->arena, addr_print_ip(&ip, usual)), pair->at,
                pair->value, false);
}

static void state_grow(struct load *l, struct table_state *state, size_t more)
{
    struct config_object *objects = arena_array(&l->config->arena, state->count + more + 1,
                                                sizeof *objects);

    for (size_t i = 0; i < state->count; i++) {
        objects[i] = state->objects[i];
    }
    state->objects = objects;
    state->size = state->count + more;
}

static void read_objects(struct load *l, struct table_state *state, const struct yaml *node,
                         bool is_builtin)
{
    const struct setting_table *table = state->table;
    bool is_list = table->kind == TABLE_LIST;
    struct scope s = {0};

    if (yaml_is_null(node)) {
        return;
    }
    if (node->kind != (is_list ? YAML_LIST : YAML_MAP) || node->count > SETTING_OBJECTS_MAX) {
        fault_error(l->faults, node->at, "%s must be %s of at most %d objects", table->key,
                    is_list ? "a list" : "a map", SETTING_OBJECTS_MAX);
        return;
    }
    s.entries = arena_array(&l->scratch, table->row_count, sizeof *s.entries);
    scope_add_rows(l, &s, table, STR_EMPTY, NULL);
    state_grow(l, state, node->count);
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_pair *pair = is_list ? NULL : &node->pairs[i];

        if (is_list) {
            read_object(l, state, &s, STR_EMPTY, node->items[i]->at, node->items[i], false);
        } else if (table->is_by_ip) {
            read_object_by_ip(l, state, &s, pair);
        } else if (!name_is_good(pair->key)) {
            fault_error(l->faults, pair->at,
                        "%s: a name must have 1 to %d letters, digits, "
                        "\".\", \"_\" or \"-\"",
                        table->key, NAME_BYTES_MAX);
        } else if (!is_builtin || name_is_free(state, pair->key)) {
            read_object(l, state, &s, arena_dup(&l->config->arena, pair->key), pair->at,
                        pair->value, is_builtin);
        }
    }
    scope_done(&s);
}

static void add_builtins(struct load *l, struct table_state *state)
{
    size_t nodes = YAML_NODES_MAX;

    if (state->table->builtin == NULL) {
        return;
    }
    const struct yaml *tree = yaml_read(&l->scratch, STR_EMPTY, str_of(state->table->builtin),
                                        &nodes, l->faults);

    if (tree != NULL) {
        read_objects(l, state, tree, true);
    }
}

static void build_root(struct load *l, struct scope *root, struct position at)
{
    size_t rows = COUNT_OF(reserved);

    for (size_t i = 0; i < l->options->table_count; i++) {
        rows += 1 + l->options->tables[i]->row_count;
    }
    root->entries = arena_array(&l->scratch, rows, sizeof *root->entries);
    for (size_t i = 0; i < l->options->table_count; i++) {
        const struct setting_table *table = l->options->tables[i];
        struct table_state *state = &l->config->states[i];

        state->table = table;
        if (table->kind == TABLE_ONE) {
            state->one = filled_new(l, table, at);
            scope_add_rows(l, root, table, str_of(table->key), state->one);
        } else {
            scope_add(root,
                      (struct entry){.path = str_of(table->key), .table = table, .state = state});
        }
    }
    for (size_t i = 0; i < COUNT_OF(reserved); i++) {
        scope_add(root, (struct entry){.path = str_of(reserved[i].key), .row = &reserved[i]});
    }
}

static struct config *load(const struct config_options *o, struct str file, struct str text,
                           bool is_text, struct faults *faults)
{
    struct config *cfg = MEM_NEW(struct config);
    struct load l = {.options = o, .config = cfg, .faults = faults};
    size_t errors = faults->errors;
    struct scope root = {0};
    struct yaml *tree = NULL;

    atomic_init(&cfg->references, 1);
    cfg->number = o->number;
    cfg->file = arena_dup(&cfg->arena, file);
    cfg->state_count = o->table_count;
    cfg->states = arena_array(&cfg->arena, o->table_count + 1, sizeof *cfg->states);
    if (is_text) {
        tree = source_text(o, cfg->file, text, &cfg->arena, faults);
    } else if (file.len > 0) {
        tree = source_file(o, cfg->file, &cfg->arena, faults);
    }
    if (tree != NULL || faults->errors == errors) {
        build_root(&l, &root, (struct position){cfg->file, file.len > 0 ? 1 : 0, 1});
        if (tree != NULL) {
            walk(&l, &root, STR_EMPTY, tree);
        }
        fill_defaults(&l, &root);
        for (size_t i = 0; i < o->table_count; i++) {
            add_builtins(&l, &cfg->states[i]);
        }
        for (size_t i = 0; i < o->table_count; i++) {
            if (o->tables[i]->check != NULL) {
                o->tables[i]->check(cfg, faults);
            }
        }
    }
    scope_done(&root);
    map_done(&l.defaults);
    arena_done(&l.scratch);
    if (faults->errors == errors || (o->is_check && tree != NULL)) {
        return cfg;
    }
    config_give(cfg);
    return NULL;
}

struct config *config_load(const struct config_options *o, struct str path, struct faults *faults)
{
    return load(o, path, STR_EMPTY, false, faults);
}

struct config *config_parse(const struct config_options *o, struct str name, struct str text,
                            struct faults *faults)
{
    return load(o, name, text, true, faults);
}

bool config_tables_are_sound(const struct setting_table *const *tables, size_t count,
                             struct faults *faults)
{
    struct config_options o = {.tables = tables, .table_count = count};
    struct config *cfg = config_load(&o, STR_EMPTY, faults);
    bool ok = cfg != NULL;

    config_give(cfg);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < tables[i]->row_count; k++) {
            const struct setting *row = &tables[i]->rows[k];

            if (row->min > row->max && row->max != 0) {
                fault_error(faults, (struct position){0}, "%s.%s: bounds", tables[i]->key,
                            row->key);
                ok = false;
            }
        }
    }
    return ok;
}
