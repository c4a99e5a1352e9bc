#include "config/units.h"

#include "base/check.h"

enum { RATE_COUNT_MAX = 1000 * 1000 * 1000, RATE_PERIOD_MS_MIN = 1000 };

#define RATE_PERIOD_MS_MAX (366 * 86400 * 1000LL)

struct unit {
    struct str name;
    uint64_t worth;
};

static const struct unit duration_units[] = {
    /* from large to small: a compound may only go down */
    {STR_INIT("w"), 7 * 86400 * 1000ULL},
    {STR_INIT("d"), 86400 * 1000ULL},
    {STR_INIT("h"), 3600 * 1000ULL},
    {STR_INIT("m"), 60 * 1000ULL},
    {STR_INIT("s"), 1000ULL},
    {STR_INIT("ms"), 1ULL},
};

static const struct unit size_units[] = {
    {STR_INIT("TiB"), 1ULL << 40}, {STR_INIT("TB"), 1000000000000ULL},
    {STR_INIT("GiB"), 1ULL << 30}, {STR_INIT("GB"), 1000000000ULL},
    {STR_INIT("MiB"), 1ULL << 20}, {STR_INIT("MB"), 1000000ULL},
    {STR_INIT("KiB"), 1ULL << 10}, {STR_INIT("kB"), 1000ULL},
    {STR_INIT("B"), 1ULL},
};

/* Cuts "12h" off the front of *rest: the number and the place of the unit in the table. */
static enum units_result take_part(struct str *rest, const struct unit *units, size_t count,
                                   uint64_t *number, size_t *unit)
{
    struct str s = str_trim(*rest), name;
    size_t digits = 0, end;

    while (digits < s.len && byte_is_digit(s.ptr[digits])) {
        digits++;
    }
    if (digits == 0) {
        return UNITS_MALFORMED;
    }
    if (!str_to_u64(str_head(s, digits), number)) {
        return UNITS_TOO_LARGE;
    }
    name = str_skip(s, digits);
    while (name.len > 0 && name.ptr[0] == ' ') {
        name = str_skip(name, 1);
    }
    for (end = 0; end < name.len && byte_is_alpha(name.ptr[end]);) {
        end++;
    }
    *rest = str_skip(name, end);
    if (end == 0) {
        return name.len == 0 ? UNITS_MISSING : UNITS_MALFORMED;
    }
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(str_head(name, end), units[i].name)) {
            *unit = i;
            return UNITS_OK;
        }
    }
    return UNITS_UNKNOWN;
}

enum units_result duration_parse(struct str s, int64_t *ret_ms)
{
    struct str rest = str_trim(s);
    uint64_t sum = 0, number, part;
    size_t unit, last = 0;
    bool first = true;

    do {
        enum units_result r = take_part(&rest, duration_units, COUNT_OF(duration_units), &number,
                                        &unit);

        if (r != UNITS_OK) {
            return r;
        }
        if (!first && unit <= last) {
            return UNITS_MALFORMED;
        }
        if (__builtin_mul_overflow(number, duration_units[unit].worth, &part) ||
            __builtin_add_overflow(sum, part, &sum) || sum > INT64_MAX) {
            return UNITS_TOO_LARGE;
        }
        last = unit;
        first = false;
    } while (rest.len > 0);
    *ret_ms = (int64_t)sum;
    return UNITS_OK;
}

enum units_result size_parse(struct str s, uint64_t *ret)
{
    struct str rest = str_trim(s);
    uint64_t number, bytes;
    size_t unit;
    enum units_result r = take_part(&rest, size_units, COUNT_OF(size_units), &number, &unit);

    if (r != UNITS_OK) {
        return r;
    }
    if (rest.len > 0) {
        return UNITS_MALFORMED;
    }
    if (__builtin_mul_overflow(number, size_units[unit].worth, &bytes)) {
        return UNITS_TOO_LARGE;
    }
    *ret = bytes;
    return UNITS_OK;
}

enum units_result rate_parse(struct str s, uint64_t *ret_count, int64_t *ret_ms)
{
    struct str rest = str_trim(s), number;
    int64_t ms;
    uint64_t count;
    enum units_result r;

    if (str_eq(rest, STR("none")) || str_eq(rest, STR("unlimited")) || str_eq(rest, STR("false"))) {
        *ret_count = 0;
        *ret_ms = RATE_PERIOD_MS_MIN;
        return UNITS_OK;
    }
    if (str_find(rest, '/') == STR_NONE) {
        return UNITS_MALFORMED;
    }
    str_cut(&rest, '/', &number);
    if (!str_to_u64(str_trim(number), &count) || count == 0) {
        return UNITS_MALFORMED;
    }
    r = duration_parse(rest, &ms);
    if (r != UNITS_OK) {
        return r;
    }
    if (count > RATE_COUNT_MAX || ms > RATE_PERIOD_MS_MAX) {
        return UNITS_TOO_LARGE;
    }
    if (ms < RATE_PERIOD_MS_MIN) {
        return UNITS_MALFORMED;
    }
    *ret_count = count;
    *ret_ms = ms;
    return UNITS_OK;
}

void duration_print(int64_t ms, struct buf *out)
{
    uint64_t rest = ms > 0 ? (uint64_t)ms : 0;

    if (rest == 0) {
        buf_put(out, STR("0s"));
        return;
    }
    for (size_t i = 1; i < COUNT_OF(duration_units); i++) { /* days, not weeks */
        uint64_t n = rest / duration_units[i].worth;

        if (n > 0) {
            buf_printf(out, "%llu%s", (unsigned long long)n, duration_units[i].name.ptr);
            rest %= duration_units[i].worth;
        }
    }
}

void size_print(uint64_t bytes, struct buf *out)
{
    for (size_t i = 0; i < COUNT_OF(size_units); i++) {
        if ((bytes != 0 || size_units[i].worth == 1) && bytes % size_units[i].worth == 0) {
            buf_printf(out, "%llu%s", (unsigned long long)(bytes / size_units[i].worth),
                       size_units[i].name.ptr);
            return;
        }
    }
}
