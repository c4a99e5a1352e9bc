/*
 * date: two kinds of time that the compiler keeps apart.
 *
 * struct when   monotonic, nanoseconds; for deadlines inside the process. Never stored.
 * struct date   wall clock, milliseconds since 1970 UTC; for schedules, ids and headers.
 *
 * Reading the clocks belongs to runtime/clock.h.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct when {
    int64_t ns;
};

struct date {
    int64_t ms;
};

#define WHEN_NEVER ((struct when){INT64_MAX})
#define DATE_NEVER ((struct date){INT64_MAX})

#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

static inline bool when_is_never(struct when w)
{
    return w.ns == INT64_MAX;
}

static inline bool date_is_never(struct date d)
{
    return d.ms == INT64_MAX;
}

static inline struct when when_earlier(struct when a, struct when b)
{
    return a.ns < b.ns ? a : b;
}

static inline struct date date_earlier(struct date a, struct date b)
{
    return a.ms < b.ms ? a : b;
}

/* Saturating: never stays never. */
static inline struct when when_add(struct when w, int64_t ns)
{
    int64_t sum;

    return (when_is_never(w) || __builtin_add_overflow(w.ns, ns, &sum)) ? WHEN_NEVER
                                                                        : (struct when){sum};
}

static inline struct date date_add(struct date d, int64_t ms)
{
    int64_t sum;

    return (date_is_never(d) || __builtin_add_overflow(d.ms, ms, &sum)) ? DATE_NEVER
                                                                        : (struct date){sum};
}

enum { DATE_MAIL_BYTES = 32, DATE_ISO_BYTES = 25 };

/* "Tue, 03 Mar 2026 10:00:00 +0000" (RFC 5322 section 3.3), always UTC. */
struct str date_mail(struct date d, char at[DATE_MAIL_BYTES]);
/* "2026-03-03T10:00:00.000Z" (RFC 3339). */
struct str date_iso(struct date d, char at[DATE_ISO_BYTES]);
/* The date-time of RFC 3339, whole: fraction and offset as it allows, years 1970 to 9999. */
bool date_parse_iso(struct str text, struct date *ret);
