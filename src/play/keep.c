#include "play/keep.h"

#include "base/event.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/disk.h"

struct play_keep {
    struct disk *disk;
    _Atomic uint32_t count;
};

static void json_field(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, ",\"%s\":", name);
    json_str(out, value);
}

static void json_flag(struct buf *out, const char *name, bool value)
{
    buf_printf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

void play_message_json(struct buf *out, const struct play_message *m, struct date at,
                       struct str content)
{
    char address[ADDR_BYTES], date[DATE_ISO_BYTES];

    buf_put(out, STR("{\"date\":"));
    json_str(out, date_iso(at, date));
    json_field(out, "sender", m->sender);
    json_field(out, "mail_params", m->params);
    buf_put(out, STR(",\"to\":["));
    for (const struct play_rcpt *r = m->to; r != NULL; r = r->next) {
        buf_put(out, r == m->to ? STR("{\"address\":") : STR(",{\"address\":"));
        json_str(out, r->address);
        json_field(out, "params", r->params);
        json_flag(out, "refused", r->refused);
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
    json_field(out, "helo", m->helo);
    json_field(out, "client", addr_print(&m->client, address));
    json_field(out, "local", addr_print(&m->local, address));
    json_flag(out, "lmtp", m->lmtp);
    json_flag(out, "tls", m->tls);
    json_flag(out, "bdat", m->bdat);
    json_flag(out, "answered", !m->unanswered);
    buf_printf(out, ",\"size\":%zu,\"crc32c\":\"%08x\"", m->content.len, m->crc32c);
    if (content.len > 0) {
        json_field(out, "content", content);
    }
    buf_byte(out, '}');
}

struct err play_keep_open(struct str folder, struct play_keep **ret, struct when by)
{
    struct disk *d;
    struct err e = disk_open(folder, &d, by);

    if (!e.code) {
        *ret = MEM_NEW(struct play_keep);
        (*ret)->disk = d;
    }
    return e;
}

void play_keep_close(struct play_keep *k)
{
    if (k != NULL) {
        disk_close(k->disk);
        mem_free(k);
    }
}

static struct err put_file(struct play_keep *k, struct str name, struct str bytes, struct when by)
{
    struct disk_file *f;
    struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};
    struct err e = disk_file_open(k->disk, name, DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &f, by);

    if (!e.code) {
        e = bytes.len > 0 ? disk_write(f, 0, &iov, 1, by) : ERR_OK;
        disk_file_close(f);
    }
    return e;
}

struct err play_keep_message(void *ctx, const struct play_message *m, struct when by)
{
    struct play_keep *k = ctx;
    struct arena a ARENA_LOCAL = {0};
    struct buf json BUF_LOCAL = {0};
    struct date now = clock_date();
    struct str stem, eml, part;
    struct err e;

    do { /* another process, or a clock that was set back, may have used the name */
        stem = arena_printf(&a, "%013lld-%06u", (long long)now.ms,
                            (unsigned)atomic_fetch_add(&k->count, 1));
        eml = arena_printf(&a, "%.*s.eml", STR_ARG(stem));
        e = put_file(k, eml, m->content, by);
    } while (e.code == ERR_EXISTS);
    if (e.code) {
        return e;
    }
    play_message_json(&json, m, now, eml);
    buf_byte(&json, '\n');
    part = arena_printf(&a, "%.*s.part", STR_ARG(stem));
    e = put_file(k, part, buf_str(&json), by);
    if (!e.code) {
        e = disk_rename(k->disk, part, arena_printf(&a, "%.*s.json", STR_ARG(stem)), by);
    }
    return e;
}
