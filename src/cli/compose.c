#include "cli/compose.h"

#include "cli/command.h"
#include "mail/header.h"

enum {
    ENCODED_BYTES_MAX =
        45, /* of text in one encoded word: three characters each, under 76 in all */
};

void compose_lines(struct str in, struct buf *out)
{
    bool after_cr = false;

    while (in.len > 0) {
        size_t at = str_find(in, '\n');
        struct str line = at == STR_NONE ? in : str_head(in, at);

        buf_put(out, line);
        after_cr = str_ends(line, STR("\r"));
        if (at == STR_NONE) {
            return;
        }
        buf_put(out, after_cr ? STR("\n") : STR("\r\n"));
        in = str_skip(in, at + 1);
    }
}

static struct header_scan scan(struct str text)
{
    struct header_scan h = {0};

    if (!header_scan_add(&h, text)) {
        header_scan_end(&h);
    }
    return h;
}

bool compose_is_message(struct str text)
{
    struct header_scan h = scan(text);
    struct header_field f;

    return h.end != HEADER_NO_FIELD &&
           header_find(str_head(text, (size_t)h.bytes), STR("From"), &f);
}

/* What may stand in an encoded word as it is (RFC 2047 section 4.2, and less). */
static bool is_plain(char c)
{
    return byte_is_alnum(c) || c == '.' || c == ',' || c == '-' || c == '!' || c == '/';
}

