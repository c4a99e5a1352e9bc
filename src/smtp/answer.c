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

struct str enhanced_print(struct enhanced esc, char at[ENHANCED_BYTES])
{
    int n = 0;

    if (esc.class != 0) {
        n = snprintf(at, ENHANCED_BYTES, "%u.%u.%u", esc.class % 10u, esc.subject % 1000u,
                     esc.detail % 1000u);
    }
    return str_make(at, (size_t)n);
}

struct str answer_line(const struct answer *a, char at[ANSWER_LINE_BYTES])
{
    char esc[ENHANCED_BYTES];
    struct str status = enhanced_print(a->esc, esc);
    struct str text = str_head(a->text, ANSWER_BYTES_MAX);
    int n = snprintf(at, ANSWER_LINE_BYTES, "%03u %.*s%s%.*s\r\n", a->code % 1000u, STR_ARG(status),
                     status.len ? " " : "", STR_ARG(text));

    must(n > 0 && n < ANSWER_LINE_BYTES);
    return str_make(at, (size_t)n);
}

struct err answer_write(struct stream *s, const struct answer *a, struct when by)
{
    char line[ANSWER_LINE_BYTES];

    return stream_put(s, answer_line(a, line), by);
}
