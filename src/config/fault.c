#include "config/fault.h"

#include "base/mem.h"

#include <stdarg.h>

struct fault_file {
    const struct fault_file *next;
    struct str name, text;
};

enum { SHOWN_MAX = 120, BEFORE_CARET_MAX = 90 };

/* A file may hold any UTF-8; what is shown must not move the cursor of whoever reads it. */
static struct str without_controls(struct arena *a, struct str s)
{
    struct str copy = arena_dup(a, s);
    char *bytes = arena_alloc(a, s.len + 1);

    for (size_t i = 0; i < copy.len; i++) {
        char c = copy.ptr[i];

        bytes[i] = (unsigned char)c < 0x20 || c == 0x7f ? ' ' : c;
    }
    return str_make(bytes, copy.len);
}

/* Where the value after a key's colon ends: behind its quotes, else before what parts it from the
 * next. */
static size_t value_end(struct str s, size_t at)
{
    char quote = at < s.len && (s.ptr[at] == '"' || s.ptr[at] == '\'') ? s.ptr[at] : 0;

    for (size_t i = at + (quote != 0); i < s.len; i++) {
        if (quote != 0 ? s.ptr[i] == quote : s.ptr[i] == ',' || s.ptr[i] == '}') {
            return i;
        }
    }
    return s.len;
}

/* What is shown of a line may go to a log: the values of keys that hold secrets become stars, as
 * many as they have bytes, so that a caret still points where it did. An object in place of a value
 * names a file or a variable, which is no secret. */
static struct str without_secrets(struct arena *a, struct str line)
{
    static const char *const keys[] = {"password", "secret", "token"};
    char *bytes = arena_alloc(a, line.len + 1);

    memcpy(bytes, line.ptr, line.len);
    for (size_t k = 0; k < COUNT_OF(keys); k++) {
        struct str key = str_of(keys[k]), rest = line;
        size_t found;

        while ((found = str_find_str(rest, key)) != STR_NONE) {
            size_t at = (size_t)(rest.ptr - line.ptr) + found + key.len;

            rest = str_skip(line, at);
            while (at < line.len && (line.ptr[at] == '"' || line.ptr[at] == '\'')) {
                at++;
            }
            if (at >= line.len || line.ptr[at] != ':') {
                continue;
            }
            do {
                at++;
            } while (at < line.len && line.ptr[at] == ' ');
            if (at < line.len && line.ptr[at] != '{') {
                memset(bytes + at, '*', value_end(line, at) - at);
            }
        }
    }
    return str_make(bytes, line.len);
}

void faults_know_file(struct faults *f, struct str name, struct str text)
{
    struct fault_file *file = ARENA_NEW(&f->arena, struct fault_file);

    file->name = arena_dup(&f->arena, name);
    file->text = arena_dup(&f->arena, text);
    file->next = f->files;
    f->files = file;
}

struct str faults_line(const struct faults *f, struct str name, uint32_t line)
{
    for (const struct fault_file *file = f->files; file != NULL; file = file->next) {
        struct str rest = file->text, head = STR_EMPTY;

        if (!str_eq(file->name, name)) {
            continue;
        }
        for (uint32_t i = 0; i < line; i++) {
            if (rest.len == 0) {
                return STR_EMPTY;
            }
            str_cut(&rest, '\n', &head);
        }
        /* Not empty, so it has a last byte. NOLINTNEXTLINE(clang-analyzer-core.*) */
        return str_trim_ws(head).len == 0 || head.ptr[head.len - 1] != '\r'
                   ? head
                   : str_head(head, head.len - 1);
    }
    return STR_EMPTY;
}

static void add(struct faults *f, enum fault_level level, struct position at, const char *format,
                va_list args) __attribute__((format(printf, 4, 0)));

static void add(struct faults *f, enum fault_level level, struct position at, const char *format,
                va_list args)
{
    struct buf text BUF_LOCAL = {0};

    f->errors += level == FAULT_ERROR;
    f->warnings += level == FAULT_WARNING;
    if (f->count == FAULTS_MAX) {
        f->dropped++;
        return;
    }
    if (f->count == f->size) {
        f->size = f->size == 0 ? 8 : f->size * 2;
        f->items = mem_grow(f->items, f->size, sizeof *f->items);
    }
    buf_vprintf(&text, format, args);
    f->items[f->count++] = (struct fault){
        .level = level,
        .at = {arena_dup(&f->arena, at.file), at.line, at.col},
        .text = without_controls(&f->arena, buf_str(&text)),
        .hint = STR_EMPTY,
        .source = without_secrets(&f->arena,
                                  without_controls(&f->arena, faults_line(f, at.file, at.line))),
    };
}

void fault_error(struct faults *f, struct position at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(f, FAULT_ERROR, at, format, args);
    va_end(args);
}

void fault_warn(struct faults *f, struct position at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(f, FAULT_WARNING, at, format, args);
    va_end(args);
}

void fault_note(struct faults *f, struct position at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(f, FAULT_NOTE, at, format, args);
    va_end(args);
}

void fault_hint(struct faults *f, const char *format, ...)
{
    struct buf text BUF_LOCAL = {0};
    va_list args;

    if (f->count == 0 || f->dropped > 0) {
        return;
    }
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    f->items[f->count - 1].hint = without_controls(&f->arena, buf_str(&text));
}

void position_print(struct position at, struct buf *out)
{
    if (at.line == 0) {
        buf_put(out, STR("(built in)"));
    } else {
        buf_printf(out, "%.*s:%u:%u", STR_ARG(at.file), at.line, at.col);
    }
}

/* s from its n-th character (not byte) on. */
static struct str skip_characters(struct str s, size_t n)
{
    size_t i = 0;

    while (i < s.len && n > 0) {
        i++;
        while (i < s.len && ((unsigned char)s.ptr[i] & 0xc0) == 0x80) {
            i++;
        }
        n--;
    }
    return str_skip(s, i);
}

static void print_source(const struct fault *f, struct buf *out)
{
    struct str source = f->source;
    uint32_t col = f->at.col == 0 ? 1 : f->at.col;

    if (str_trim(source).len == 0) {
        return;
    }
    if (col > BEFORE_CARET_MAX) { /* a long line: the part around the caret */
        source = skip_characters(source, col - BEFORE_CARET_MAX);
        col = BEFORE_CARET_MAX;
    }
    struct str beyond = skip_characters(source, SHOWN_MAX);

    buf_printf(out, "%6u | %.*s\n", f->at.line, (int)(source.len - beyond.len), source.ptr);
    buf_printf(out, "       | %*s^\n", (int)col - 1, "");
}

void fault_print(const struct fault *f, struct buf *out)
{
    static const char *const prefix[] = {
        [FAULT_ERROR] = "", [FAULT_WARNING] = "warning: ", [FAULT_NOTE] = "note: "};

    position_print(f->at, out);
    buf_printf(out, ": %s%.*s\n", prefix[f->level], STR_ARG(f->text));
    print_source(f, out);
    if (f->hint.len > 0) {
        buf_printf(out, "       hint: %.*s\n", STR_ARG(f->hint));
    }
}

void faults_print(const struct faults *f, struct buf *out)
{
    for (size_t i = 0; i < f->count; i++) {
        fault_print(&f->items[i], out);
    }
    if (f->dropped > 0) {
        buf_printf(out, "and %zu more\n", f->dropped);
    }
}

void faults_done(struct faults *f)
{
    arena_done(&f->arena);
    mem_free(f->items);
    *f = (struct faults){0};
}
