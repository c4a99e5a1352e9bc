#include "admin/view.h"
#include "base/check.h"
#include "cli/follow.h"
#include "cli/show.h"

/* What people call it. */
static const struct {
    struct str event;
    const char *word;
    bool is_failure;
} words[] = {
    {STR_INIT("message_accepted"), "accepted", false},
    {STR_INIT("delivery_done"), "delivered", false},
    {STR_INIT("delivery_deferred"), "deferred", false},
    {STR_INIT("delivery_failed"), "failed", true},
    {STR_INIT("delivery_delayed"), "delayed", false},
    {STR_INIT("double_bounce"), "dropped", true},
    {STR_INIT("rcpt_cancelled"), "cancelled", true},
    {STR_INIT("quarantine_over"), "dropped", true},
};

static struct str get(const struct view_member *m, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(m[i].key, str_of(key))) {
            return m[i].value;
        }
    }
    return STR_EMPTY;
}

static bool is_among(const struct words *ids, struct str id)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (str_eq(ids->items[i], id)) {
            return true;
        }
    }
    return false;
}

static void put_word(struct str event, struct buf *out, bool *failed)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_eq(words[i].event, event)) {
            *failed = words[i].is_failure;
            buf_printf(out, "%-10s", words[i].word);
            return;
        }
    }
    show_text(event, out);
}

static void put_part(const char *before, struct str s, const char *after, struct buf *out)
{
    if (s.len > 0) {
        buf_printf(out, "%s", before);
        show_text(s, out);
        buf_printf(out, "%s", after);
    }
}

bool follow_line(struct str json, const struct words *ids, struct arena *a, struct buf *out,
                 bool *failed)
{
    struct view_member *m;
    size_t count;
    struct str date, next, code;

    *failed = false;
    if (view_read_flat(json, a, &m, &count).code != OK ||
        !is_among(ids, get(m, count, "message"))) {
        return false;
    }
    date = get(m, count, "date");
    show_text(str_head(str_skip(date, 11), 12), out); /* the time of day */
    buf_put(out, STR("  "));
    put_word(get(m, count, "event"), out, failed);
    put_part("  ", get(m, count, "rcpt"), "", out);
    put_part("  ", get(m, count, "host"), ":", out);
    code = get(m, count, "code");
    put_part(" ", str_eq(code, STR("0")) ? STR_EMPTY : code, "", out);
    put_part(" ", get(m, count, "status"), "", out);
    put_part(" ", get(m, count, "text"), "", out);
    next = get(m, count, "next");
    if (str_eq(get(m, count, "event"), STR("delivery_deferred"))) {
        put_part("; next attempt ", str_head(str_skip(next, 11), 8), "", out);
    }
    return true;
}
