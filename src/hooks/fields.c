/*
 * What may stand in a header section, a parameter and a reply: the rules that keep an answer from
 * becoming more lines than it says it is.
 *
 * Source    RFC 5322 sections 2.1.1, 2.2 and 2.2.3; RFC 2047; RFC 6532; RFC 5321 sections 4.1.2, 4.2 and
 *           4.5.3.1.5.
 */
#include "hooks/model.h"
#include "mail/header.h"
#include "mail/params.h"
#include "mail/text.h"
#include "mail/utf8.h"

enum {
    LINE_BYTES_MAX = 998,
    REPLY_BYTES_MAX = 512,
    /* "554 5.123.123 " and CR LF */
    REPLY_TEXT_BYTES_MAX = REPLY_BYTES_MAX - 14 - 2
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool name_is_good(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < 33 || name.ptr[i] > 126 || name.ptr[i] == ':') {
            return false;
        }
    }
    return name.len > 0;
}

/* One line of a value, without CR LF, behind `before` bytes of the same line. */
static bool line_is_good(struct str line, size_t before)
{
    bool all_blank = true;

    for (size_t i = 0; i < line.len; i++) {
        if (is_control(line.ptr[i]) && line.ptr[i] != '\t') {
            return false;
        }
        all_blank = all_blank && is_blank(line.ptr[i]);
    }
    return before + line.len <= LINE_BYTES_MAX && (!all_blank || before > 0);
}

bool hook_field_lines_are_good(struct str name, struct str *value)
{
    struct str rest;
    size_t before, end;

    if (str_ends(*value, STR("\r\n"))) {
        value->len -= 2;
    }
    if (!name_is_good(name)) {
        return false;
    }
    rest = *value;
    before = name.len + 1 + (rest.len == 0 || !is_blank(rest.ptr[0]));
    while ((end = str_find_str(rest, STR("\r\n"))) != STR_NONE) {
        if (!line_is_good(str_head(rest, end), before)) {
            return false;
        }
        rest = str_skip(rest, end + 2);
        before = 0;
        if (rest.len == 0 || !is_blank(rest.ptr[0])) {
            return false;
        }
    }
    return line_is_good(rest, before);
}

bool hook_field_is_good(struct str name, struct str *value, bool utf8)
{
    return hook_field_lines_are_good(name, value) &&
           (str_is_ascii(*value) || (utf8 && str_is_utf8(*value)));
}

/* Its value is text for people, so that words of RFC 2047 may stand anywhere in it. */
static bool is_unstructured(struct str name)
{
    return str_starts_nocase(name, STR("X-")) || str_eq_nocase(name, STR("Subject")) ||
           str_eq_nocase(name, STR("Comments"));
}

static struct str encoded(struct str value, struct arena *a)
{
    struct buf line BUF_LOCAL = {0}, out BUF_LOCAL = {0};

    header_unfold(&line, value);
    if (value.len > 0 && is_blank(value.ptr[0])) {
        buf_byte(&out, ' ');
    }
    utf8_put_encoded_words(&out, utf8_clean(a, buf_str(&line)));
    return arena_dup(a, buf_str(&out));
}

bool hook_field_fit(struct str name, struct str *value, bool utf8, struct arena *a)
{
    if (!hook_field_lines_are_good(name, value)) {
        return false;
    }
    if (is_unstructured(name) && !hook_field_is_good(name, value, utf8)) {
        *value = encoded(*value, a);
    }
    return hook_field_is_good(name, value, utf8);
}

/* ---- parameters ---- */

bool hook_param_is_good(const struct hook_param *p, bool utf8)
{
    for (size_t i = 0; i < p->key.len; i++) {
        if (!byte_is_alnum(p->key.ptr[i]) && (p->key.ptr[i] != '-' || i == 0)) {
            return false;
        }
    }
    if (!p->has_value) {
        return p->key.len > 0;
    }
    for (size_t i = 0; i < p->value.len; i++) {
        char c = p->value.ptr[i];

        if (is_control(c) || c == ' ' || c == '=') {
            return false;
        }
    }
    return p->key.len > 0 && p->value.len > 0 &&
           (str_is_ascii(p->value) || (utf8 && str_is_utf8(p->value)));
}

