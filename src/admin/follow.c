/*
 * /api/v1/events: everything that happens, as it happens, one JSON object a line; with ?message=ID
 * what happens to that message. Lines that are empty keep the connection alive.
 *
 * Events are raised on all threads. While somebody follows, each is rendered where it is raised and
 * posted home, where it joins the lines of those who want it. Who is too slow loses lines, and is
 * told how many.
 */
#include "admin/part.h"
#include "base/mem.h"
#include "runtime/clock.h"

enum { LINES_MAX = 1024 * 1024, QUIET_MS = 10000 };

struct follower {
    struct link link;
    struct signal news;
    struct buf lines;
    uint64_t message; /* 0: all */
    uint64_t lost;
};

struct tiding {
    struct post post;
    struct admin *admin;
    uint64_t message;
    struct buf line;
};

static uint64_t message_of(const struct event_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].type == EVENT_id && str_eq(str_of(fields[i].name), STR("message"))) {
            return fields[i].id;
        }
    }
    return 0;
}

static void hand_out(struct post *p)
{
    struct tiding *t = CONTAINER_OF(p, struct tiding, post);

    LIST_EACH (&t->admin->followers, k) {
        struct follower *f = CONTAINER_OF(k, struct follower, link);

        if (f->message != 0 && f->message != t->message) {
            continue;
        }
        if (f->lines.len + t->line.len > LINES_MAX) {
            f->lost++;
            continue;
        }
        buf_put(&f->lines, buf_str(&t->line));
        signal_raise(&f->news);
    }
    buf_done(&t->line);
    mem_free(t);
}

void admin_tell(struct admin *ad, const struct event_kind *kind, const struct event_field *fields,
                size_t count)
{
    struct tiding *t = MEM_NEW(struct tiding);

    t->post.run = hand_out;
    t->admin = ad;
    t->message = message_of(fields, count);
    event_json(&t->line, clock_date(), kind, fields, count);
    buf_byte(&t->line, '\n');
    loop_post(ad->home, &t->post);
}

static struct err push_news(struct follower *f, struct http_answer *answer, struct when by)
{
    struct buf lines BUF_LOCAL = f->lines;

    f->lines = (struct buf){0};
    if (f->lost > 0) {
        buf_printf(&lines, "{\"event\":\"lines_lost\",\"count\":%llu}\n",
                   (unsigned long long)f->lost);
        f->lost = 0;
    }
    return http_push(answer, lines.len > 0 ? buf_str(&lines) : STR("\n"), by);
}

static void follow(struct follower *f, struct http_answer *answer)
{
    /* The first, empty line tells that from now on nothing is missed. */
    struct err e = http_push(answer, STR("\n"), WHEN_NEVER);

    while (e.code == OK) {
        if (f->lines.len == 0 && f->lost == 0) {
            e = signal_wait(&f->news, "events", when_after(QUIET_MS));
        }
        if (e.code == OK || e.code == ERR_TIMEOUT) {
            e = push_news(f, answer, WHEN_NEVER);
        }
    }
}

void admin_events(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_READS);
    struct follower f = {0};
    struct str id;

    (void)by; /* as long as somebody reads */
    if (ad == NULL) {
        return;
    }
    if (http_query(r, "message", &id) && (!str_hex_to_u64(id, &f.message) || f.message == 0)) {
        http_answer_error(answer, 400, STR("a message id has 16 hexadecimal digits"));
        return;
    }
    answer->type = "application/jsonl";
    signal_init(&f.news);
    list_push(&ad->followers, &f.link);
    atomic_fetch_add(&ad->follower_count, 1);
    follow(&f, answer);
    atomic_fetch_sub(&ad->follower_count, 1);
    list_remove(&f.link);
    buf_done(&f.lines);
}
