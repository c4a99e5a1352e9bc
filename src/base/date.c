#include "base/date.h"

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct civil {
    uint32_t year, month, day, hour, minute, second, weekday; /* month from 1, weekday from 0 */
};

/*
 * Years 1970 to 9999; what lies beyond is shown as the nearest of these. The calendar is counted
 * from March of year 0, so that the leap day ends a year (H. Hinnant, "chrono-Compatible Low-Level
 * Date Algorithms"). Every log line and Received field has a date: the C library's way, through
 * struct tm and printf, was a tenth of all instructions spent on a message.
 */
static struct civil civil(struct date d)
{
    enum { DAY_S = 86400, ERA_DAYS = 146097, TO_1970_DAYS = 719468 };
    const int64_t last_s = 253402300799;
    uint64_t s = d.ms < 0 ? 0 : (uint64_t)(d.ms / 1000 > last_s ? last_s : d.ms / 1000);
    uint32_t day = (uint32_t)(s / DAY_S), second = (uint32_t)(s % DAY_S);
    uint32_t from_0 = day + TO_1970_DAYS, era = from_0 / ERA_DAYS, in_era = from_0 % ERA_DAYS;
    uint32_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint32_t in_year = in_era - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * in_year + 2) / 153; /* 0 is March */

    return (struct civil){.year = year + era * 400 + (month >= 10),
                          .month = month < 10 ? month + 3 : month - 9,
                          .day = in_year - (153 * month + 2) / 5 + 1,
                          .hour = second / 3600,
                          .minute = second / 60 % 60,
                          .second = second % 60,
                          .weekday = (day + 4) % 7};
}

static char *put_digits(char *at, uint32_t n, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        at[i - 1] = (char)('0' + n % 10);
        n /= 10;
    }
    return at + count;
}

static char *put_word(char *at, const char *words, uint32_t index)
{
    memcpy(at, words + (size_t)index * 3, 3);
    return at + 3;
}

static char *put_byte(char *at, char c)
{
    *at = c;
    return at + 1;
}

static char *put_time(char *at, const struct civil *c)
{
    at = put_byte(put_digits(at, c->hour, 2), ':');
    at = put_byte(put_digits(at, c->minute, 2), ':');
    return put_digits(at, c->second, 2);
}

struct str date_mail(struct date d, char at[DATE_MAIL_BYTES])
{
    struct civil c = civil(d);
    char *end = put_word(at, days, c.weekday);

    end = put_byte(put_byte(end, ','), ' ');
    end = put_byte(put_digits(end, c.day, 2), ' ');
    end = put_byte(put_word(end, months, c.month - 1), ' ');
    end = put_byte(put_digits(end, c.year, 4), ' ');
    end = put_time(end, &c);
    memcpy(end, " +0000", sizeof " +0000");
    return (struct str){at, DATE_MAIL_BYTES - 1};
}

struct str date_iso(struct date d, char at[DATE_ISO_BYTES])
{
    struct civil c = civil(d);
    char *end = put_byte(put_digits(at, c.year, 4), '-');

    end = put_byte(put_digits(end, c.month, 2), '-');
    end = put_byte(put_digits(end, c.day, 2), 'T');
    end = put_byte(put_time(end, &c), '.');
    end = put_digits(end, d.ms < 0 ? 0 : (uint32_t)(d.ms % 1000), 3);
    memcpy(end, "Z", sizeof "Z");
    return (struct str){at, DATE_ISO_BYTES - 1};
}

/* `count` digits from the front of *s, and the byte behind them unless `end` is 0. */
static bool take_digits(struct str *s, size_t count, char end, uint32_t *ret)
{
    size_t all = count + (end != 0);

    if (s->len < all || (end != 0 && byte_lower(s->ptr[count]) != end)) {
        return false;
    }
    *ret = 0;
    for (size_t i = 0; i < count; i++) {
        if (!byte_is_digit(s->ptr[i])) {
            return false;
        }
        *ret = *ret * 10 + (uint32_t)(s->ptr[i] - '0');
    }
    *s = str_skip(*s, all);
    return true;
}

static bool take_fraction(struct str *s, uint32_t *ms)
{
    uint32_t digit, scale = 100;

    *ms = 0;
    if (s->len == 0 || s->ptr[0] != '.') {
        return true;
    }
    *s = str_skip(*s, 1);
    if (!take_digits(s, 1, 0, &digit)) {
        return false;
    }
    do {
        *ms += digit * scale;
        scale /= 10;
    } while (take_digits(s, 1, 0, &digit));
    return true;
}

/* Minutes east of Greenwich. */
static bool take_zone(struct str *s, int32_t *ret)
{
    uint32_t hour, minute;
    char sign = s->len > 0 ? s->ptr[0] : 0;

    *s = str_skip(*s, 1);
    *ret = 0;
    if (byte_lower(sign) == 'z') {
        return true;
    }
    if ((sign != '+' && sign != '-') || !take_digits(s, 2, ':', &hour) ||
        !take_digits(s, 2, 0, &minute) || hour > 23 || minute > 59) {
        return false;
    }
    *ret = (int32_t)(hour * 60 + minute) * (sign == '-' ? -1 : 1);
    return true;
}

static bool is_calendar(const struct civil *c)
{
    static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);

    return c->year >= 1970 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
           c->day <= lengths[c->month - 1] && (leap || c->month != 2 || c->day < 29) &&
           c->hour < 24 && c->minute < 60 && c->second <= 60; /* 60: a leap second */
}

/* Days since 1970; the other way of civil(). */
static int64_t day_number(const struct civil *c)
{
    enum { ERA_DAYS = 146097, TO_1970_DAYS = 719468 };
    uint32_t year = c->month > 2 ? c->year : c->year - 1, era = year / 400, in_era = year % 400;
    uint32_t month = c->month > 2 ? c->month - 3 : c->month + 9;
    uint32_t in_year = (153 * month + 2) / 5 + c->day - 1;

    return (int64_t)era * ERA_DAYS + in_era * 365 + in_era / 4 - in_era / 100 + in_year -
           TO_1970_DAYS;
}

bool date_parse_iso(struct str text, struct date *ret)
{
    struct civil c = {0};
    uint32_t ms;
    int32_t east;

    if (!take_digits(&text, 4, '-', &c.year) || !take_digits(&text, 2, '-', &c.month) ||
        !take_digits(&text, 2, 't', &c.day) || !take_digits(&text, 2, ':', &c.hour) ||
        !take_digits(&text, 2, ':', &c.minute) || !take_digits(&text, 2, 0, &c.second) ||
        !take_fraction(&text, &ms) || !take_zone(&text, &east) || text.len > 0 ||
        !is_calendar(&c)) {
        return false;
    }
    ret->ms = ((day_number(&c) * 24 + c.hour) * 60 + c.minute - east) * 60000 +
              (int64_t)c.second * 1000 + ms;
    return true;
}
