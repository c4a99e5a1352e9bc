#include "mail/header.h"

#include "base/check.h"
#include "mail/lanes.h"

static const struct str names[HEADER_NAMES] = {
#define HEADER_NAME(id, text) [HEADER_##id] = STR_INIT(text),
#include "mail/header_names.def"
#undef HEADER_NAME
};

struct str header_name(enum header_name n)
{
    must(n < HEADER_NAMES);
    return names[n];
}

/* RFC 5322 section 3.6.8, ftext: printable, no colon. */
static bool is_name_byte(char c)
{
    return c > 0x20 && c < 0x7f && c != ':';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/*
 * The walk: simple, since all is there.
 */

/* Where the line that holds `at` ends, behind its CR LF; the end of the block when it has none. */
static size_t line_end(struct str block, size_t at)
{
    for (;;) {
        size_t lf = str_find(str_skip(block, at), '\n');

        if (lf == STR_NONE) {
            return block.len;
        }
        at += lf + 1;
        if (at >= 2 && block.ptr[at - 2] == '\r') {
            return at;
        }
    }
}

/* The name at the start of a line and where its colon is; false when the line is no field. */
static bool name_at(struct str line, struct str *name, size_t *colon)
{
    size_t i = 0, len;

    while (i < line.len && is_name_byte(line.ptr[i])) {
        i++;
    }
    len = i;
    while (i < line.len && is_blank(line.ptr[i])) {
        i++;
    }
    if (len == 0 || i == line.len || line.ptr[i] != ':') {
        return false;
    }
    *name = str_head(line, len);
    *colon = i;
    return true;
}

bool header_next(struct header_walk *w, struct header_field *ret)
{
    size_t at = w->at, end, colon;
    struct str whole, value;

    if (at >= w->block.len) {
        return false;
    }
    end = line_end(w->block, at);
    if (!name_at(str_make(w->block.ptr + at, end - at), &ret->name, &colon)) {
        if (end - at == 2 && w->block.ptr[at] == '\r' && w->block.ptr[at + 1] == '\n') {
            w->at = end; /* the empty line belongs to the section */
            w->block.len = end;
        }
        return false;
    }
    while (end < w->block.len && is_blank(w->block.ptr[end])) {
        end = line_end(w->block, end);
    }
    whole = str_make(w->block.ptr + at, end - at);
    value = str_skip(whole, colon + 1);
    ret->whole = whole;
    ret->value = str_ends(value, STR("\r\n")) ? str_head(value, value.len - 2) : value;
    ret->at = at;
    w->at = end;
    return true;
}

bool header_find(struct str block, struct str name, struct header_field *ret)
{
    struct header_walk w = {block, 0};

    while (header_next(&w, ret)) {
        if (str_eq_nocase(ret->name, name)) {
            return true;
        }
    }
    return false;
}

void header_unfold(struct buf *out, struct str value)
{
    value = str_trim_ws(value);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '\r' && i + 1 < value.len && value.ptr[i + 1] == '\n') {
            i++;
        } else {
            buf_byte(out, c == '\r' || c == '\n' ? ' ' : c);
        }
    }
}

/*
 * The scan: the same, a byte at a time up to the colon, then by the line.
 */
enum {
    AT_LINE, /* at the start of a line */
    AT_LINE_CR,
    IN_NAME,
    BEHIND_NAME, /* blanks before the colon */
    IN_VALUE,
    IN_VALUE_CR
};

/* The states of RFC 3629 as how many bytes must follow and within which bounds the next one is. */
static void check_utf8(struct header_scan *h, unsigned char c)
{
    if (h->utf8_more > 0) {
        if (c >= h->utf8_low && c <= h->utf8_high) {
            h->utf8_more--;
            h->utf8_low = 0x80;
            h->utf8_high = 0xbf;
            return;
        }
        h->has_bad_utf8 = true;
        h->utf8_more = 0;
    }
    if (c < 0x80) {
        return;
    }
    h->has_8bit = true;
    h->utf8_low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    h->utf8_high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        h->utf8_more = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        h->utf8_more = 2;
    } else if (c >= 0xf0 && c <= 0xf4) {
        h->utf8_more = 3;
    } else {
        h->has_bad_utf8 = true;
    }
}

static void count_field(struct header_scan *h)
{
    struct str name = {h->name, h->name_len};

    h->fields++;
    for (unsigned i = 0; i < HEADER_NAMES; i++) {
        if (str_eq_nocase(name, names[i])) {
            h->counts[i] = h->counts[i] < UINT16_MAX ? h->counts[i] + 1 : UINT16_MAX;
            return;
        }
    }
}

