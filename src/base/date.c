#include "base/date.h"

#include <stdio.h>
#include <time.h>

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Years 1970 to 9999; what lies beyond is shown as the nearest of these. */
static struct tm civil(struct date d)
{
    const int64_t last_s = 253402300799;
    time_t s = d.ms < 0 ? 0 : (d.ms / 1000 > last_s ? last_s : d.ms / 1000);
    struct tm tm = {0};

    gmtime_r(&s, &tm);
    return tm;
}

struct str date_mail(struct date d, char at[DATE_MAIL_BYTES])
{
    struct tm tm = civil(d);
    int len = snprintf(at, DATE_MAIL_BYTES, "%s, %02u %s %04u %02u:%02u:%02u +0000",
                       days[tm.tm_wday], (unsigned)tm.tm_mday % 100, months[tm.tm_mon],
                       (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
                       (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);

    return (struct str){at, (size_t)len};
}

struct str date_iso(struct date d, char at[DATE_ISO_BYTES])
{
    struct tm tm = civil(d);
    int len = snprintf(at, DATE_ISO_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                       (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
                       (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
                       (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100,
                       (unsigned)(d.ms < 0 ? 0 : d.ms % 1000));

    return (struct str){at, (size_t)len};
}
