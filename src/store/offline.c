#include "store/offline.h"

#include "base/check.h"
#include "base/event.h"
#include "runtime/loop.h"
#include "store/log.h"

#include <inttypes.h>

/* A store opened for reading: recovered into memory, without a committer or a keeper. */

enum { SEGMENT_ANY = 64 * 1024 * 1024 }; /* of no consequence: nothing is written */

static struct err open_to_read(struct disk *disk, const struct store_lines *out, struct store **ret,
                               struct buf *why, struct when by)
{
    struct store_options options = {.segment_bytes = SEGMENT_ANY};
    struct store *s = store_new(loop_self(), disk, &options);
    struct err e;

    s->only_reads = true;
    s->told = out;
    e = store_lock(s, why);
    if (!e.code) {
        e = store_recover(s, why, by);
    }
    if (e.code) {
        store_free(s);
        return e;
    }
    *ret = s;
    return ERR_OK;
}

static struct err content_of(struct store *s, const struct piece *pieces, uint32_t count,
                             const struct store_lines *out, uint64_t *bytes, struct when by)
{
    struct window w = {0};
    struct err e = ERR_OK;

    for (uint32_t i = 0; !e.code && i < count; i++) {
        struct record r;
        struct str meta, data;

        e = record_read(s, &w, pieces[i].generation, pieces[i].offset,
                        RECORD_HEAD_BYTES + pieces[i].bytes, true, &r, &meta, &data, by);
        if (!e.code && (r.kind != RECORD_PIECE || data.len != pieces[i].bytes)) {
            e = err_of(ERR_CORRUPT);
        }
        if (!e.code) {
            *bytes += data.len;
        }
        if (!e.code && out != NULL) {
            out->line(out->ctx, data);
        }
        if (e.code) {
            say_damaged(s, 0, pieces[i].generation, pieces[i].offset, "a piece of a message");
        }
    }
    buf_done(&w.bytes);
    return e.code == ERR_STALE ? err_of(ERR_CORRUPT) : e;
}

static struct err check_one(struct store *s, uint64_t id, struct store_found *found, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf head BUF_LOCAL = {0};
    struct windows w = {0};
    struct message m;
    struct piece *pieces;
    uint32_t count;
    uint64_t bytes;
    struct err e = message_read(s, id, &w, &a, &head, &m, &pieces, &count, by);

    windows_done(&w);
    if (!e.code) {
        bytes = head.len;
        e = content_of(s, pieces, count, NULL, &bytes, by);
        if (!e.code && bytes != m.size) {
            say_damaged(s, id, 0, 0, "a message whose content has another size");
        }
        found->recipients += m.to_count;
        found->bytes += m.size;
    }
    found->messages++;
    return e.code == ERR_CORRUPT || e.code == ERR_STALE ? ERR_OK : e;
}

struct err store_check(struct disk *disk, struct store_lines out, struct store_found *ret,
                       struct buf *why, struct when by)
{
    struct store *s;
    const struct entry *next;
    uint64_t after = 0;
    struct err e = open_to_read(disk, &out, &s, why, by);

    *ret = (struct store_found){0};
    if (e.code) {
        return e;
    }
    while (!e.code && (next = index_after(&s->index, after)) != NULL) {
        after = next->id;
        e = check_one(s, after, ret, by);
    }
    ret->segments = s->segments.count;
    ret->damaged = total_get(s, damaged);
    store_free(s);
    return e;
}

static void json_date(struct buf *out, const char *name, struct date d)
{
    char at[DATE_ISO_BYTES];

    if (d.ms != 0 && !date_is_never(d)) {
        buf_printf(out, ",\"%s\":\"%.*s\"", name, STR_ARG(date_iso(d, at)));
    }
}

static void json_text(struct buf *out, const char *name, struct str s)
{
    if (s.len > 0) {
        buf_printf(out, ",\"%s\":", name);
        json_str(out, s);
    }
}