bool hook_params_fit(struct str address, const struct hook_params *params, bool is_rcpt, bool utf8)
{
    struct buf line BUF_LOCAL = {0};
    struct arena a ARENA_LOCAL = {0};
    struct mail_args mail;
    struct rcpt_args rcpt;

    buf_byte(&line, '<');
    buf_put(&line, address);
    buf_byte(&line, '>');
    for (uint32_t i = 0; i < params->count; i++) {
        const struct hook_param *p = &params->items[i];

        if (!hook_param_is_good(p, true)) {
            return false;
        }
        buf_byte(&line, ' ');
        buf_put(&line, p->key);
        if (p->has_value) {
            buf_byte(&line, '=');
            buf_put(&line, p->value);
        }
    }
    return is_rcpt ? rcpt_args_parse(buf_str(&line), ~0u, utf8, &a, &rcpt) == REFUSAL_NONE
                   : mail_args_parse(buf_str(&line), ~0u, &a, &mail) == REFUSAL_NONE;
}

/* ---- replies ---- */

/* What a client waits for, where it is not just any 2xx. */
static uint16_t usual_code(enum hook_stage s)
{
    return s == HOOK_CONNECT ? 220 : s == HOOK_AUTH ? 235 : 0;
}

static bool code_fits(uint16_t code, enum hook_action action, enum hook_stage stage)
{
    bool refuses = action == HOOK_REJECT || action == HOOK_DISCONNECT;

    if (code < 200 || code > 599) {
        return false;
    }
    if (refuses) {
        return code >= 400;
    }
    return code < 300 && (usual_code(stage) == 0 || code == usual_code(stage));
}

static struct str usual_text(uint16_t code)
{
    return code < 300 ? STR("Ok") : code < 500 ? STR("Try again later") : STR("Refused");
}

static bool has_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (is_control(text.ptr[i]) && text.ptr[i] != '\t') {
            return true;
        }
    }
    return false;
}

/* Without half a character at the end. */
static struct str cut(struct str text, size_t most)
{
    size_t n = most;

    if (text.len <= most) {
        return text;
    }
    while (n > 0 && ((unsigned char)text.ptr[n] & 0xc0) == 0x80) {
        n--;
    }
    return str_head(text, n > 0 ? n : most);
}

static void clean_text(struct hook_outcome *o, bool utf8, struct arena *a)
{
    struct hook_reply *r = &o->reply;
    struct buf text BUF_LOCAL = {0};

    if (has_control(r->text)) {
        hook_note(o, a, "the reply's text has control characters: it is left out");
        r->text = STR_EMPTY;
    }
    if (r->text.len == 0) {
        r->text = usual_text(r->code);
        return;
    }
    if (!str_is_ascii(r->text) && !(utf8 && str_is_utf8(r->text))) {
        hook_note(o, a, "the reply's text is not ASCII, and the client did not say SMTPUTF8");
    }
    if (r->text.len > REPLY_TEXT_BYTES_MAX) {
        hook_note(o, a, "the reply's text has %zu bytes: it is cut", r->text.len);
        r->text = cut(r->text, REPLY_TEXT_BYTES_MAX);
    }
    text_put(&text, r->text, utf8);
    r->text = arena_dup(a, buf_str(&text));
}

static bool esc_fits(const struct hook_reply *r)
{
    return r->esc.class == r->code / 100 && r->esc.class != 3 && r->esc.subject <= 999 &&
           r->esc.detail <= 999;
}

void hook_reply_check(struct hook_outcome *o, const struct hook_view *view, struct arena *a)
{
    static const struct hook_reply none = {.text = STR_INIT("")};

    if (o->reply.code == 0) {
        o->reply = none;
        return;
    }
    if (hook_stage_is_outbound(view->stage) || !code_fits(o->reply.code, o->action, view->stage)) {
        hook_note(o, a, "a reply of %u does not go with %.*s: it is left out", o->reply.code,
                  STR_ARG(hook_action_name(o->action)));
        o->reply = none;
        return;
    }
    if (o->reply.esc.class != 0 && !esc_fits(&o->reply)) {
        hook_note(o, a, "the reply's enhanced status code does not go with %u: it is left out",
                  o->reply.code);
        o->reply.esc = (struct enhanced){0};
    }
    clean_text(o, view->smtputf8, a);
}
