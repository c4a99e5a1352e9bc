#include "admin/json.h"

#include "base/event.h"

void json_next(struct buf *out)
{
    char last = out->len > 0 ? out->ptr[out->len - 1] : '{';

    if (last != '{' && last != '[') {
        buf_byte(out, ',');
    }
}

void json_key(struct buf *out, const char *key)
{
    json_next(out);
    buf_printf(out, "\"%s\":", key);
}

void json_text(struct buf *out, const char *key, struct str s)
{
    json_key(out, key);
    json_str(out, s);
}

void json_text_if(struct buf *out, const char *key, struct str s)
{
    if (s.len > 0) {
        json_text(out, key, s);
    }
}

void json_number(struct buf *out, const char *key, uint64_t n)
{
    json_key(out, key);
    buf_printf(out, "%llu", (unsigned long long)n);
}

void json_bool(struct buf *out, const char *key, bool b)
{
    json_key(out, key);
    buf_put(out, b ? STR("true") : STR("false"));
}

void json_date(struct buf *out, const char *key, struct date d)
{
    char text[DATE_ISO_BYTES];

    json_key(out, key);
    if (d.ms == 0 || date_is_never(d)) {
        buf_put(out, STR("null"));
    } else {
        buf_printf(out, "\"%.*s\"", STR_ARG(date_iso(d, text)));
    }
}

void json_date_if(struct buf *out, const char *key, struct date d)
{
    if (d.ms != 0 && !date_is_never(d)) {
        json_date(out, key, d);
    }
}

void json_id(struct buf *out, const char *key, uint64_t id)
{
    json_key(out, key);
    buf_printf(out, "\"%016llx\"", (unsigned long long)id);
}
