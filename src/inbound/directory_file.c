#include "inbound/directory_file.h"

#include "base/buf.h"
#include "inbound/directory.h"
#include "mail/address.h"
#include "mail/path.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next line without its end and comment; false at the end of the text. */
static bool line_next(struct str *text, struct position *at, struct str *ret)
{
    if (text->len == 0) {
        return false;
    }
    str_cut(text, '\n', ret);
    at->line++;
    at->col = 1;
    for (size_t i = 0; i < ret->len; i++) {
        if (ret->ptr[i] == '#' && (i == 0 || is_blank(ret->ptr[i - 1]))) {
            ret->len = i;
        }
    }
    while (ret->len > 0 && (ret->ptr[ret->len - 1] == '\r' || is_blank(ret->ptr[ret->len - 1]))) {
        ret->len--;
    }
    return true;
}

/* Position of c outside of double quotes. */
static size_t find_unquoted(struct str s, char c)
{
    bool quoted = false;

    for (size_t i = 0; i < s.len; i++) {
        if (quoted && s.ptr[i] == '\\') {
            i++;
        } else if (s.ptr[i] == '"') {
            quoted = !quoted;
        } else if (s.ptr[i] == c && !quoted) {
            return i;
        }
    }
    return STR_NONE;
}

/* An address, or a bare local part; *ret lives in a. */
static bool name_read(struct str text, struct arena *a, struct str *ret)
{
    struct path p;

    if (find_unquoted(text, '@') == STR_NONE) {
        *ret = text;
        return local_is_valid(text, true) && str_is_utf8(text);
    }
    if (path_parse_address(text, true, a, &p) != REFUSAL_NONE || p.is_literal) {
        return false;
    }
    *ret = p.address;
    return true;
}

static void alias_read(struct str line, struct position at, struct arena *a, alias_line_fn *fn,
                       void *ctx, struct faults *faults)
{
    size_t colon = find_unquoted(line, ':');
    struct alias_line ret = {.at = at};
    struct buf all BUF_LOCAL = {0};

    if (colon == STR_NONE || !name_read(str_trim(str_head(line, colon)), a, &ret.name)) {
        fault_error(faults, at, "a line here is `name: address, ...`");
        return;
    }
    for (struct str rest = str_skip(line, colon + 1); rest.len > 0;) {
        size_t comma = find_unquoted(rest, ',');
        struct str one = str_trim(str_head(rest, comma == STR_NONE ? rest.len : comma));
        struct str target;

        rest = comma == STR_NONE ? STR_EMPTY : str_skip(rest, comma + 1);
        if (one.len == 0) {
            continue;
        }
        if (one.ptr[0] == '|' || one.ptr[0] == '/') {
            fault_error(faults, at, "`%.*s`: aliases stand for addresses, not programs or files",
                        STR_ARG(one));
            return;
        }
        if (!name_read(one, a, &target)) {
            fault_error(faults, at, "`%.*s` is no address", STR_ARG(one));
            return;
        }
        buf_put(&all, str_make((const char *)&target, sizeof target));
    }
    if (all.len == 0) {
        fault_error(faults, at, "alias %.*s stands for nothing", STR_ARG(ret.name));
        return;
    }
    ret.targets = (const struct str *)(const void *)all.ptr;
    ret.target_count = all.len / sizeof *ret.targets;
    fn(ctx, &ret);
}

void aliases_read(struct str file, struct str text, alias_line_fn *fn, void *ctx,
                  struct faults *faults)
{
    struct arena scratch ARENA_LOCAL = {0};
    struct buf whole BUF_LOCAL = {0};
    struct position at = {file, 0, 0}, begun = at;
    struct str line = STR_EMPTY;
    bool more = true;

    while (more) {
        more = line_next(&text, &at, &line);
        bool continues = more && line.len > 0 && is_blank(line.ptr[0]);

        if (continues && whole.len == 0) {
            fault_error(faults, at, "this line continues nothing");
            continue;
        }
        if (more && line.len == 0) {
            continue;
        }
        if (!continues) {
            if (whole.len > 0) {
                alias_read(buf_str(&whole), begun, &scratch, fn, ctx, faults);
                arena_reset(&scratch);
            }
            buf_clear(&whole);
            begun = at;
        }
        if (more) {
            buf_put(&whole, line);
        }
    }
}

void recipients_read(struct str file, struct str text, recipient_line_fn *fn, void *ctx,
                     struct faults *faults)
{
    struct arena scratch ARENA_LOCAL = {0};
    struct position at = {file, 0, 0};
    struct str line, address;

    while (line_next(&text, &at, &line)) {
        line = str_trim(line);
        if (line.len == 0) {
            continue;
        }
        if (line.ptr[0] == '@' && domain_is_valid(str_skip(line, 1), true)) {
            fn(ctx, line, at);
        } else if (find_unquoted(line, '@') != STR_NONE && name_read(line, &scratch, &address)) {
            fn(ctx, address, at);
        } else {
            fault_error(faults, at, "a line here is `local-part@domain` or `@domain`");
        }
        arena_reset(&scratch);
    }
}

static bool read_all(int fd, struct arena *a, struct str *ret)
{
    struct stat st;
    size_t len = 0;
    char *at;

    if (fstat(fd, &st) != 0) {
        return false;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > DIRECTORY_FILE_BYTES_MAX) {
        errno = EFBIG;
        return false;
    }
    at = arena_alloc(a, (size_t)st.st_size + 1);
    while (len < (size_t)st.st_size) {
        ssize_t n = read(fd, at + len, (size_t)st.st_size - len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        if (n == 0) {
            break; /* it became shorter */
        }
        len += (size_t)n;
    }
    *ret = str_make(at, len);
    return true;
}

bool directory_file_read(struct str path, bool may_miss, struct arena *a, struct str *ret,
                         struct faults *faults)
{
    struct position at = {path, 1, 1};
    bool good;
    int fd;

    *ret = STR_EMPTY;
    if (path.len == 0) {
        return true;
    }
    fd = open(arena_z(a, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0 && may_miss) {
        return true;
    }
    good = fd >= 0 && read_all(fd, a, ret);
    if (!good) {
        fault_error(faults, at, "cannot be read: %s", strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return good;
}
