#include "hooks/insert.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/event.h"

/* ---- JSON ---- */

/* How many bytes a character has that begins so; 0: none begins so. *low and *high: the bounds of
 * its second byte (RFC 3629 section 4). */
static unsigned sequence(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    *high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (c < 0x80) {
        return 1;
    }
    return c >= 0xC2 && c <= 0xDF ? 2 : c >= 0xE0 && c <= 0xEF ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
}

enum { TEXT_PART = -1 };

/* The length of the character at the start of `in`; 0: *bad bytes there are none; TEXT_PART: it is
 * not all there. */
static int character(struct str in, size_t *bad)
{
    unsigned char low, high;
    unsigned need = sequence((unsigned char)in.ptr[0], &low, &high);

    *bad = 1;
    if (need == 0) {
        return 0;
    }
    for (size_t n = 1; n < need; n++) {
        unsigned char c;

        if (n == in.len) {
            return TEXT_PART;
        }
        c = (unsigned char)in.ptr[n];
        if (c < (n == 1 ? low : 0x80) || c > (n == 1 ? high : 0xBF)) {
            *bad = n;
            return 0;
        }
    }
    return (int)need;
}

static void escape(char c, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    const char *word = c == '"'    ? "\\\""
                       : c == '\\' ? "\\\\"
                       : c == '\n' ? "\\n"
                       : c == '\r' ? "\\r"
                       : c == '\t' ? "\\t"
                                   : NULL;
    char code[6] = {'\\', 'u', '0', '0', digits[(unsigned char)c >> 4 & 15], digits[c & 15]};

    buf_put(out, word != NULL ? str_of(word) : str_make(code, sizeof code));
}

static const struct str replacement = STR_INIT("\xEF\xBF\xBD");

/* As much of `in` as is certain; what is left is the beginning of a character. */
static struct str json_text(struct str in, struct buf *out)
{
    while (in.len > 0) {
        size_t plain = json_plain(in), bad;
        int length;

        buf_put(out, str_head(in, plain));
        in = str_skip(in, plain);
        if (in.len == 0) {
            break;
        }
        length = character(in, &bad);
        if (length == TEXT_PART) {
            break;
        }
        if (length == 0) {
            buf_put(out, replacement);
        } else if (length == 1) {
            escape(in.ptr[0], out);
        } else {
            buf_put(out, str_head(in, (size_t)length));
        }
        in = str_skip(in, length == 0 ? bad : (size_t)length);
    }
    return in;
}

static void json_add(struct inserter *i, struct str in, struct buf *out)
{
    while (i->kept_count > 0 && in.len > 0) { /* at most three rounds */
        struct str rest;

        must(i->kept_count < sizeof i->kept);
        i->kept[i->kept_count++] = in.ptr[0];
        in = str_skip(in, 1);
        rest = json_text(str_make(i->kept, i->kept_count), out);
        memmove(i->kept, rest.ptr, rest.len);
        i->kept_count = (uint8_t)rest.len;
    }
    in = json_text(in, out);
    must(in.len == 0 || i->kept_count == 0);
    if (in.len > 0) {
        memcpy(i->kept, in.ptr, in.len);
        i->kept_count = (uint8_t)in.len;
    }
}

/* ---- base64 ---- */

static void base64_add(struct inserter *i, struct str in, struct buf *out)
{
    size_t whole;

    while (i->kept_count > 0 && i->kept_count < 3 && in.len > 0) {
        i->kept[i->kept_count++] = in.ptr[0];
        in = str_skip(in, 1);
    }
    if (i->kept_count == 3) {
        base64_encode(out, str_make(i->kept, 3));
        i->kept_count = 0;
    }
    whole = in.len - in.len % 3;
    base64_encode(out, str_head(in, whole));
    in = str_skip(in, whole);
    if (in.len > 0) {
        memcpy(i->kept, in.ptr, in.len);
        i->kept_count = (uint8_t)in.len;
    }
}

void insert_add(struct inserter *i, enum hook_insert how, struct str in, struct buf *out)
{
    switch (how) {
    case HOOK_INSERT_JSON_BODY:
        json_add(i, in, out);
        return;
    case HOOK_INSERT_BASE64_MESSAGE:
        base64_add(i, in, out);
        return;
    case HOOK_INSERT_CBOR_MESSAGE:
        buf_put(out, in);
        return;
    case HOOK_INSERT_NONE:
        break;
    }
    never("nothing is inserted");
}

void insert_end(struct inserter *i, enum hook_insert how, struct buf *out)
{
    if (i->kept_count > 0 && how == HOOK_INSERT_JSON_BODY) {
        buf_put(out, replacement);
    } else if (i->kept_count > 0) {
        base64_encode(out, str_make(i->kept, i->kept_count));
    }
    i->kept_count = 0;
}

/* ---- the header section ---- */

void insert_header(const struct hook_view *view, struct buf *out)
{
    for (uint32_t n = 0; n < view->field_count; n++) {
        const struct hook_field *f = &view->fields[n];

        if (f->whole.len > 0) {
            buf_put(out, f->whole);
            continue;
        }
        buf_put(out, f->name);
        buf_put(out, f->value.len > 0 && (f->value.ptr[0] == ' ' || f->value.ptr[0] == '\t')
                         ? STR(":")
                         : STR(": "));
        buf_put(out, f->value);
        buf_put(out, STR("\r\n"));
    }
    if (!view->no_separator) {
        buf_put(out, STR("\r\n"));
    }
}
