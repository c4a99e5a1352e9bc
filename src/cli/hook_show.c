#include "cli/hook_part.h"

enum { TEXT_BYTES_MAX = 8192, LINES_MAX = 40 };

static void put_safe(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        buf_byte(out, (c < 0x20 && c != '\t') || c == 0x7f ? '?' : (char)c);
    }
}

/* The next line, without its end. */
static struct str next_line(struct str *rest)
{
    struct str line;

    (void)str_cut(rest, '\n', &line);
    return str_ends(line, STR("\r")) ? str_head(line, line.len - 1) : line;
}

void hook_show_text(struct str text, struct buf *out)
{
    struct str rest = str_head(text, TEXT_BYTES_MAX);

    while (rest.len > 0) {
        put_safe(next_line(&rest), out);
        buf_byte(out, '\n');
    }
    if (text.len > TEXT_BYTES_MAX) {
        buf_printf(out, "(and %zu bytes more)\n", text.len - TEXT_BYTES_MAX);
    }
}

static void put_line(const char *sign, struct str line, struct buf *out)
{
    buf_put(out, str_of(sign));
    put_safe(line, out);
    buf_byte(out, '\n');
}

/* ---- header fields: those that nobody changed are the same bytes ---- */

static bool is_kept(const struct hook_view *v, const struct hook_field *f)
{
    for (uint32_t i = 0; i < v->field_count; i++) {
        if (v->fields[i].whole.ptr == f->whole.ptr) {
            return true;
        }
    }
    return false;
}

static void put_field(const char *sign, const struct hook_field *f, struct buf *out)
{
    struct str rest = f->whole;

    while (rest.len > 0) {
        put_line(sign, next_line(&rest), out);
    }
}

static void show_fields(const struct hook_view *before, const struct hook_view *after,
                        struct buf *out)
{
    uint32_t i = 0;

    for (uint32_t n = 0; n <= after->field_count; n++) {
        while (i < before->field_count && !is_kept(after, &before->fields[i])) {
            put_field("- ", &before->fields[i++], out);
        }
        if (n == after->field_count) {
            break;
        }
        if (is_kept(before, &after->fields[n])) {
            i++; /* nobody changes their order */
        } else {
            put_field("+ ", &after->fields[n], out);
        }
    }
}

/* ---- the body: what is alike at both ends is left away ---- */

static void show_lines(const char *sign, struct str text, struct buf *out)
{
    for (unsigned n = 0; text.len > 0; n++) {
        if (n == LINES_MAX) {
            buf_printf(out, "%s(and %zu bytes more)\n", sign, text.len);
            return;
        }
        put_line(sign, next_line(&text), out);
    }
}

static void show_body(struct str before, struct str after, struct buf *out)
{
    size_t most = before.len < after.len ? before.len : after.len, head = 0, tail = 0;

    if (str_eq(before, after)) {
        return;
    }
    while (head < most && before.ptr[head] == after.ptr[head]) {
        head++;
    }
    while (head > 0 && before.ptr[head - 1] != '\n') {
        head--;
    }
    while (tail < most - head &&
           before.ptr[before.len - 1 - tail] == after.ptr[after.len - 1 - tail]) {
        tail++;
    }
    while (tail > 0 && before.ptr[before.len - 1 - tail] != '\n') {
        tail--;
    }
    buf_put(out, STR("  (body)\n"));
    show_lines("- ", str_skip(str_head(before, before.len - tail), head), out);
    show_lines("+ ", str_skip(str_head(after, after.len - tail), head), out);
}

/* ---- the envelope ---- */

static void put_address(const char *sign, const char *what, struct str address,
                        const struct hook_params *params, struct buf *out)
{
    buf_printf(out, "%s%s:<", sign, what);
    put_safe(address, out);
    buf_byte(out, '>');
    for (uint32_t i = 0; i < params->count; i++) {
        buf_byte(out, ' ');
        put_safe(params->items[i].key, out);
        buf_put(out, params->items[i].has_value ? STR("=") : STR(""));
        put_safe(params->items[i].has_value ? params->items[i].value : STR_EMPTY, out);
    }
    buf_byte(out, '\n');
}

static bool has_recipient(const struct hook_view *v, uint32_t id)
{
    for (uint32_t i = 0; i < v->to_count; i++) {
        if (v->to[i].id == id) {
            return true;
        }
    }
    return false;
}

static void show_recipients(const char *sign, const struct hook_view *these,
                            const struct hook_view *those, struct buf *out)
{
    for (uint32_t i = 0; i < these->to_count; i++) {
        if (!has_recipient(those, these->to[i].id)) {
            put_address(sign, "RCPT TO", these->to[i].address, &these->to[i].params, out);
        }
    }
}

static void show_policy(const struct hook_view *v, struct buf *out)
{
    for (uint32_t i = 0; i < v->policy_count; i++) {
        buf_put(out, STR("+ policy: "));
        put_safe(v->policy[i].name, out);
        buf_put(out, STR(" = "));
        put_safe(v->policy[i].text, out);
        buf_byte(out, '\n');
    }
}

void hook_show_changes(const struct hook_view *before, const struct hook_view *after,
                       struct buf *out)
{
    if (!str_eq(before->sender, after->sender) ||
        before->sender_params.items != after->sender_params.items) {
        put_address("- ", "MAIL FROM", before->sender, &before->sender_params, out);
        put_address("+ ", "MAIL FROM", after->sender, &after->sender_params, out);
    }
    show_recipients("- ", before, after, out);
    show_recipients("+ ", after, before, out);
    show_policy(after, out);
    show_fields(before, after, out);
    show_body(before->body.whole, after->body.whole, out);
}
