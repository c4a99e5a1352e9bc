#include "inbound/rewrite.h"

#include "base/check.h"
#include "hooks/insert.h"
#include "store/store.h"

/* What may still be put before it (Date, Message-ID), and how much of a new message is held in
 * memory. */
enum { ROOM_BYTES = 1024, HEAD_BYTES = 48 * 1024 };

/* ---- what the new header section is ---- */

/* `more`: what follows it, in case that it has no end of its own. */
static void scan_again(struct intake *t, struct str header, struct str more)
{
    t->scan = (struct header_scan){0};
    (void)header_scan_add(&t->scan, header);
    if (t->scan.end == HEADER_OPEN) {
        (void)header_scan_add(&t->scan, more);
    }
    header_scan_end(&t->scan);
}

/* The class of a body that was not looked at again: what was found when it came in. */
static void class_with(struct content *content, struct str header, uint64_t bytes)
{
    struct content h = {0};

    content_add(&h, header);
    content->has_8bit |= h.has_8bit;
    content->has_nul |= h.has_nul;
    content->has_bare |= h.has_bare;
    content->has_long_line |= h.has_long_line;
    content->bytes = bytes;
}

/* ---- in place ---- */

static bool fits_in_place(const struct intake *t, size_t header_bytes)
{
    uint64_t old = t->trace_bytes + t->scan.bytes;

    return old <= t->parcel->head.len &&
           t->parcel->head.len - old + t->trace_bytes + header_bytes + ROOM_BYTES <=
               PARCEL_HEAD_MAX;
}

static void replace_header(struct intake *t, struct str header, struct content *content)
{
    struct buf *head = &t->parcel->head;
    struct str rest = str_skip(buf_str(head), t->trace_bytes + (size_t)t->scan.bytes);
    bool is_whole = t->body_bytes + t->piece.len == 0;
    struct buf new = {0};

    buf_put(&new, str_head(buf_str(head), t->trace_bytes));
    buf_put(&new, header);
    buf_put(&new, rest);
    if (is_whole) {
        *content = (struct content){0};
        content_add(content, str_skip(buf_str(&new), t->trace_bytes));
    } else {
        class_with(content, header, intake_bytes(t) - t->scan.bytes + header.len);
    }
    scan_again(t, header, rest);
    buf_done(head); /* header and rest may have been views of it */
    *head = new;
}

/* ---- anew ---- */

struct writing {
    struct intake *t;
    struct buf head;
    struct store_body *body;
    uint64_t body_bytes;
    struct content content;
    struct err err;
};

static void write_on(struct writing *w, struct str bytes, struct when by)
{
    content_add(&w->content, bytes);
    if (w->body == NULL) {
        struct str some = str_head(bytes, HEAD_BYTES > w->head.len ? HEAD_BYTES - w->head.len : 0);

        buf_put(&w->head, some);
        bytes = str_skip(bytes, some.len);
    }
    if (bytes.len == 0 || w->err.code != OK) {
        return;
    }
    if (w->body == NULL) {
        w->body = store_body_open(w->t->place->store);
    }
    w->body_bytes += bytes.len;
    w->err = store_body_add(w->body, bytes, by);
}

static void write_body(struct writing *w, const struct hook_bytes *body, struct when by)
{
    struct buf into BUF_LOCAL = {0};
    struct str run;

    for (uint64_t at = 0; at < body->size && w->err.code == OK; at += run.len) {
        if (body->read == NULL) {
            run = str_skip(body->whole, (size_t)at);
        } else {
            w->err = body->read(body->ctx, at, &into, &run, by);
        }
        if (w->err.code == OK) {
            write_on(w, run, by);
        }
    }
}

static bool write_anew(struct intake *t, const struct hook_view *view, struct str header,
                       struct content *content, struct answer *ret, struct when by)
{
    struct writing w = {.t = t};

    buf_put(&w.head, str_head(buf_str(&t->parcel->head), t->trace_bytes));
    write_on(&w, header, by);
    write_body(&w, &view->body, by);
    if (w.err.code != OK) {
        store_body_abandon(w.body);
        buf_done(&w.head);
        answer_fixed(ret, w.err.code == ERR_FULL ? ANSWER_NO_ROOM : ANSWER_STORE_FAILED);
        return false;
    }
    scan_again(t, header, view->body.read == NULL ? view->body.whole : STR_EMPTY);
    store_body_abandon(t->body);
    buf_done(&t->parcel->head); /* from here on the view's bytes are gone */
    buf_clear(&t->piece);
    t->parcel->head = w.head;
    t->body = w.body;
    t->body_bytes = w.body_bytes;
    t->in_body = w.body != NULL;
    *content = w.content;
    return true;
}

bool rewrite(struct intake *t, const struct hook_view *view, bool body_changed,
             struct content *content, struct answer *ret, struct when by)
{
    struct buf header BUF_LOCAL = {0};

    insert_header(view, &header);
    if (!body_changed && fits_in_place(t, header.len)) {
        replace_header(t, buf_str(&header), content);
        return true;
    }
    return write_anew(t, view, buf_str(&header), content, ret, by);
}
