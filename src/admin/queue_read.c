/* /api/v1/queue: pages over the stored messages, with what the queue knows of their jobs. */
#include "admin/json.h"
#include "admin/part.h"
#include "admin/queue_walk.h"
#include "admin/view.h"
#include "base/check.h"
#include "base/map.h"
#include "mail/envelope.h"
#include "queue/queue.h"
#include "queue/select.h"
#include "store/store.h"

enum { LIMIT_STANDARD = 100, LIMIT_MAX = 1000, PAGE_BYTES = 8 * 1024 * 1024, PAGE_MAX = 1000000 };

struct listing {
    struct admin *admin;
    struct buf items;
    uint64_t limit, listed;
    uint64_t skip;   /* of those that match, on pages before this one */
    uint64_t last;   /* id of the last one listed */
    bool has_more;   /* than fit the page */
    bool counts_all; /* goes on after the page is full, for the total */
};

static struct err list_batch(void *ctx, const struct queue_match *matches, uint32_t count,
                             struct arena *a, bool *go_on, struct when by)
{
    struct listing *l = ctx;
    uint32_t skipped = l->skip < count ? (uint32_t)l->skip : count;
    uint64_t left = l->has_more ? 0 : l->limit - l->listed;

    l->skip -= skipped;
    matches += skipped;
    count -= skipped;

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

/* Which recipients; false, answered, when the request makes no sense. *any: it says something. */
static bool read_selection(const struct http_request *r, struct http_answer *answer,
                           struct selection *s, bool *any)
{
    struct buf why BUF_LOCAL = {0};
    struct str held = STR_EMPTY;
    const struct {
        const char *name;
        struct str *to;
    } texts[] = {{"where", &s->text},    {"queue", &s->queue}, {"site", &s->site},
                 {"sender", &s->sender}, {"rcpt", &s->rcpt},   {"held", &held}};

    *any = false;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        *any = http_query(r, texts[i].name, texts[i].to) || *any;
    }
    if (held.len > 0 && !str_eq(held, STR("true"))) {
        http_answer_error(answer, 400, STR("held is true or not there"));
        return false;
    }
    s->held = held.len > 0;
    if (select_compile(s, &why).code != OK) {
        http_answer_error(answer, 400, buf_str(&why));
        return false;
    }
    return true;
}

/* A whole number of the query from 1 to `most`, if it is there. */
static bool read_number(const struct http_request *r, struct http_answer *answer, const char *name,
                        uint64_t most, uint64_t *ret)
{
    struct buf why BUF_LOCAL = {0};
    struct str value;

    if (!http_query(r, name, &value) || (str_to_u64(value, ret) && *ret >= 1 && *ret <= most)) {
        return true;
    }
    buf_printf(&why, "%s is a whole number from 1 to %llu", name, (unsigned long long)most);
    http_answer_error(answer, 400, buf_str(&why));
    return false;
}

/* The page asked for; false, answered, when the request makes no sense. */
static bool read_page(const struct http_request *r, struct http_answer *answer, struct listing *l,
                      struct queue_walk *w)
{
    struct str value;
    uint64_t page = 1;

    l->limit = LIMIT_STANDARD;
    if (!read_number(r, answer, "limit", LIMIT_MAX, &l->limit) ||
        !read_number(r, answer, "page", PAGE_MAX, &page)) {
        return false;
    }
    l->skip = (page - 1) * l->limit;
    if (http_query(r, "after", &value) && !str_hex_to_u64(value, &w->after)) {
        http_answer_error(answer, 400, STR("after is a message id: 16 hexadecimal digits"));
        return false;
    }
    return true;
}

static void answer_failed(struct http_answer *answer, const struct queue_walk *w, struct err e)
{
    http_answer_error(answer, w->failed != NULL ? 400 : 503,
                      str_of(w->failed != NULL ? w->failed : err_text(e.code)));
}

void admin_queue_list(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_READS);
    struct listing l = {.admin = ad};
    struct queue_walk w = {.fn = list_batch, .ctx = &l};
    struct selection which = {0};
    bool chooses;
    struct err e;

    if (ad == NULL || !read_page(r, answer, &l, &w) ||
        !read_selection(r, answer, &which, &chooses)) {
        return;
    }
    w.store = ad->options.store;
    w.selection = chooses ? &which : NULL;
    l.counts_all = chooses;
    e = queue_walk(&w, by);
    if (e.code != OK) {
        answer_failed(answer, &w, e);
    } else {
        struct store_counts counts = store_counts(ad->options.store);

        buf_byte(&answer->body, '{');
        json_number(&answer->body, "total", chooses ? w.total : counts.live_messages);
        json_key(&answer->body, "items");
        buf_printf(&answer->body, "[%.*s]", STR_ARG(buf_str(&l.items)));
        if (l.has_more) {
            json_id(&answer->body, "next", l.last);
        }
        buf_put(&answer->body, STR("}\n"));
    }
    buf_done(&l.items);
    select_done(&which);
}

/* ---- how many ---- */

struct counting {
    struct map queues; /* name to struct queue_tally */
    struct arena arena;
    uint64_t recipients, held;
};

struct queue_tally {
    struct str name;
    uint64_t recipients;
};

static struct err count_batch(void *ctx, const struct queue_match *matches, uint32_t count,
                              struct arena *a, bool *go_on, struct when by)
{
    struct counting *c = ctx;

    (void)a;
    (void)by;
    *go_on = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct message *m = matches[i].message;

        for (uint32_t k = 0; k < m->to_count; k++) {
            const struct rcpt_state *s = &m->to[k].state;
            struct queue_tally *tally;

            if (s->status != RCPT_WAITING || !matches[i].is_meant[k]) {
                continue;
            }
            tally = map_get(&c->queues, s->queue);
            if (tally == NULL) {
                tally = ARENA_NEW(&c->arena, struct queue_tally);
                tally->name = arena_dup(&c->arena, s->queue);
                map_put(&c->queues, tally->name, tally);
            }
            tally->recipients++;
            c->recipients++;
            c->held += s->held_since.ms > 0;
        }
    }
    return ERR_OK;
}

void admin_queue_count(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_READS);
    struct counting c = {0};
    struct selection which = {0};
    struct queue_walk w = {.fn = count_batch, .ctx = &c, .selection = &which};
    struct queue_tally *tally;
    struct buf *out = &answer->body;
    size_t at = 0;
    bool chooses;
    struct err e;

    if (ad == NULL || !read_selection(r, answer, &which, &chooses)) {
        return;
    }
    w.store = ad->options.store;
    e = queue_walk(&w, by);
    if (e.code != OK) {
        answer_failed(answer, &w, e);
    } else {
        buf_byte(out, '{');
        json_number(out, "messages", w.total);
        json_number(out, "recipients", c.recipients);
        json_number(out, "held", c.held);
        json_key(out, "queues");
        buf_byte(out, '{');
        while ((tally = map_each(&c.queues, &at)) != NULL) {
            json_number(out, arena_z(r->arena, tally->name), tally->recipients);
        }
        buf_put(out, STR("}}\n"));
    }
    map_done(&c.queues);
    arena_done(&c.arena);
    select_done(&which);
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
