/*
 * maildir: final delivery into folders: PATH/ADDRESS/{tmp,new,cur}, one file a message.
 *
 * 1. A message is written to tmp, flushed, renamed to new, and the folder new flushed: then it is
 *    delivered, and not before.
 * 2. Its name is made of the message's id and the recipient's index, so a delivery repeated after a
 *    crash replaces its twin as long as nobody has moved that.
 * 3. An address becomes one name below PATH: letters in lower case, and what could mean something
 *    to a file system as =XX. Folders are made when missing: which addresses exist was asked when
 *    the mail came in.
 */
#include "base/check.h"
#include "delivery/part.h"
#include "mail/trace.h"
#include "runtime/clock.h"
#include "runtime/disk.h"

enum { BOX_NAME_BYTES_MAX = 200, PART_MS = 50 };

static bool is_plain(char c, bool is_first)
{
    return byte_is_alnum(c) || c == '@' || c == '-' || c == '_' || c == '+' ||
           (c == '.' && !is_first);
}

/* False: too long for a name. */
static bool box_name(struct buf *out, struct str address)
{
    for (size_t i = 0; i < address.len; i++) {
        char c = byte_lower(address.ptr[i]);

        if (is_plain(c, i == 0)) {
            buf_byte(out, c);
        } else {
            buf_printf(out, "=%02X", (unsigned)(unsigned char)c);
        }
    }
    return out->len <= BOX_NAME_BYTES_MAX;
}

struct box {
    struct disk *folder, *tmp, *new;
};

static void box_close(struct box *b)
{
    struct disk *all[] = {b->folder, b->tmp, b->new};

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (all[i] != NULL) {
            disk_close(all[i]);
        }
    }
}

static struct err folder_open(struct arena *a, struct str path, const char *below,
                              struct disk **ret, struct when by)
{
    return disk_open(arena_printf(a, "%.*s%s", STR_ARG(path), below), ret, by);
}

static struct err box_open(struct arena *a, struct str path, struct box *ret, struct when by)
{
    struct disk *cur = NULL;
    struct err e = folder_open(a, path, "", &ret->folder, by);

    e = e.code ? e : folder_open(a, path, "/tmp", &ret->tmp, by);
    e = e.code ? e : folder_open(a, path, "/new", &ret->new, by);
    e = e.code ? e : folder_open(a, path, "/cur", &cur, by);
    if (cur != NULL) {
        disk_close(cur);
    }
    /* The folders may be new themselves. */
    return e.code ? e : disk_sync_folder(ret->folder, by);
}

static struct err write_all(struct disk_file *f, uint64_t *at, struct str bytes, struct when by)
{
    struct iovec iov = {(char *)(uintptr_t)bytes.ptr, bytes.len};
    struct err e = disk_write(f, *at, &iov, 1, by);

    *at += bytes.len;
    return e;
}

static struct err write_message(struct job *j, const struct recipient *r, struct disk_file *f,
                                struct when by)
{
    struct parcel *p = j->work->parcel;
    struct buf room BUF_LOCAL = {0};
    uint64_t at = 0, offset = 0;
    struct err e;

    trace_return_path(&room, p->message.sender, p->message.smtputf8);
    trace_delivered_to(&room, r->address, p->message.smtputf8);
    e = write_all(f, &at, buf_str(&room), by);
    while (e.code == OK && offset < p->message.size) {
        struct str run;

        if (offset < p->head.len) {
            run = str_skip(buf_str(&p->head), (size_t)offset);
        } else {
            e = store_content(j->l->d->options.store, p, offset, &room, &run, by);
            if (e.code) {
                return e;
            }
        }
        e = write_all(f, &at, run, by);
        offset += run.len;
    }
    e = e.code ? e : disk_truncate(f, at, by);
    return e.code ? e : disk_sync(f, by);
}

static struct err deliver_one(struct job *j, const struct recipient *r, struct str path,
                              struct when by)
{
    struct arena *a = &j->work->arena;
    struct str host = j->l->d->options.hostname;
    const struct message *m = &j->work->parcel->message;
    struct str name = arena_printf(a, "%lld.%016llx-%u.%.*s", (long long)(m->arrived.ms / 1000),
                                   (unsigned long long)m->id, (unsigned)(r - m->to), STR_ARG(host));
    struct str tmp = arena_printf(a, "tmp/%.*s", STR_ARG(name));
    struct str new = arena_printf(a, "new/%.*s", STR_ARG(name));
    struct box box = {0};
    struct disk_file *f = NULL;
    struct err e = box_open(a, path, &box, by);

    e = e.code ? e : disk_file_open(box.folder, tmp, DISK_WRITE | DISK_CREATE, &f, by);
    if (e.code == OK) {
        e = write_message(j, r, f, by);
        disk_file_close(f);
        if (e.code) {
            (void)disk_unlink(box.folder, tmp, by);
        }
    }
    e = e.code ? e : disk_rename(box.folder, tmp, new, by);
    e = e.code ? e : disk_sync_folder(box.new, by);
    box_close(&box);
    return e;
}

static struct err take(struct job *j, const struct recipient *r, struct str box, struct when by)
{
    const struct delivery_taker *taker = &j->l->d->options.taker;

    return taker->fn != NULL ? taker->fn(taker->ctx, j->route->name, NULL, NULL, by)
                             : deliver_one(j, r, box, by);
}

void maildir_deliver(struct job *j, struct when by)
{
    struct arena *a = &j->work->arena;
    struct when told = clock_now();

    for (uint32_t i = 0; i < j->work->to_count && !fiber_is_cancelled(); i++) {
        const struct recipient *r = job_recipient(j, i);
        struct str base = j->route->settings->path;
        struct buf name BUF_LOCAL = {0};
        struct outcome *o = &j->outcomes[i];
        char why[160];
        struct err e;

        if (!box_name(&name, r->address)) {
            *o = outcome_of(OUTCOME_FAILED, LAST_IO, "5.1.1",
                            STR("the address is too long for a maildir"), STR("localhost"));
            continue;
        }
        e = take(j, r, arena_printf(a, "%.*s/%.*s", STR_ARG(base), STR_ARG(buf_str(&name))), by);
        if (e.code == ERR_CANCELLED) {
            return; /* a disk finishes what it began: only what stands for one is cut short */
        }
        if (e.code) {
            *o = outcome_of(OUTCOME_LATER, LAST_IO, err_status(e.code),
                            arena_printf(a, "maildir: %s", err_say(e, why, sizeof why).ptr),
                            STR("localhost"));
        } else {
            *o = outcome_of(OUTCOME_DONE, LAST_NONE, "2.1.5", STR("delivered to a maildir"),
                            STR("localhost"));
            o->is_local = true;
        }
        if (clock_now().ns - told.ns >= PART_MS * NS_PER_MS) {
            results_part(j, (clock_now().ns - told.ns) / 1000);
            told = clock_now();
        }
    }
}
