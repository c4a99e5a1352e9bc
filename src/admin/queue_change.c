/*
 * /api/v1/queue/retry: what waits is due now. Asked with a JSON object:
 *     {"ids": ["0123456789abcdef", ...]}  or  {"where": "EXPRESSION"}  or  {"all": true},
 * and "dry_run": true to see what it would be.
 */
#include "admin/events.h"
#include "admin/json.h"
#include "admin/part.h"
#include "admin/queue_walk.h"
#include "admin/retry.h"
#include "admin/where.h"
#include "base/check.h"
#include "mail/envelope.h"
#include "queue/queue.h"
#include "runtime/log.h"
#include "store/store.h"

struct retrying {
    struct admin *admin;
    const struct retry_request *ask;
    uint64_t messages, jobs; /* meant, and made due */
    struct buf missing;      /* ids that are not in the queue, as JSON texts */
};

static bool waits(const struct message *m)
{
    for (uint32_t i = 0; i < m->to_count; i++) {
        if (m->to[i].state.status == RCPT_WAITING) {
            return true;
        }
    }
    return false;
}

static struct err retry_one(struct retrying *t, uint64_t id, struct when by)
{
    uint32_t count = 0;
    struct err e = ERR_OK;

    t->messages++;
    if (!t->ask->dry_run) {
        e = queue_retry(t->admin->options.queue, id, &count, by);
        t->jobs += count;
    }
    return e;
}

static struct err retry_batch(void *ctx, const struct queue_match *matches, uint32_t count,
                              struct arena *a, bool *go_on, struct when by)
{
    struct err e = ERR_OK;

    (void)a;
    *go_on = true;
    for (uint32_t i = 0; i < count && e.code == OK; i++) {
        if (waits(matches[i].message)) {
            e = retry_one(ctx, matches[i].message->id, by);
        }
    }
    return e;
}

static struct err retry_ids(struct retrying *t, struct when by)
{
    struct err e = ERR_OK;

    for (size_t i = 0; i < t->ask->id_count && e.code == OK; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct message *message;
        uint32_t count;
        uint64_t id = t->ask->ids[i];

        e = store_walk(t->admin->options.store, id - 1, 1, &a, &message, &count, by);
        if (e.code != OK) {
            return e;
        }
        if (count == 1 && message->id == id && waits(message)) {
            e = retry_one(t, id, by);
        } else {
            json_next(&t->missing);
            buf_printf(&t->missing, "\"%016llx\"", (unsigned long long)id);
        }
    }
    return e;
}

static void answer_retry(const struct retrying *t, struct buf *out)
{
    buf_byte(out, '{');
    json_number(out, "messages", t->messages);
    json_number(out, "jobs", t->jobs);
    json_bool(out, "dry_run", t->ask->dry_run);
    json_key(out, "missing");
    buf_printf(out, "[%.*s]}\n", STR_ARG(buf_str(&t->missing)));
}

static void retry(struct retrying *t, struct http_answer *answer, struct when by)
{
    struct buf why BUF_LOCAL = {0};
    struct where *where = NULL;
    struct queue_walk w = {.store = t->admin->options.store, .fn = retry_batch, .ctx = t};
    struct err e;

    if (t->ask->where.len > 0 && where_compile(t->ask->where, &where, &why).code != OK) {
        http_answer_error(answer, 400, buf_str(&why));
        return;
    }
    w.where = where;
    e = t->ask->id_count > 0 ? retry_ids(t, by) : queue_walk(&w, by);
    if (e.code == OK) {
        answer_retry(t, &answer->body);
    } else {
        http_answer_error(answer, w.failed != NULL ? 400 : 503,
                          str_of(w.failed != NULL ? w.failed : err_text(e.code)));
    }
    if (!t->ask->dry_run) { /* what was made due before an error is so all the same */
        event_raise(&ev_admin_action, f_name(STR("retry")), f_count((int64_t)t->messages),
                    f_text(t->ask->where));
    }
    where_free(where);
}

void admin_queue_retry(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_CHANGES);
    struct retry_request ask;
    struct retrying t = {.admin = ad, .ask = &ask};
    const char *why;

    if (ad == NULL) {
        return;
    }
    if (!retry_read(r->body, r->arena, &ask, &why)) {
        http_answer_error(answer, 400, str_of(why));
        return;
    }
    retry(&t, answer, by);
    buf_done(&t.missing);
}
