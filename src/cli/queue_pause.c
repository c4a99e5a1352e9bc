/*
 * postyard queue pause, resume, pauses: standing rules that stop attempts.
 */
#include "admin/view.h"
#include "cli/queue_part.h"
#include "cli/show.h"
#include "runtime/clock.h"

/* Asks for a change; the answer's members. */
static int change(struct queue_command *q, const char *what, struct view_member **m, size_t *count)
{
    struct buf json BUF_LOCAL = {0};
    struct str body;
    int exit;

    q->ask.name = q->ids.items[0];
    if (!queue_fill(q)) {
        return EXIT_USAGE;
    }
    request_write(&q->ask, &json);
    q->to.method = "POST";
    q->to.target = arena_printf(&q->arena, "/api/v1/queue/%s", what);
    q->to.body = buf_str(&json);
    exit = ask_alone(&q->to, &q->arena, &body);
    if (exit != EXIT_DONE) {
        return q->to.status == 400 ? EXIT_USAGE : exit;
    }
    if (q->json) {
        *count = 0;
        return cli_out(body) ? EXIT_DONE : EXIT_FAILED;
    }
    return view_read_flat(body, &q->arena, m, count).code == OK ? EXIT_DONE : queue_no_sense(q);
}

int command_pause(struct queue_command *q)
{
    struct buf out BUF_LOCAL = {0};
    struct view_member *m;
    size_t count;
    int exit = change(q, "pause", &m, &count);

    if (exit != EXIT_DONE || q->json) {
        return exit;
    }
    buf_printf(&out, "%s %llu recipients of %llu messages, and what comes\n",
               q->ask.dry_run ? "it would cover" : "paused; it covers",
               (unsigned long long)queue_number(m, count, "recipients"),
               (unsigned long long)queue_number(m, count, "messages"));
    return cli_out(buf_str(&out)) ? EXIT_DONE : EXIT_FAILED;
}

int command_resume(struct queue_command *q)
{
    struct view_member *m;
    size_t count;
    int exit = change(q, "resume", &m, &count);

    if (exit != EXIT_DONE || q->json) {
        return exit;
    }
    return cli_out(STR("resumed\n")) ? EXIT_DONE : EXIT_FAILED;
}

static void print_pause(const struct view_flat *item, struct buf *out)
{
    static const char *const shown[] = {"queue", "site",   "sender", "rcpt",  "where",
                                        "all",   "reason", "by",     "since", "until"};

    show_text(queue_member(item->members, item->count, "name"), out);
    buf_byte(out, '\n');
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        struct str value = queue_member(item->members, item->count, shown[i]);
        struct date d;

        if (value.len == 0) {
            continue;
        }
        buf_printf(out, "    %-10s ", shown[i]);
        if (date_parse_iso(value, &d)) {
            show_date(d, clock_date(), out);
        } else {
            show_text(value, out);
        }
        buf_byte(out, '\n');
    }
}

int command_pauses(struct queue_command *q)
{
    struct buf out BUF_LOCAL = {0};
    struct view_flat *items;
    struct str body;
    size_t count;
    int exit;

    q->to.target = STR("/api/v1/queue/pauses");
    exit = ask_alone(&q->to, &q->arena, &body);
    if (exit != EXIT_DONE) {
        return exit;
    }
    if (q->json) {
        return cli_out(body) ? EXIT_DONE : EXIT_FAILED;
    }
    if (view_read_items(body, &q->arena, &items, &count).code != OK) {
        return queue_no_sense(q);
    }
    for (size_t i = 0; i < count; i++) {
        print_pause(&items[i], &out);
    }
    if (count == 0) {
        buf_put(&out, STR("nothing is paused\n"));
    }
    return cli_out(buf_str(&out)) ? EXIT_DONE : EXIT_FAILED;
}
