/*
 * event: everything that happens and is told, declared once with typed fields.
 *
 * Each folder that may raise events (queue, store, hooks, inbound, delivery, admin, and main for
 * the process itself) keeps an events.def of rows
 *     EVENT(name, LEVEL, "what happened, for people")
 * and expands it with EVENT_DECLARE in its events.h and EVENT_DEFINE in its events.c. Fields come
 * from fields.def, one constructor each: f_rcpt(str), f_size(number), f_message(id), f_next(date).
 *     event_raise(&ev_delivery_deferred, f_message(id), f_rcpt(to), f_next(due));
 * event_raise is in runtime/log.h, which knows the time; this header says how an event looks.
 *
 * Limits    EVENT_FIELDS_MAX fields; text is cut at EVENT_TEXT_MAX bytes when rendered. Control
 *           bytes and bad UTF-8 from strangers never reach a log raw: JSON escapes them, the text
 *           form shows \xNN.
 */
#pragma once

#include "base/buf.h"
#include "base/date.h"
#include "base/str.h"

#include <stdint.h>

enum event_level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };
enum event_type { EVENT_str, EVENT_num, EVENT_id, EVENT_date };
enum { EVENT_FIELDS_MAX = 16, EVENT_TEXT_MAX = 1024 };

struct event_kind {
    const char *name;
    enum event_level level;
    const char *text;
};

struct event_field {
    const char *name;
    enum event_type type;
    union {
        struct str str;
        int64_t num;
        uint64_t id;
        struct date date;
    };
};

typedef struct str event_arg_str;
typedef int64_t event_arg_num;
typedef uint64_t event_arg_id;
typedef struct date event_arg_date;

#define FIELD(field, kind, meaning)                                                                \
    static inline struct event_field f_##field(event_arg_##kind value)                             \
    {                                                                                              \
        return (struct event_field){.name = #field, .type = EVENT_##kind, .kind = value};          \
    }
#include "base/fields.def"
#undef FIELD

#define EVENT_DECLARE(event, level, text) extern const struct event_kind ev_##event;
#define EVENT_DEFINE(event, level, text)                                                           \
    const struct event_kind ev_##event = {#event, LEVEL_##level, text};

/* One line without its end: {"date":"…","level":"info","event":"…",…} */
void event_json(struct buf *out, struct date at, const struct event_kind *kind,
                const struct event_field *fields, size_t count);
/* One line for people: 10:00:00.000 info delivery_deferred rcpt=<a@b> … */
void event_text(struct buf *out, struct date at, const struct event_kind *kind,
                const struct event_field *fields, size_t count);

/* How many bytes at the start of s stand in a JSON string as they are: ASCII but controls, DEL, the
 * quote mark and the backslash. */
size_t json_plain(struct str s);
/* s as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void json_str(struct buf *out, struct str s);