/* A line is whole and part of the section. */
static void line_done(struct header_scan *h)
{
    /* line_bytes counts the CR LF too. */
    uint32_t len = h->line_bytes - 2;

    h->line_bytes_longest = len > h->line_bytes_longest ? len : h->line_bytes_longest;
    h->line_bytes = 0;
    h->bytes = h->seen;
    h->state = AT_LINE;
}

static void start_line(struct header_scan *h, char c)
{
    if (c == '\r') {
        h->state = AT_LINE_CR;
    } else if (is_blank(c) && h->fields > 0) {
        h->state = IN_VALUE;
    } else if (is_name_byte(c)) {
        h->state = IN_NAME;
        h->name_len = 1;
        h->name[0] = c;
    } else {
        h->end = HEADER_NO_FIELD;
    }
}

static void name_byte(struct header_scan *h, char c)
{
    if (c == ':') {
        count_field(h);
        h->state = IN_VALUE;
    } else if (is_blank(c)) {
        h->state = BEHIND_NAME;
    } else if (!is_name_byte(c) || h->state == BEHIND_NAME) {
        h->end = HEADER_NO_FIELD;
    } else if (h->name_len < HEADER_NAME_BYTES_MAX) {
        h->name[h->name_len++] = c;
    }
}

static void value_byte(struct header_scan *h, char c)
{
    bool after_cr = h->state == IN_VALUE_CR;

    if (c == '\n' && after_cr) {
        line_done(h);
        return;
    }
    h->has_bare = h->has_bare || c == '\n' || after_cr;
    h->has_nul = h->has_nul || c == '\0';
    h->state = c == '\r' ? IN_VALUE_CR : IN_VALUE;
}

static void scan_byte(struct header_scan *h, char c)
{
    h->seen++;
    h->line_bytes += h->line_bytes < UINT32_MAX;
    switch (h->state) {
    case AT_LINE:
        start_line(h, c);
        break;
    case AT_LINE_CR:
        h->end = c == '\n' ? HEADER_EMPTY_LINE : HEADER_NO_FIELD;
        if (h->end == HEADER_EMPTY_LINE) {
            h->bytes = h->seen;
        }
        break;
    case IN_NAME:
    case BEHIND_NAME:
        name_byte(h, c);
        break;
    case IN_VALUE:
    case IN_VALUE_CR:
        value_byte(h, c);
        break;
    default:
        never("a state of the scan's own");
    }
}

/* Inside a value most bytes mean nothing: how many from `at` on. */
static size_t plain_run(struct str in, size_t at)
{
    size_t i = at;

    while (i + LANES <= in.len && !lanes_any(lanes_at(in.ptr + i) <= '\r')) {
        i += LANES;
    }
    while (i < in.len && (signed char)in.ptr[i] > '\r') {
        i++;
    }
    return i - at;
}

/* How many bytes of a name stand from `at` on; they are kept as far as there is room. */
static size_t name_run(struct header_scan *h, struct str in, size_t at)
{
    size_t i = at;

    for (; i < in.len && is_name_byte(in.ptr[i]); i++) {
        if (h->name_len < HEADER_NAME_BYTES_MAX) {
            h->name[h->name_len++] = in.ptr[i];
        }
    }
    return i - at;
}

bool header_scan_add(struct header_scan *h, struct str in)
{
    for (size_t i = 0; i < in.len && h->end == HEADER_OPEN; i++) {
        size_t run = 0;

        if (h->utf8_more == 0) {
            run = h->state == IN_VALUE  ? plain_run(in, i)
                  : h->state == IN_NAME ? name_run(h, in, i)
                                        : 0;
        }
        h->seen += run;
        h->line_bytes = run < UINT32_MAX - h->line_bytes ? h->line_bytes + (uint32_t)run
                                                         : UINT32_MAX;
        i += run;
        if (i == in.len) {
            break;
        }
        scan_byte(h, in.ptr[i]);
        if (h->end == HEADER_OPEN && ((in.ptr[i] & 0x80) || h->utf8_more > 0)) {
            check_utf8(h, (unsigned char)in.ptr[i]);
        }
    }
    return h->end != HEADER_OPEN;
}

void header_scan_end(struct header_scan *h)
{
    if (h->end != HEADER_OPEN) {
        return;
    }
    if (h->state == IN_VALUE || h->state == IN_VALUE_CR) {
        uint32_t len = h->line_bytes;

        h->has_bare = h->has_bare || h->state == IN_VALUE_CR;
        h->line_bytes_longest = len > h->line_bytes_longest ? len : h->line_bytes_longest;
        h->bytes = h->seen;
    } else if (h->state != AT_LINE) {
        h->end = HEADER_NO_FIELD;
    }
    h->has_bad_utf8 = h->has_bad_utf8 || h->utf8_more > 0;
    h->utf8_more = 0;
}
