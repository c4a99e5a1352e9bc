#include "config/source.h"

#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct source {
    const struct config_options *options;
    struct arena *arena;
    struct faults *faults;
    size_t nodes_left;
    unsigned files;
    struct str open[INCLUDE_DEPTH_MAX]; /* the files that are being read, outermost first */
    unsigned depth;
};

static struct err read_all(int fd, struct arena *a, struct str *ret)
{
    struct buf bytes BUF_LOCAL = {.max = YAML_BYTES_MAX + 1};

    for (;;) {
        char *room = buf_room(&bytes, 1 << 14);

        if (room == NULL) {
            return err_of(ERR_LIMIT);
        }
        ssize_t n = read(fd, room, 1 << 14);

        if (n < 0 && errno != EINTR) {
            return err_sys(ERR_SYSTEM, errno);
        }
        if (n == 0) {
            break;
        }
        bytes.len += n > 0 ? (size_t)n : 0;
    }
    *ret = arena_dup(a, buf_str(&bytes));
    return ERR_OK;
}

struct err source_bytes(const struct config_options *o, struct str path, struct arena *a,
                        struct str *ret)
{
    if (o->read != NULL) {
        return o->read(o->read_arg, path, a, ret);
    }
    int fd = open(arena_z(a, path), O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return err_sys(ERR_SYSTEM, errno);
    }
    struct err e = read_all(fd, a, ret);

    close(fd);
    return e;
}

struct str source_beside(struct arena *a, struct str file, struct str path)
{
    size_t slash = str_rfind(file, '/');

    if (path.len == 0 || path.ptr[0] == '/' || slash == STR_NONE) {
        return arena_dup(a, path);
    }
    return arena_printf(a, "%.*s/%.*s", (int)slash, file.ptr, STR_ARG(path));
}

/* The pairs of `from` join those of `into`. */
static void merge(struct source *s, struct yaml *into, const struct yaml *from)
{
    struct map there = {0};
    struct yaml_pair *pairs = arena_array(s->arena, into->count + from->count + 1, sizeof *pairs);
    size_t count = into->count;

    memcpy(pairs, into->pairs != NULL ? into->pairs : pairs, count * sizeof *pairs);
    for (size_t i = 0; i < count; i++) {
        map_put(&there, pairs[i].key, &pairs[i]);
    }
    for (size_t i = 0; i < from->count; i++) {
        struct yaml_pair *new = &from->pairs[i], *old = map_get(&there, new->key);

        if (old == NULL) {
            pairs[count++] = *new;
        } else if (old->value->kind == YAML_MAP && new->value->kind == YAML_MAP) {
            merge(s, old->value, new->value); /* no deeper than YAML_DEPTH_MAX */
        } else {
            fault_error(s->faults, new->at, "\"%.*s\" is given twice: first at %.*s:%u",
                        STR_ARG(new->key), STR_ARG(old->at.file), old->at.line);
        }
    }
    into->pairs = pairs;
    into->count = count;
    map_done(&there);
}

static struct yaml *open_file(struct source *s, struct str path, struct position from);

static void include(struct source *s, struct yaml *into, const struct yaml *name)
{
    if (name->kind != YAML_TEXT || yaml_is_null(name) || str_find(name->text, '\0') != STR_NONE) {
        fault_error(s->faults, name->at, "include takes the name of a file, or a list of them");
        return;
    }
    struct str path = source_beside(s->arena, name->at.file, name->text);
    struct yaml *tree = open_file(s, path, name->at);

    if (tree != NULL) {
        merge(s, into, tree);
    }
}

/* Takes `include` out of the map and joins what it names. */
static void include_all(struct source *s, struct yaml *root)
{
    const struct yaml_pair *pair = yaml_get(root, STR("include"));

    if (pair == NULL) {
        return;
    }
    const struct yaml *names = pair->value;
    size_t at = (size_t)(pair - root->pairs);

    for (size_t i = at; i + 1 < root->count; i++) {
        root->pairs[i] = root->pairs[i + 1];
    }
    root->count--;
    if (names->kind != YAML_LIST) {
        include(s, root, names);
    }
    for (size_t i = 0; names->kind == YAML_LIST && i < names->count; i++) {
        include(s, root, names->items[i]);
    }
}

static struct yaml *read_text(struct source *s, struct str name, struct str text)
{
    struct yaml *root = yaml_read(s->arena, name, text, &s->nodes_left, s->faults);

    if (root == NULL) {
        return NULL;
    }
    if (root->kind != YAML_MAP) {
        fault_error(s->faults, root->at, "a configuration is a map of keys, not %s",
                    yaml_kind_name(root));
        return NULL;
    }
    include_all(s, root);
    return root;
}

static struct yaml *open_file(struct source *s, struct str path, struct position from)
{
    struct str text;
    char why[128];

    for (unsigned i = 0; i < s->depth; i++) {
        if (str_eq(s->open[i], path)) {
            fault_error(s->faults, from, "%.*s includes itself", STR_ARG(path));
            return NULL;
        }
    }
    if (s->depth == INCLUDE_DEPTH_MAX || s->files == INCLUDE_FILES_MAX) {
        fault_error(s->faults, from, "include: more than %d files deep or %d in all",
                    INCLUDE_DEPTH_MAX, INCLUDE_FILES_MAX);
        return NULL;
    }
    struct err e = source_bytes(s->options, path, s->arena, &text);

    if (e.code != OK) {
        fault_error(s->faults, from, "%.*s cannot be read: %.*s", STR_ARG(path),
                    STR_ARG(err_say(e, why, sizeof why)));
        return NULL;
    }
    s->files++;
    s->open[s->depth++] = path;
    struct yaml *root = read_text(s, path, text);

    s->depth--;
    return root;
}

struct yaml *source_file(const struct config_options *o, struct str path, struct arena *a,
                         struct faults *faults)
{
    struct source s = {.options = o, .arena = a, .faults = faults, .nodes_left = YAML_NODES_MAX};

    return open_file(&s, arena_dup(a, path), (struct position){path, 1, 1});
}

struct yaml *source_text(const struct config_options *o, struct str name, struct str text,
                         struct arena *a, struct faults *faults)
{
    struct source s = {.options = o, .arena = a, .faults = faults, .nodes_left = YAML_NODES_MAX};

    return read_text(&s, name, text);
}
