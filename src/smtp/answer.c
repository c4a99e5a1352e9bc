#include "smtp/answer.h"

#include "base/check.h"
#include "runtime/stream.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    uint16_t code;
    struct enhanced esc;
    struct str text;
} rows[ANSWER_COUNT] = {
/* A status is three digits and two dots, or nothing: parsed by the compiler. */
#define DIGIT(s, at) (sizeof(s) == 6 ? (s)[sizeof(s) == 6 ? (at) : 0] - '0' : 0)
#define ANSWER(name, code, status, text)                                                           \
    {code, {DIGIT(status, 0), DIGIT(status, 2), DIGIT(status, 4)}, STR_INIT(text)},
#include "smtp/answers.def"
#undef ANSWER
#undef DIGIT
};

void answer_fixed(struct answer *ret, enum answer_row row)
{
    must(row < ANSWER_COUNT);
    ret->code = rows[row].code;
    ret->esc = rows[row].esc;
    ret->text = rows[row].text;
    ret->close = ret->code == 421;
    ret->by_policy = false;
}

static struct enhanced enhanced_of(const char *status)
{
    struct enhanced esc = {0};

    if (status[0] != '\0') {
        must(strlen(status) == 5);
        esc.class = (uint8_t)(status[0] - '0');
        esc.subject = (uint16_t)(status[2] - '0');
        esc.detail = (uint16_t)(status[4] - '0');
    }
    return esc;
}

void answer_format(struct answer *ret, uint16_t code, const char *status, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(ret->room, sizeof ret->room, format, args);
    va_end(args);
    must(n >= 0);

    size_t len = (size_t)n < sizeof ret->room ? (size_t)n : sizeof ret->room - 1;

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)ret->room[i] < 0x20 || (unsigned char)ret->room[i] >= 0x7f) {
            ret->room[i] = '?';
        }
    }
    ret->code = code;
    ret->esc = enhanced_of(status);
    ret->text = str_make(ret->room, len);
    ret->close = code == 421;
    ret->by_policy = false;
}

void answer_quote(struct answer *ret, uint16_t code, struct enhanced esc, struct str text)
{
    answer_format(ret, code, "", "%.*s", STR_ARG(text));
    ret->esc = esc;
    ret->close = false;
    ret->by_policy = true;
}

void answer_refusal(struct answer *ret, enum refusal why, bool is_rcpt, struct str culprit)
{
    struct refusal_reply r = refusal_reply(why, is_rcpt);

    if (str_is_empty(culprit)) {
        answer_format(ret, r.code, r.status, "%s", r.text);
    } else {
        struct str shown = str_head(culprit, 100);

        answer_format(ret, r.code, r.status, "%s: %.*s", r.text, STR_ARG(shown));
    }
}

static size_t put_number(unsigned n, char *at)
{
    size_t len = 0;

    n %= 1000; /* RFC 3463 has three digits */
    if (n >= 100) {
        at[len++] = (char)('0' + n / 100);
    }
    if (n >= 10) {
        at[len++] = (char)('0' + n / 10 % 10);
    }
    at[len++] = (char)('0' + n % 10);
    return len;
}

struct str enhanced_print(struct enhanced esc, char at[ENHANCED_BYTES])
{
    size_t len = 0;

    if (esc.class != 0) {
        len = put_number(esc.class, at);
        at[len++] = '.';
        len += put_number(esc.subject, at + len);
        at[len++] = '.';
        len += put_number(esc.detail, at + len);
    }
    return str_make(at, len);
}

/* By hand: several a message, and printf would be the dearest thing in a session. */
struct str answer_line(const struct answer *a, char at[ANSWER_LINE_BYTES])
{
    char esc[ENHANCED_BYTES];
    struct str status = enhanced_print(a->esc, esc);
    struct str text = str_head(a->text, ANSWER_BYTES_MAX);
    size_t len = 4;

    must(a->code >= 200 && a->code < 600);
    at[0] = (char)('0' + a->code / 100);
    at[1] = (char)('0' + a->code / 10 % 10);
    at[2] = (char)('0' + a->code % 10);
    at[3] = ' ';
    if (status.len > 0) {
        memcpy(at + len, status.ptr, status.len);
        len += status.len;
        at[len++] = ' ';
    }
    memcpy(at + len, text.ptr, text.len);
    len += text.len;
    at[len++] = '\r';
    at[len++] = '\n';
    must(len <= ANSWER_LINE_BYTES);
    return str_make(at, len);
}

struct err answer_write(struct stream *s, const struct answer *a, struct when by)
{
    char line[ANSWER_LINE_BYTES];

    return stream_put(s, answer_line(a, line), by);
}
