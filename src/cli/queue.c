/*
 * postyard queue: works on queued mail through the server's local socket. Here: which command with
 * which options, and those that only read.
 */
#include "admin/view.h"
#include "base/check.h"
#include "cli/commands.h"
#include "cli/explain.h"
#include "cli/queue_part.h"
#include "cli/show.h"
#include "cli/snapshot.h"
#include "http/local.h"
#include "runtime/clock.h"

enum { PAGE = 1000 };

int queue_no_sense(const struct queue_command *q)
{
    cli_say(q->name, "the server's answer makes no sense; is it another version?");
    return EXIT_FAILED;
}

struct str queue_member(const struct view_member *m, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(m[i].key, str_of(key))) {
            return m[i].value;
        }
    }
    return STR_EMPTY;
}

uint64_t queue_number(const struct view_member *m, size_t count, const char *key)
{
    uint64_t n = 0;

    (void)str_to_u64(queue_member(m, count, key), &n);
    return n;
}

struct str queue_query(struct queue_command *q)
{
    const struct selection *s = &q->ask.which;
    const struct {
        const char *name;
        struct str value;
    } parts[] = {{"where", s->text}, {"queue", s->queue},
                 {"site", s->site},  {"sender", s->sender},
                 {"rcpt", s->rcpt},  {"held", s->held ? STR("true") : STR_EMPTY}};
    struct buf out BUF_LOCAL = {0};

    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (parts[i].value.len > 0) {
            buf_printf(&out, "&%s=%.*s", parts[i].name,
                       STR_ARG(http_local_encode(parts[i].value, &q->arena)));
        }
    }
    return arena_dup(&q->arena, buf_str(&out));
}

/* ---- list ---- */

static struct str page_target(struct queue_command *q, uint64_t limit, struct str after)
{
    struct arena *a = &q->arena;

    return arena_printf(a, "/api/v1/queue?limit=%llu%s%.*s%.*s%.*s", (unsigned long long)limit,
                        after.len > 0 ? "&after=" : "", STR_ARG(after),
                        STR_ARG(q->page > 0
                                    ? arena_printf(a, "&page=%llu", (unsigned long long)q->page)
                                    : STR_EMPTY),
                        STR_ARG(queue_query(q)));
}

static bool print_page(struct queue_command *q, const struct view_page *page, bool first)
{
    struct buf out BUF_LOCAL = {0};

    if (first && q->json) {
        buf_printf(&out, "{\"total\":%llu,\"items\":[", (unsigned long long)page->total);
    }
    for (uint64_t i = 0; i < page->count; i++) {
        if (q->json) {
            buf_put(&out, first && i == 0 ? STR("\n") : STR(",\n"));
            view_write(&page->items[i], &out);
        } else {
            show_row(&page->items[i], clock_date(), &out);
        }
    }
    return cli_out(buf_str(&out));
}

int command_list(struct queue_command *q)
{
    uint64_t shown = 0;
    struct view_page page = {0};
    struct buf end BUF_LOCAL = {0};

    if (q->page > 0 && q->limit == 0) {
        cli_say(q->name, "--page needs --limit: how many are on a page");
        return EXIT_USAGE;
    }
    if (q->page > 0 && q->limit > PAGE) {
        cli_say(q->name, "a page has at most %d messages", PAGE);
        return EXIT_USAGE;
    }
    do {
        uint64_t left = q->limit > 0 ? q->limit - shown : PAGE;
        struct str body;
        enum cli_exit exit;

        q->to.target = page_target(q, left < PAGE ? left : PAGE, page.next);
        exit = ask_alone(&q->to, &q->arena, &body);
        if (exit != EXIT_DONE) {
            return exit;
        }
        if (view_read_page(body, &q->arena, &page).code != OK) {
            return queue_no_sense(q);
        }
        if (!print_page(q, &page, shown == 0)) {
            return EXIT_FAILED;
        }
        shown += page.count;
    } while (q->page == 0 && page.next.len > 0 && page.count > 0 &&
             (q->limit == 0 || shown < q->limit));
    if (q->json) {
        buf_put(&end, STR("]}\n"));
    } else if (shown == page.total) {
        buf_printf(&end, "%llu message%s\n", (unsigned long long)shown, shown == 1 ? "" : "s");
    } else {
        buf_printf(&end, "%llu of %llu messages\n", (unsigned long long)shown,
                   (unsigned long long)page.total);
    }
    return cli_out(buf_str(&end)) ? EXIT_DONE : EXIT_FAILED;
}

/* ---- show, why ---- */

typedef void show_fn(const struct view_message *m, struct date now, struct buf *out);

