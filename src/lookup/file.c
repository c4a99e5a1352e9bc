#include "lookup/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct table {
    char *bytes;    /* of the file; keys and values are views */
    struct map map; /* key -> struct value */
    struct arena arena;
};

struct value {
    struct str text;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return true;
        }
    }
    return false;
}

/* NULL when the line is good. */
static const char *line_take(struct table *t, struct str line)
{
    struct str key, value;
    struct value *v;
    size_t end = 0;

    line = str_trim_ws(line);
    if (line.len == 0 || line.ptr[0] == '#') {
        return NULL;
    }
    if (line.len > FILE_LINE_MAX) {
        return "the line is too long";
    }
    if (!str_is_utf8(line)) {
        return "the line is not UTF-8";
    }
    if (has_control(line)) {
        return "the line holds a control character";
    }
    while (end < line.len && !is_blank(line.ptr[end])) {
        end++;
    }
    key = str_head(line, end);
    value = str_trim(str_skip(line, end));
    v = map_get(&t->map, key);
    if (v != NULL) {
        return str_eq(v->text, value) ? NULL : "the key is there already, with another value";
    }
    v = ARENA_NEW(&t->arena, struct value);
    v->text = value;
    map_put(&t->map, key, v);
    return NULL;
}

struct table *table_parse(struct str text, size_t *line, const char **why)
{
    struct table *t = MEM_NEW(struct table);
    struct str rest;

    t->bytes = mem_dup_z(text.ptr, text.len);
    rest = str_make(t->bytes, text.len);
    *line = 0;
    while (rest.len > 0) {
        struct str one;

        (void)str_cut(&rest, '\n', &one);
        ++*line;
        *why = line_take(t, one);
        if (*why != NULL) {
            table_drop(t);
            return NULL;
        }
    }
    return t;
}

void table_drop(struct table *t)
{
    if (t != NULL) {
        map_done(&t->map);
        arena_done(&t->arena);
        mem_free(t->bytes);
        mem_free(t);
    }
}

size_t table_count(const struct table *t)
{
    return t->map.count;
}

bool table_get(const struct table *t, struct str key, struct str *ret)
{
    const struct value *v = map_get(&t->map, key);

    if (v != NULL) {
        *ret = v->text;
    }
    return v != NULL;
}

/* ---- the file system ---- */

static struct file_mark mark_of(const struct stat *st)
{
    return (struct file_mark){st->st_dev, st->st_ino, st->st_size, st->st_mtim};
}

bool file_mark(const char *path, struct file_mark *ret)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return false;
    }
    *ret = mark_of(&st);
    return true;
}

bool file_mark_eq(const struct file_mark *a, const struct file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* The whole file into *ret, which the caller frees. */
static bool read_all(const char *path, struct file_mark *mark, char **ret, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    char *at = NULL;
    bool good = false;

    *len = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        goto end;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX) {
        errno = EFBIG;
        goto end;
    }
    *mark = mark_of(&st);
    at = mem_alloc_raw((size_t)st.st_size + 1);
    while (*len < (size_t)st.st_size) {
        ssize_t n = read(fd, at + *len, (size_t)st.st_size - *len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            goto end;
        }
        if (n == 0) {
            break; /* it became shorter: the next mark differs */
        }
        *len += (size_t)n;
    }
    good = true;
end:
    if (fd >= 0) {
        int kept = errno;

        close(fd);
        errno = kept;
    }
    if (!good) {
        mem_free(at);
        at = NULL;
    }
    *ret = at;
    return good;
}

static struct table *read_table(const char *path, struct file_mark *mark, size_t *line,
                                const char **why)
{
    struct table *t = NULL;
    size_t len;
    char *bytes;

    *line = 0;
    if (!read_all(path, mark, &bytes, &len)) {
        *why = strerror(errno);
        return NULL;
    }
    t = table_parse(str_make(bytes, len), line, why);
    mem_free(bytes);
    return t;
}

struct table *file_read(const char *path, struct file_mark *mark, struct buf *why)
{
    const char *text;
    size_t line;
    struct table *t = read_table(path, mark, &line, &text);

    if (t == NULL && line > 0) {
        buf_printf(why, "%s:%zu: %s", path, line, text);
    } else if (t == NULL) {
        buf_printf(why, "%s: %s", path, text);
    }
    return t;
}

void file_check(struct str path, struct faults *faults)
{
    struct arena a ARENA_LOCAL = {0};
    struct file_mark mark;
    const char *text;
    size_t line;
    struct table *t = read_table(arena_z(&a, path), &mark, &line, &text);

    /* One that cannot be opened was told with the setting. */
    if (t == NULL && line > 0) {
        fault_error(faults, (struct position){path, (uint32_t)line, 1}, "%s", text);
    }
    table_drop(t);
}