/* The last place up to `n` where UTF-8 text may be cut. */
static size_t cut_utf8(struct str s, size_t n)
{
    if (n >= s.len) {
        return s.len;
    }
    while (n > 1 && ((unsigned char)s.ptr[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

static void put_encoded(struct str s, struct buf *out)
{
    enum { PIECE = ENCODED_BYTES_MAX / 3 };

    for (bool first = true; s.len > 0; first = false) {
        size_t n = cut_utf8(s, PIECE);

        buf_put(out, first ? STR("=?utf-8?Q?") : STR("\r\n =?utf-8?Q?"));
        for (size_t i = 0; i < n; i++) {
            if (is_plain(s.ptr[i])) {
                buf_byte(out, s.ptr[i]);
            } else {
                buf_printf(out, "=%02X", (unsigned)(unsigned char)s.ptr[i]);
            }
        }
        buf_put(out, STR("?="));
        s = str_skip(s, n);
    }
}

/* Text of a user in a field: what would end the line, or needs 8 bits, is encoded. */
static void put_text(struct str s, struct buf *out)
{
    bool is_safe = s.len < 900;

    for (size_t i = 0; i < s.len; i++) {
        is_safe = is_safe && s.ptr[i] >= ' ' && s.ptr[i] < 127;
    }
    if (is_safe && str_find_str(s, STR("=?")) == STR_NONE) {
        buf_put(out, s);
    } else {
        put_encoded(s, out);
    }
}

static void put_name(struct str name, struct buf *out)
{
    if (!str_is_ascii(name)) {
        put_encoded(name, out);
        return;
    }
    buf_byte(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (c == '"' || c == '\\') {
            buf_byte(out, '\\');
        }
        buf_byte(out, (c < ' ' || c == 127) ? ' ' : c);
    }
    buf_byte(out, '"');
}

static void put_from(const struct composition *c, struct buf *out)
{
    buf_put(out, STR("From: "));
    if (c->from_name.len > 0) {
        put_name(c->from_name, out);
        buf_byte(out, ' ');
    }
    /* Who sends with the null sender is a program of this host. */
    if (c->from.len > 0) {
        buf_printf(out, "<%.*s>\r\n", STR_ARG(c->from));
    } else {
        buf_printf(out, "<MAILER-DAEMON@%.*s>\r\n", STR_ARG(c->host));
    }
}

static void put_date(const struct composition *c, struct buf *out)
{
    char text[DATE_MAIL_BYTES];

    buf_printf(out, "Date: %.*s\r\n", STR_ARG(date_mail(c->at, text)));
}

static void put_message_id(const struct composition *c, struct buf *out)
{
    buf_printf(out, "Message-ID: <%016llx@%.*s>\r\n", (unsigned long long)c->number,
               STR_ARG(c->host));
}

void compose_text(const struct composition *c, const struct words *to, struct str subject,
                  struct str body, struct buf *out)
{
    put_from(c, out);
    for (size_t i = 0; i < to->count; i++) {
        buf_printf(out, "%s<%.*s>", i == 0 ? "To: " : ",\r\n ", STR_ARG(to->items[i]));
    }
    buf_put(out, STR("\r\nSubject: "));
    put_text(subject, out);
    buf_put(out, STR("\r\n"));
    put_date(c, out);
    put_message_id(c, out);
    if (!str_is_ascii(body)) {
        buf_put(out, STR("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                         "Content-Transfer-Encoding: 8bit\r\n"));
    }
    buf_put(out, STR("\r\n"));
    buf_put(out, body);
    if (body.len > 0 && !str_ends(body, STR("\r\n"))) {
        buf_put(out, STR("\r\n"));
    }
}

void compose_complete(const struct composition *c, struct str text, struct buf *out)
{
    struct header_scan h = scan(text);
    struct header_walk w = {str_head(text, (size_t)h.bytes), 0};
    struct header_field f;

    if (!header_find(w.block, STR("From"), &f)) {
        put_from(c, out);
    }
    if (!header_find(w.block, STR("Date"), &f)) {
        put_date(c, out);
    }
    if (!header_find(w.block, STR("Message-ID"), &f)) {
        put_message_id(c, out);
    }
    while (header_next(&w, &f)) {
        if (!str_eq_nocase(f.name, STR("Bcc"))) {
            buf_put(out, f.whole);
        }
    }
    if (out->len > 0 && !str_ends(buf_str(out), STR("\r\n"))) {
        buf_put(out, STR("\r\n"));
    }
    buf_put(out, STR("\r\n"));
    buf_put(out, str_skip(text, (size_t)h.bytes));
}

/* ---- addresses of fields ---- */

/* One element of an address list: text outside of comments and, when there are angle brackets, only
 * what stands in them. */
struct element {
    struct buf text;
    bool has_angle;
};

static void end_element(struct element *e, const struct composition *c, struct arena *a,
                        struct words *ret, size_t max)
{
    struct str s = str_trim_ws(buf_str(&e->text));

    if (s.len > 0 && ret->count < max) {
        ret->items[ret->count++] = str_rfind(s, '@') == STR_NONE
                                       ? arena_printf(a, "%.*s@%.*s", STR_ARG(s), STR_ARG(c->host))
                                       : arena_dup(a, s);
    }
    buf_clear(&e->text);
    e->has_angle = false;
}

/* Where the quoted string or comment that begins at i ends: the index of its last byte. */
static size_t skip_quoted(struct str s, size_t i)
{
    for (i++; i < s.len && s.ptr[i] != '"'; i++) {
        i += s.ptr[i] == '\\';
    }
    return i < s.len ? i : s.len - 1;
}

static size_t skip_comment(struct str s, size_t i)
{
    size_t depth = 0;

    for (; i < s.len; i++) {
        if (s.ptr[i] == '\\') {
            i++;
        } else if (s.ptr[i] == '(') {
            depth++;
        } else if (s.ptr[i] == ')' && --depth == 0) {
            return i;
        }
    }
    return s.len - 1;
}

static void take_list(struct str s, const struct composition *c, struct arena *a, struct words *ret,
                      size_t max)
{
    struct element e = {0};
    bool in_angle = false;

    for (size_t i = 0; i < s.len; i++) {
        char b = s.ptr[i];

        if (b == '(') {
            i = skip_comment(s, i);
        } else if (b == '"') {
            size_t end = skip_quoted(s, i);

            if (!e.has_angle || in_angle) {
                buf_put(&e.text, str_head(str_skip(s, i), end - i + 1));
            }
            i = end;
        } else if (b == '<') {
            buf_clear(&e.text); /* so far it was the display name */
            e.has_angle = in_angle = true;
        } else if (b == '>') {
            in_angle = false;
        } else if (b == ':' && str_find(buf_str(&e.text), '[') == STR_NONE) {
            buf_clear(&e.text); /* the name of a group, or a source route */
        } else if ((b == ',' && !(in_angle && str_starts(buf_str(&e.text), STR("@")))) ||
                   b == ';') {
            end_element(&e, c, a, ret, max);
            in_angle = false;
        } else if (!e.has_angle || in_angle) {
            buf_byte(&e.text, b);
        }
    }
    end_element(&e, c, a, ret, max);
    buf_done(&e.text);
}

void compose_recipients(const struct composition *c, struct str text, struct arena *a,
                        struct words *ret)
{
    static const struct str names[] = {STR_INIT("To"), STR_INIT("Cc"), STR_INIT("Bcc")};
    struct header_scan h = scan(text);
    struct str block = str_head(text, (size_t)h.bytes);
    struct header_walk w = {block, 0};
    struct header_field f;
    size_t max = 3;

    for (size_t i = 0; i < block.len; i++) {
        max += block.ptr[i] == ',' || block.ptr[i] == ';' || block.ptr[i] == '\n';
    }
    *ret = (struct words){.items = arena_array(a, max, sizeof(*ret->items))};
    while (header_next(&w, &f)) {
        for (size_t i = 0; i < 3; i++) {
            struct buf value BUF_LOCAL = {0};

            if (str_eq_nocase(f.name, names[i])) {
                header_unfold(&value, f.value);
                take_list(buf_str(&value), c, a, ret, max);
            }
        }
    }
}