static void json_recipient(struct buf *out, const struct recipient *to)
{
    static const char *const owed[] = {[OWED_NONE] = "",
                                       [OWED_DELAYED] = "delayed",
                                       [OWED_FAILED] = "failed",
                                       [OWED_DELIVERED] = "delivered",
                                       [OWED_RELAYED] = "relayed"};
    static const char *const status[RCPT_STATUS_COUNT] = {[RCPT_WAITING] = "waiting",
                                                          [RCPT_DELIVERED] = "delivered",
                                                          [RCPT_FAILED] = "failed",
                                                          [RCPT_DROPPED] = "dropped"};
    const struct rcpt_state *s = &to->state;

    buf_put(out, STR("{\"address\":"));
    json_str(out, to->address);
    buf_printf(out, ",\"version\":%u,\"status\":\"%s\",\"attempts\":%u", s->version,
               status[s->status], s->attempts);
    json_text(out, "orcpt", to->orcpt);
    json_text(out, "owed", str_of(owed[s->owed]));
    json_text(out, "queue", s->queue);
    json_text(out, "lane", s->lane);
    json_text(out, "site", s->site);
    json_date(out, "next", s->next);
    json_date(out, "notice", s->notice);
    json_date(out, "expires", s->expires);
    json_date(out, "held_since", s->held_since);
    json_text(out, "held_by", s->held_by);
    json_text(out, "last", s->last.text);
    json_text(out, "host", s->last.host);
    buf_byte(out, '}');
}

static void json_meta(struct buf *out, const struct message_policy *p)
{
    buf_put(out, STR(",\"meta\":{"));
    for (uint32_t i = 0; i < p->meta_count; i++) {
        const struct message_meta *v = &p->meta[i];

        buf_put(out, i > 0 ? STR(",") : STR_EMPTY);
        json_str(out, v->name);
        buf_byte(out, ':');
        if (v->kind == META_STRING) {
            json_str(out, v->text);
        } else if (v->kind == META_INTEGER) {
            buf_printf(out, "%" PRId64, v->number);
        } else {
            buf_put(out, v->number != 0 ? STR("true") : STR("false"));
        }
    }
    buf_byte(out, '}');
}

static void json_message(struct buf *out, const struct message *m)
{
    buf_printf(out, "{\"id\":\"%016" PRIx64 "\"", m->id);
    json_date(out, "arrived", m->arrived);
    buf_put(out, STR(",\"sender\":"));
    json_str(out, m->sender);
    buf_printf(out, ",\"size\":%" PRIu64, m->size);
    json_text(out, "envid", m->envid);
    json_text(out, "client_ip", m->client_ip);
    json_text(out, "client_name", m->client_name);
    json_text(out, "authenticated_as", m->authenticated_as);
    if (m->policy != NULL) {
        json_text(out, "schedule", m->policy->schedule);
        json_text(out, "queue", m->policy->queue);
        json_meta(out, m->policy);
    }
    buf_put(out, STR(",\"recipients\":["));
    for (uint32_t i = 0; i < m->to_count; i++) {
        if (i > 0) {
            buf_byte(out, ',');
        }
        json_recipient(out, &m->to[i]);
    }
    buf_put(out, STR("]}"));
}

static struct err dump_one(struct store *s, uint64_t id, struct windows *w,
                           const struct store_lines *out, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf line BUF_LOCAL = {0};
    struct message m;
    struct piece *pieces;
    uint32_t count;
    struct err e = message_read(s, id, w, &a, NULL, &m, &pieces, &count, by);

    if (!e.code) {
        json_message(&line, &m);
        out->line(out->ctx, buf_str(&line));
    }
    return e;
}

struct err store_dump(struct disk *disk, uint64_t id, struct store_lines out, struct buf *why,
                      struct when by)
{
    struct windows w = {0};
    struct store *s;
    const struct entry *next;
    uint64_t after = 0;
    struct err e = open_to_read(disk, NULL, &s, why, by);

    if (e.code) {
        return e;
    }
    if (id != 0) {
        e = dump_one(s, id, &w, &out, by);
    }
    while (id == 0 && !e.code && (next = index_after(&s->index, after)) != NULL) {
        after = next->id;
        e = dump_one(s, after, &w, &out, by);
        if (e.code == ERR_CORRUPT) {
            e = ERR_OK; /* said as an event; the others are shown */
        }
    }
    windows_done(&w);
    store_free(s);
    return e;
}

struct err store_dump_content(struct disk *disk, uint64_t id, struct store_lines out,
                              struct buf *why, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf head BUF_LOCAL = {0};
    struct windows w = {0};
    struct store *s;
    struct message m;
    struct piece *pieces;
    uint32_t count;
    uint64_t bytes = 0;
    struct err e = open_to_read(disk, NULL, &s, why, by);

    if (e.code) {
        return e;
    }
    e = message_read(s, id, &w, &a, &head, &m, &pieces, &count, by);
    windows_done(&w);
    if (!e.code) {
        out.line(out.ctx, buf_str(&head));
        e = content_of(s, pieces, count, &out, &bytes, by);
    }
    store_free(s);
    return e;
}
