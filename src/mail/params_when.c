/*
 * params_when: when a message is to be sent on, by when it is to be there, and how much it matters.
 */
#include "base/date.h"
#include "mail/params_part.h"

enum { UNIX_DIGITS_MAX = 10, SECONDS_DIGITS_MAX = 9 };

/* Digits and nothing else; no sign, no more than so many. */
static bool take_number(struct str digits, size_t most, int64_t *ret)
{
    if (digits.len == 0 || digits.len > most) {
        return false;
    }
    *ret = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (!byte_is_digit(digits.ptr[i])) {
            return false;
        }
        *ret = *ret * 10 + (digits.ptr[i] - '0');
    }
    return true;
}

enum refusal param_hold_for(struct target *t, struct str value, bool has_value)
{
    int64_t s;

    (void)has_value;
    if (t->mail->hold_until.ms != 0) {
        return REFUSAL_PARAM_TWICE;
    }
    if (!take_number(value, SECONDS_DIGITS_MAX, &s) || s == 0) {
        return REFUSAL_PARAM_VALUE;
    }
    t->mail->hold_s = (uint32_t)s;
    return REFUSAL_NONE;
}

/* A date-time; or, as some clients send it, seconds since 1970 (PY-18). Whether it is past is seen
 * by whoever has a clock. */
enum refusal param_hold_until(struct target *t, struct str value, bool has_value)
{
    struct date until;
    int64_t s;

    (void)has_value;
    if (t->mail->hold_s != 0) {
        return REFUSAL_PARAM_TWICE;
    }
    if (take_number(value, UNIX_DIGITS_MAX, &s)) {
        until.ms = s * 1000;
    } else if (!date_parse_iso(value, &until)) {
        return REFUSAL_PARAM_VALUE;
    }
    if (until.ms <= 0) {
        return REFUSAL_PARAM_VALUE;
    }
    t->mail->hold_until = until;
    return REFUSAL_NONE;
}

enum refusal param_by(struct target *t, struct str value, bool has_value)
{
    struct mail_args *m = t->mail;
    struct str seconds;
    bool minus;
    int64_t s;

    (void)has_value;
    if (!str_cut(&value, ';', &seconds) || seconds.len == 0) {
        return REFUSAL_PARAM_VALUE;
    }
    minus = seconds.ptr[0] == '-';
    if (!take_number(str_skip(seconds, minus || seconds.ptr[0] == '+'), SECONDS_DIGITS_MAX, &s)) {
        return REFUSAL_PARAM_VALUE;
    }
    if (value.len == 2 && byte_lower(value.ptr[1]) == 't') {
        m->by_trace = true;
    } else if (value.len != 1) {
        return REFUSAL_PARAM_VALUE;
    }
    m->by_s = (int32_t)(minus ? -s : s);
    m->by = byte_lower(value.ptr[0]) == 'r'   ? BY_RETURN
            : byte_lower(value.ptr[0]) == 'n' ? BY_NOTIFY
                                              : BY_NONE;
    if (m->by == BY_NONE || (m->by == BY_RETURN && m->by_s <= 0)) {
        return REFUSAL_PARAM_VALUE;
    }
    return REFUSAL_NONE;
}

/* RFC 6710 section 4: a digit, or a minus and one that is not zero. */
enum refusal param_priority(struct target *t, struct str value, bool has_value)
{
    bool minus = value.len == 2 && value.ptr[0] == '-';
    int64_t n;

    (void)has_value;
    if (!take_number(str_skip(value, minus), 1, &n) || (minus && n == 0)) {
        return REFUSAL_PARAM_VALUE;
    }
    t->mail->priority = (int8_t)(minus ? -n : n);
    return REFUSAL_NONE;
}
