#include "smtp/reply.h"

#include "runtime/stream.h"

/* "5.1.1" followed by a blank or the end; *used: with that blank. */
static bool enhanced_parse(struct str in, struct enhanced *ret, size_t *used)
{
    unsigned part[3] = {0};
    size_t at = 0;

    for (int i = 0; i < 3; i++) {
        size_t digits = 0;

        while (at < in.len && byte_is_digit(in.ptr[at]) && digits < 3) {
            part[i] = part[i] * 10 + (unsigned)(in.ptr[at] - '0');
            at++;
            digits++;
        }
        if (digits == 0 || (i == 0 && digits > 1)) {
            return false;
        }
        if (i < 2 && (at == in.len || in.ptr[at++] != '.')) {
            return false;
        }
    }
    if (at < in.len && in.ptr[at] != ' ') {
        return false;
    }
    *ret = (struct enhanced){(uint8_t)part[0], (uint16_t)part[1], (uint16_t)part[2]};
    *used = at < in.len ? at + 1 : at;
    return true;
}

static void text_add(struct reply_parser *p, struct str line)
{
    bool keep_8bit = str_is_utf8(line);
    char *room;

    if (p->text.len + line.len + 1 > REPLY_TEXT_BYTES_MAX) {
        return;
    }
    if (p->lines > 1) {
        buf_byte(&p->text, '\n');
    }
    room = buf_room(&p->text, line.len);
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];

        room[i] = c < 0x20 || c == 0x7f || (c > 0x7f && !keep_8bit) ? '?' : (char)c;
    }
    p->text.len += line.len;
}

static enum reply_state bad(struct reply_parser *p, const char *fault)
{
    p->fault = fault;
    return REPLY_BAD;
}

/* One line without its end. */
static enum reply_state line_add(struct reply_parser *p, struct str line)
{
    bool more = line.len > 3 && line.ptr[3] == '-';
    struct enhanced esc;
    unsigned code;
    size_t used;

    if (line.len < 3 || line.ptr[0] < '2' || line.ptr[0] > '5' || !byte_is_digit(line.ptr[1]) ||
        !byte_is_digit(line.ptr[2]) || (line.len > 3 && line.ptr[3] != ' ' && !more)) {
        return bad(p, "a line of the reply does not begin with a reply code");
    }
    code = (unsigned)(line.ptr[0] - '0') * 100 + (unsigned)(line.ptr[1] - '0') * 10 +
           (unsigned)(line.ptr[2] - '0');
    if (p->lines > 0 && code != p->code) {
        return bad(p, "the lines of the reply differ in their code");
    }
    if (++p->lines > REPLY_LINES_MAX) {
        return bad(p, "the reply has too many lines");
    }
    p->code = (uint16_t)code;
    line = str_skip(line, 4);
    if (enhanced_parse(line, &esc, &used) && esc.class == code / 100) {
        p->esc = p->esc.class == 0 ? esc : p->esc;
        line = str_skip(line, used);
    }
    text_add(p, line);
    return more ? REPLY_PART : REPLY_WHOLE;
}

enum reply_state reply_parse(struct reply_parser *p, struct str in, size_t *used, struct reply *ret)
{
    enum reply_state state = REPLY_PART;

    if (p->is_whole) {
        buf_clear(&p->text);
        p->esc = (struct enhanced){0};
        p->lines = 0;
        p->is_whole = false;
    }
    *used = 0;
    while (state == REPLY_PART) {
        struct str line = str_skip(in, *used);
        size_t end = str_find(str_head(line, REPLY_LINE_BYTES_MAX), '\n');

        if (end == STR_NONE) {
            return line.len < REPLY_LINE_BYTES_MAX ? REPLY_PART
                                                   : bad(p, "a line of the reply is too long");
        }
        *used += end + 1;
        if (end > 0 && line.ptr[end - 1] == '\r') {
            end--;
        }
        state = line_add(p, str_head(line, end));
    }
    if (state == REPLY_WHOLE) {
        p->is_whole = true;
        *ret = (struct reply){p->code, p->esc, buf_str(&p->text)};
    }
    return state;
}

void reply_parser_done(struct reply_parser *p)
{
    buf_done(&p->text);
    *p = (struct reply_parser){0};
}

struct err reply_read(struct reply_parser *p, struct stream *s, const char *what, struct reply *ret,
                      struct when by)
{
    for (;;) {
        size_t used;
        enum reply_state state = reply_parse(p, stream_buffered(s), &used, ret);
        struct err e;

        if (state == REPLY_BAD) {
            return err_of(ERR_PROTOCOL);
        }
        stream_take(s, used);
        if (state == REPLY_WHOLE) {
            return ERR_OK;
        }
        e = stream_fill(s, what, by);
        if (e.code) {
            return e;
        }
    }
}
