#include "mail/content.h"

#include "mail/lanes.h"

enum { STRIDE = 4 * LANES }; /* passed over at once where there is nothing */

/* Where in these 16 bytes a LF is followed by a dot. Reads one byte more. */
static inline lanes line_dots(const char *p)
{
    return (lanes_at(p) == '\n') & (lanes_at(p + 1) == '.');
}

/* Where a LF is followed by a dot, in [at, s.len); s.len when nowhere. The position is the dot's.
 */
static size_t find_line_dot(struct str s, size_t at)
{
    for (; at + STRIDE < s.len; at += STRIDE) {
        const char *p = s.ptr + at;

        if (lanes_any(line_dots(p) | line_dots(p + LANES) | line_dots(p + 2 * LANES) |
                      line_dots(p + 3 * LANES))) {
            break;
        }
    }
    while (at + LANES < s.len && !lanes_any(line_dots(s.ptr + at))) {
        at += LANES;
    }
    for (; at + 1 < s.len; at++) {
        if (s.ptr[at] == '\n' && s.ptr[at + 1] == '.') {
            return at + 1;
        }
    }
    return s.len;
}

/* From `at`, which is inside a line: to the dot that starts a line, or to the end. Runs through
 * what needs no look. */
static size_t skip_text(struct str s, size_t at)
{
    for (size_t from = at;;) {
        size_t dot = find_line_dot(s, from);

        /* A CR before `at` belongs to what the caller has judged. */
        if (dot == s.len || (dot >= at + 2 && s.ptr[dot - 2] == '\r')) {
            return dot;
        }
        from = dot;
    }
}

/* After a run that was not empty and did not start behind a CR. */
static enum unstuff_state state_after(struct str run)
{
    if (run.ptr[run.len - 1] == '\r') {
        return UNSTUFF_CR;
    }
    return str_ends(run, STR("\r\n")) ? UNSTUFF_LINE : UNSTUFF_TEXT;
}

/* One byte outside of running text. */
static void unstuff_byte(struct unstuff *u, char c, struct buf *out)
{
    enum unstuff_state was = u->state;

    if (was == UNSTUFF_DOT && c == '\r') {
        u->state = UNSTUFF_DOT_CR; /* held back until we know */
        return;
    }
    if (was == UNSTUFF_DOT_CR) {
        if (c == '\n') {
            u->state = UNSTUFF_END;
            return;
        }
        buf_byte(out, '\r');
    }
    if (was == UNSTUFF_LINE && c == '.') {
        u->state = UNSTUFF_DOT;
        return;
    }
    buf_byte(out, c);
    if (c == '\r') {
        u->state = UNSTUFF_CR;
    } else {
        u->state = was == UNSTUFF_CR && c == '\n' ? UNSTUFF_LINE : UNSTUFF_TEXT;
    }
    return;
}

bool unstuff(struct unstuff *u, struct str in, struct buf *out, size_t *used)
{
    size_t at = 0;

    while (at < in.len && u->state != UNSTUFF_END) {
        if (u->state == UNSTUFF_TEXT) {
            size_t end = skip_text(in, at);

            buf_put(out, str_make(in.ptr + at, end - at));
            u->state = state_after(str_make(in.ptr + at, end - at));
            at = end;
        } else {
            unstuff_byte(u, in.ptr[at], out);
            at++;
        }
    }
    *used = at;
    return u->state == UNSTUFF_END;
}

static void stuff_byte(struct stuff *s, char c, struct buf *out)
{
    if (c == '.' && !s->in_line) {
        buf_byte(out, '.');
    }
    buf_byte(out, c);
    s->in_line = !(c == '\n' && s->after_cr);
    s->after_cr = c == '\r';
}

void stuff(struct stuff *s, struct str in, struct buf *out)
{
    size_t at = 0;

    while (at < in.len) {
        if (s->in_line && !s->after_cr) {
            size_t end = skip_text(in, at);
            struct str run = str_make(in.ptr + at, end - at);

            buf_put(out, run);
            s->after_cr = run.ptr[run.len - 1] == '\r';
            s->in_line = !str_ends(run, STR("\r\n"));
            at = end;
        } else {
            stuff_byte(s, in.ptr[at], out);
            at++;
        }
    }
}

void stuff_end(struct stuff *s, struct buf *out)
{
    s->final_crlf_added = s->in_line;
    buf_put(out, s->in_line ? STR("\r\n.\r\n") : STR(".\r\n"));
}

/*
 * In good text a CR stands at i exactly when a LF stands at i + 1. So comparing the two patterns,
 * one shifted by a byte, finds every bare one without a branch.
 */
static void look_at_bytes(struct content *c, struct str in)
{
    lanes high = {0}, nul = {0}, bare = {0};
    size_t i = 0;

    for (; i + LANES < in.len; i += LANES) {
        lanes here = lanes_at(in.ptr + i), next = lanes_at(in.ptr + i + 1);

        high |= here;
        nul |= (lanes)(here == 0);
        bare |= (lanes)(here == '\r') ^ (lanes)(next == '\n');
    }
    c->has_8bit = c->has_8bit || lanes_any(high < 0);
    c->has_nul = c->has_nul || lanes_any(nul);
    c->has_bare = c->has_bare || lanes_any(bare) || (c->last == '\r') != (in.ptr[0] == '\n');
    for (; i < in.len; i++) {
        c->has_8bit = c->has_8bit || (unsigned char)in.ptr[i] >= 0x80;
        c->has_nul = c->has_nul || in.ptr[i] == '\0';
        if (i + 1 < in.len && (in.ptr[i] == '\r') != (in.ptr[i + 1] == '\n')) {
            c->has_bare = true;
        }
    }
    c->ends_line = in.ptr[in.len - 1] == '\n' &&
                   (in.len > 1 ? in.ptr[in.len - 2] : c->last) == '\r';
    c->last = in.ptr[in.len - 1];
}

/*
 * A window of a full line and its CR LF holds the end of a line, or the line is too long. Looking
 * for the last end in each window passes over many short lines at once.
 */
static void look_at_lines(struct content *c, struct str in)
{
    enum { WINDOW = CONTENT_LINE_BYTES_MAX + 2 };

    while (in.len > 0 && !c->has_long_line) {
        size_t window = WINDOW - c->line_bytes;
        struct str head = str_head(in, window);
        size_t end = str_rfind(head, '\n');

        if (end != STR_NONE) {
            c->line_bytes = 0;
            in = str_skip(in, end + 1);
        } else {
            c->line_bytes += (uint32_t)head.len;
            c->has_long_line = head.len == window;
            in = str_skip(in, head.len);
        }
    }
}

void content_add(struct content *c, struct str in)
{
    if (in.len > 0) {
        look_at_bytes(c, in);
        look_at_lines(c, in);
        c->bytes += in.len;
    }
}

enum body_class content_class(const struct content *c)
{
    bool long_line = c->has_long_line || c->line_bytes > CONTENT_LINE_BYTES_MAX;

    if (c->has_nul || c->has_bare || c->last == '\r' || long_line) {
        return BODY_BINARY;
    }
    return c->has_8bit ? BODY_8BIT : BODY_7BIT;
}
