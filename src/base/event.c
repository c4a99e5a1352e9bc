#include "base/event.h"

#include <endian.h>

static const struct str levels[] = {STR_INIT("debug"), STR_INIT("info"), STR_INIT("warn"),
                                    STR_INIT("error")};

/* Length of the UTF-8 sequence at the start of s, or 0 when it is none. */
static size_t sequence(struct str s)
{
    for (size_t n = 1; n <= 4 && n <= s.len; n++) {
        if (str_is_utf8(str_head(s, n))) {
            return n;
        }
    }
    return 0;
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x7f && c != '"' && c != '\\';
}

/* Eight bytes at a time. In `stop` the top bit of each byte that is not plain is set; a carry or a
 * borrow may set more, but only above one that is set rightly, and the lowest alone is used. */
size_t json_plain(struct str s)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    size_t n = 0;

    while (s.len - n >= sizeof(uint64_t)) {
        uint64_t x, stop;

        memcpy(&x, s.ptr + n, sizeof x);
        x = le64toh(x);
        stop = (x | (x + ones) | (x - 0x20 * ones) | ((x ^ ('"' * ones)) - ones) |
                ((x ^ ('\\' * ones)) - ones)) &
               tops;
        if (stop != 0) {
            return n + (size_t)__builtin_ctzll(stop) / 8;
        }
        n += sizeof x;
    }
    while (n < s.len && is_plain(s.ptr[n])) {
        n++;
    }
    return n;
}

void json_str(struct buf *out, struct str s)
{
    buf_byte(out, '"');
    while (s.len > 0) {
        unsigned char c = (unsigned char)s.ptr[0];
        size_t n = 1;

        if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else if (c == '\n') {
            buf_put(out, STR("\\n"));
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\u%04x", c);
        } else if (c < 0x80) {
            n = json_plain(s);
            buf_put(out, str_head(s, n));
        } else {
            n = sequence(s);
            buf_put(out, n ? str_head(s, n) : STR("\xef\xbf\xbd"));
            n = n ? n : 1;
        }
        s = str_skip(s, n);
    }
    buf_byte(out, '"');
}

/* Written for each message, twice at least: no printf here. */
static void json_field(struct buf *out, const struct event_field *f)
{
    char date[DATE_ISO_BYTES];

    buf_put(out, STR(",\""));
    buf_put(out, str_of(f->name));
    buf_put(out, STR("\":"));
    switch (f->type) {
    case EVENT_str:
        json_str(out, str_head(f->str, EVENT_TEXT_MAX));
        break;
    case EVENT_num:
        buf_num(out, f->num);
        break;
    case EVENT_id:
        buf_byte(out, '"');
        buf_hex16(out, f->id);
        buf_byte(out, '"');
        break;
    case EVENT_date:
        if (date_is_never(f->date)) {
            buf_put(out, STR("null"));
        } else {
            buf_byte(out, '"');
            buf_put(out, date_iso(f->date, date));
            buf_byte(out, '"');
        }
        break;
    }
}

void event_json(struct buf *out, struct date at, const struct event_kind *kind,
                const struct event_field *fields, size_t count)
{
    char date[DATE_ISO_BYTES];

    buf_put(out, STR("{\"date\":\""));
    buf_put(out, date_iso(at, date));
    buf_put(out, STR("\",\"level\":\""));
    buf_put(out, levels[kind->level]);
    buf_put(out, STR("\",\"event\":\""));
    buf_put(out, str_of(kind->name));
    buf_byte(out, '"');
    for (size_t i = 0; i < count; i++) {
        json_field(out, &fields[i]);
    }
    buf_byte(out, '}');
}

static void shown(struct buf *out, struct str s)
{
    bool quoted = s.len == 0 || str_find(s, ' ') != STR_NONE;

    s = str_head(s, EVENT_TEXT_MAX);
    if (quoted) {
        buf_byte(out, '"');
    }
    while (s.len > 0) {
        size_t n = sequence(s);

        if (n == 0 || (unsigned char)s.ptr[0] < 0x20 || s.ptr[0] == 0x7f) {
            buf_printf(out, "\\x%02x", (unsigned char)s.ptr[0]);
            n = 1;
        } else {
            buf_put(out, str_head(s, n));
        }
        s = str_skip(s, n);
    }
    if (quoted) {
        buf_byte(out, '"');
    }
}

void event_text(struct buf *out, struct date at, const struct event_kind *kind,
                const struct event_field *fields, size_t count)
{
    char date[DATE_ISO_BYTES];
    struct str iso = date_iso(at, date);

    buf_put(out, str_head(str_skip(iso, 11), 12));
    buf_byte(out, ' ');
    buf_put(out, levels[kind->level]);
    buf_put(out, levels[kind->level].len < 5 ? STR("  ") : STR(" "));
    buf_put(out, str_of(kind->name));
    for (size_t i = 0; i < count; i++) {
        const struct event_field *f = &fields[i];

        buf_byte(out, ' ');
        buf_put(out, str_of(f->name));
        buf_byte(out, '=');
        switch (f->type) {
        case EVENT_str:
            shown(out, f->str);
            break;
        case EVENT_num:
            buf_num(out, f->num);
            break;
        case EVENT_id:
            buf_hex16(out, f->id);
            break;
        case EVENT_date:
            buf_put(out, date_is_never(f->date) ? STR("never") : date_iso(f->date, date));
            break;
        }
    }
}