static int show_one(struct queue_command *q, struct str id, show_fn *show, struct buf *out)
{
    struct view_message m;
    struct str body;
    enum cli_exit exit;

    q->to.target = arena_printf(&q->arena, "/api/v1/queue/%.*s",
                                STR_ARG(http_local_encode(id, &q->arena)));
    exit = ask_alone(&q->to, &q->arena, &body);
    if (exit != EXIT_DONE) {
        return exit;
    }
    if (q->json) {
        buf_put(out, body);
        return EXIT_DONE;
    }
    if (view_read(body, &q->arena, &m).code != OK) {
        return queue_no_sense(q);
    }
    show(&m, clock_date(), out);
    return EXIT_DONE;
}

static int show_each(struct queue_command *q, show_fn *show)
{
    struct buf out BUF_LOCAL = {0};
    int worst = EXIT_DONE;

    for (size_t i = 0; i < q->ids.count; i++) {
        int exit = show_one(q, q->ids.items[i], show, &out);

        worst = exit != EXIT_DONE ? exit : worst;
    }
    return cli_out(buf_str(&out)) ? worst : EXIT_FAILED;
}

int command_show(struct queue_command *q)
{
    return show_each(q, show_all);
}

/* The plan of the configuration file; NULL when there is none that is good. */
static struct plan *why_plan;

static void show_why_decided(const struct view_message *m, struct date now, struct buf *out)
{
    show_why(m, now, out);
    for (uint64_t i = 0; why_plan != NULL && i < m->to_count; i++) {
        explain_queued(why_plan, m, i, out);
    }
}

int command_why(struct queue_command *q)
{
    struct faults faults = {0};
    struct snapshot_source source = {.is_check = true};
    struct snapshot snapshot = {0};
    bool is_missing;
    int exit;

    source.tables = cli_tables(&source.table_count);
    source.path = cli_config_path(q->config, &is_missing);
    if (!q->json && snapshot_load(&source, &faults, &snapshot)) {
        why_plan = snapshot.plan;
    }
    exit = show_each(q, show_why_decided);
    why_plan = NULL;
    snapshot_drop(&snapshot);
    faults_done(&faults);
    return exit;
}

/* ---- count ---- */

int command_count(struct queue_command *q)
{
    struct buf out BUF_LOCAL = {0};
    struct view_member *m;
    struct str body, query = queue_query(q);
    size_t count;
    enum cli_exit exit;

    q->to.target = arena_printf(&q->arena, "/api/v1/queue/count%s%.*s", query.len > 0 ? "?" : "",
                                STR_ARG(str_skip(query, 1)));
    exit = ask_alone(&q->to, &q->arena, &body);
    if (exit != EXIT_DONE) {
        return exit;
    }
    if (q->json) {
        return cli_out(body) ? EXIT_DONE : EXIT_FAILED;
    }
    if (view_read_flat(body, &q->arena, &m, &count).code != OK) {
        return queue_no_sense(q);
    }
    buf_printf(&out, "%llu recipients of %llu messages, %llu of them held\n",
               (unsigned long long)queue_number(m, count, "recipients"),
               (unsigned long long)queue_number(m, count, "messages"),
               (unsigned long long)queue_number(m, count, "held"));
    return cli_out(buf_str(&out)) ? EXIT_DONE : EXIT_FAILED;
}

/* ---- which of them ---- */

enum { READS = 1, CHOOSES = 2, PAGES = 4, CHANGES = 8 };

static const struct row {
    const char *name, *full;
    queue_command_fn *fn;
    unsigned takes;
    size_t least, most; /* words */
} table[] = {
    {"list", "queue list", command_list, READS | CHOOSES | PAGES, 0, 0},
    {"count", "queue count", command_count, READS | CHOOSES, 0, 0},
    {"show", "queue show", command_show, READS, 1, 1000},
    {"why", "queue why", command_why, READS, 1, 1000},
    {"hold", "queue hold", command_hold, CHOOSES | CHANGES, 0, 1000},
    {"release", "queue release", command_release, CHOOSES | CHANGES, 0, 1000},
    {"retry", "queue retry", command_retry, CHOOSES | CHANGES, 0, 1000},
    {"cancel", "queue cancel", command_cancel, CHOOSES | CHANGES, 0, 1000},
    {"move", "queue move", command_move, CHOOSES | CHANGES, 0, 1000},
    {"reschedule", "queue reschedule", command_reschedule, CHOOSES | CHANGES, 0, 1000},
    {"pause", "queue pause", command_pause, CHOOSES | CHANGES, 1, 1},
    {"resume", "queue resume", command_resume, READS, 1, 1},
    {"pauses", "queue pauses", command_pauses, READS, 0, 0},
};

#define ROW(...) ((struct option_row){__VA_ARGS__})

