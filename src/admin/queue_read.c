/* /api/v1/queue: pages over the stored messages, with what the queue knows of their jobs. */
#include "admin/json.h"
#include "admin/part.h"
#include "admin/queue_walk.h"
#include "admin/view.h"
#include "admin/where.h"
#include "mail/envelope.h"
#include "queue/queue.h"
#include "store/store.h"

enum { LIMIT_STANDARD = 100, LIMIT_MAX = 1000, PAGE_BYTES = 8 * 1024 * 1024 };

struct listing {
    struct admin *admin;
    struct buf items;
    uint64_t limit, listed;
    uint64_t last;   /* id of the last one listed */
    bool has_more;   /* than fit the page */
    bool counts_all; /* goes on after the page is full, for the total */
};

static struct err list_batch(void *ctx, const struct queue_match *matches, uint32_t count,
                             struct arena *a, bool *go_on, struct when by)
{
    struct listing *l = ctx;
    uint64_t left = l->has_more ? 0 : l->limit - l->listed;
    uint32_t wanted = left < count ? (uint32_t)left : count, note_count = 0, at = 0;
    uint64_t *ids = arena_array(a, wanted, sizeof(*ids));
    struct job_note *notes = NULL;
    struct err e = ERR_OK;

    for (uint32_t i = 0; i < wanted; i++) {
        ids[i] = matches[i].message->id;
    }
    if (wanted > 0) {
        e = queue_notes(l->admin->options.queue, ids, wanted, a, &notes, &note_count, by);
    }
    for (uint32_t i = 0; i < wanted && e.code == OK; i++) {
        struct view_message view;
        uint32_t from;

        if (l->items.len > PAGE_BYTES) {
            wanted = i;
            break;
        }
        while (at < note_count && notes[at].message < ids[i]) {
            at++;
        }
        for (from = at; at < note_count && notes[at].message == ids[i];) {
            at++;
        }
        view_make(matches[i].message, notes + from, at - from, matches[i].is_meant, a, &view);
        json_next(&l->items);
        view_write(&view, &l->items);
        l->listed++;
        l->last = ids[i];
    }
    l->has_more = l->has_more || wanted < count;
    *go_on = l->counts_all || !l->has_more;
    return e;
}

/* The page asked for; false, answered, when the request makes no sense. */
static bool read_query(const struct http_request *r, struct http_answer *answer, struct listing *l,
                       struct queue_walk *w, struct where **where)
{
    struct buf why BUF_LOCAL = {0};
    struct str value;

    l->limit = LIMIT_STANDARD;
    if (http_query(r, "limit", &value) &&
        (!str_to_u64(value, &l->limit) || l->limit < 1 || l->limit > LIMIT_MAX)) {
        http_answer_error(answer, 400, STR("limit is a whole number from 1 to 1000"));
        return false;
    }
    if (http_query(r, "after", &value) && !str_hex_to_u64(value, &w->after)) {
        http_answer_error(answer, 400, STR("after is a message id: 16 hexadecimal digits"));
        return false;
    }
    if (http_query(r, "where", &value) && where_compile(value, where, &why).code != OK) {
        http_answer_error(answer, 400, buf_str(&why));
        return false;
    }
    return true;
}

void admin_queue_list(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_READS);
    struct listing l = {.admin = ad};
    struct queue_walk w = {.fn = list_batch, .ctx = &l};
    struct where *where = NULL;
    struct err e;

    if (ad == NULL || !read_query(r, answer, &l, &w, &where)) {
        return;
    }
    w.store = ad->options.store;
    w.where = where;
    l.counts_all = where != NULL;
    e = queue_walk(&w, by);
    if (e.code != OK) {
        http_answer_error(answer, w.failed != NULL ? 400 : 503,
                          str_of(w.failed != NULL ? w.failed : err_text(e.code)));
    } else {
        struct store_counts counts = store_counts(ad->options.store);

        buf_byte(&answer->body, '{');
        json_number(&answer->body, "total", where != NULL ? w.total : counts.live_messages);
        json_key(&answer->body, "items");
        buf_printf(&answer->body, "[%.*s]", STR_ARG(buf_str(&l.items)));
        if (l.has_more) {
            json_id(&answer->body, "next", l.last);
        }
        buf_put(&answer->body, STR("}\n"));
    }
    buf_done(&l.items);
    where_free(where);
}

void admin_queue_show(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_READS);
    struct message *message;
    struct job_note *notes;
    struct view_message view;
    uint32_t count, note_count;
    uint64_t id;
    struct err e;

    if (ad == NULL) {
        return;
    }
    if (!str_hex_to_u64(r->parts[0], &id) || id == 0) {
        http_answer_error(answer, 400, STR("a message id has 16 hexadecimal digits"));
        return;
    }
    e = store_walk(ad->options.store, id - 1, 1, r->arena, &message, &count, by);
    if (e.code == OK && (count == 0 || message->id != id)) {
        http_answer_error(answer, 404,
                          STR("there is no such message in the queue: it is delivered, or has "
                              "failed, or never was"));
        return;
    }
    if (e.code == OK) {
        e = queue_notes(ad->options.queue, &id, 1, r->arena, &notes, &note_count, by);
    }
    if (e.code != OK) {
        http_answer_error(answer, 503, str_of(err_text(e.code)));
        return;
    }
    view_make(message, notes, note_count, NULL, r->arena, &view);
    view_write(&view, &answer->body);
    buf_byte(&answer->body, '\n');
}