static size_t add_choice(struct queue_command *q, struct option_row *rows)
{
    struct selection *s = &q->ask.which;
    size_t n = 0;

    rows[n++] = ROW(.name = "where", .text = &s->text, .value = "EXPR",
                    .does = "what the expression chooses: rcpt_domain == 'a.example'");
    rows[n++] = ROW(.name = "queue", .text = &s->queue, .value = "NAME",
                    .does = "what is in this virtual queue");
    rows[n++] = ROW(.name = "site", .text = &s->site, .value = "SITE",
                    .does = "what goes to this next hop: a.example");
    rows[n++] = ROW(.name = "sender", .text = &s->sender, .value = "ADDRESS",
                    .does = "what is from this address, @domain or <>");
    rows[n++] = ROW(.name = "rcpt", .text = &s->rcpt, .value = "ADDRESS",
                    .does = "what is for this address or @domain");
    rows[n++] = ROW(.name = "held", .flag = &s->held, .does = "what is held");
    return n;
}

/* The options of this change alone. */
static size_t add_own(struct queue_command *q, const struct row *row, struct option_row *rows)
{
    struct request *ask = &q->ask;
    size_t n = 0;

    if (row->fn == command_hold || row->fn == command_cancel || row->fn == command_pause) {
        rows[n++] = ROW(.name = "reason", .text = &ask->reason, .value = "TEXT",
                        .does = "why: shown by queue why, or told to the sender");
    }
    if (row->fn == command_hold) {
        rows[n++] = ROW(.name = "quarantine", .flag = &ask->quarantine,
                        .does = "dropped after queue.quarantine.hold-max");
    } else if (row->fn == command_cancel) {
        rows[n++] = ROW(.name = "silent", .flag = &ask->silent, .does = "the sender is not told");
    } else if (row->fn == command_pause) {
        rows[n++] = ROW(.name = "for", .text = &q->lasts, .value = "TIME",
                        .does = "it ends by itself after so long: 2h");
        rows[n++] = ROW(.name = "until", .text = &q->until, .value = "DATE",
                        .does = "it ends by itself then");
    } else if (row->fn == command_retry) {
        rows[n++] = ROW(.name = "at", .text = &q->at, .value = "TIME",
                        .does = "not now but then: 2h, or a date");
    } else if (row->fn == command_move) {
        rows[n++] = ROW(.name = "to-queue", .text = &ask->to_queue, .value = "NAME",
                        .does = "into this virtual queue");
        rows[n++] = ROW(.name = "to-route", .text = &ask->to_route, .value = "NAME",
                        .does = "by this route");
    }
    return n;
}

static int run(const struct row *row, int argc, char **argv, struct queue_command *q)
{
    struct option_row rows[20] = {OPTION_CONFIG(&q->config), OPTION_JSON(&q->json)};
    size_t count = 2;
    struct config *cfg;
    int exit;

    q->name = row->full;
    if (row->takes & CHOOSES) {
        count += add_choice(q, rows + count);
    }
    if (row->takes & PAGES) {
        rows[count++] = ROW(.name = "limit", .number = &q->limit, .value = "N",
                            .does = "at most so many");
        rows[count++] = ROW(.name = "page", .number = &q->page, .value = "N",
                            .does = "the N-th page of so many");
    }
    if (row->takes & CHANGES) {
        rows[count++] = ROW(.name = "all", .flag = &q->ask.all, .does = "all that is in the queue");
        rows[count++] = ROW(.name = "dry-run", .flag = &q->ask.dry_run,
                            .does = "only say what would be done");
        count += add_own(q, row, rows + count);
    }
    if (!cli_options(q->name, rows, count, argc, argv, &q->arena, &q->ids, row->least, row->most,
                     &exit)) {
        return exit;
    }
    cfg = cli_config(q->name, q->config);
    if (cfg == NULL) {
        return EXIT_FAILED;
    }
    q->to.command = q->name;
    q->to.method = "GET";
    exit = ask_socket(q->name, cfg, &q->arena, &q->to.socket) ? row->fn(q) : EXIT_FAILED;
    config_give(cfg);
    return exit;
}

static void say_names(const char *before)
{
    struct buf out BUF_LOCAL = {0};

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        buf_printf(&out, "%s%s", i == 0 ? "" : ", ", table[i].name);
    }
    cli_say("queue", "%s%.*s", before, STR_ARG(buf_str(&out)));
}

int cli_queue(int argc, char **argv)
{
    struct queue_command q = {.config = STR_EMPTY};
    struct str word = argc > 1 ? str_of(argv[1]) : STR_EMPTY;
    int exit = EXIT_USAGE;

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (str_eq(word, str_of(table[i].name))) {
            exit = run(&table[i], argc - 1, argv + 1, &q);
            arena_done(&q.arena);
            return exit;
        }
    }
    if (str_eq(word, STR("--help")) || str_eq(word, STR("-h"))) {
        struct words none;

        (void)cli_options("queue", NULL, 0, argc, argv, &q.arena, &none, 0, 0, &exit);
        return exit;
    }
    if (word.len > 0) {
        cli_say("queue", "there is no queue %.*s", STR_ARG(word));
    }
    say_names("say one of ");
    return exit;
}
