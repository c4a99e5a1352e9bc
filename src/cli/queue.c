/*
 * postyard queue: works on queued mail through the server's local socket.
 */
#include "admin/retry.h"
#include "admin/view.h"
#include "base/check.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "http/local.h"
#include "runtime/clock.h"

enum { PAGE = 1000 };

struct queue_command {
    const char *name; /* for messages: "queue list" */
    struct arena arena;
    struct str config, where;
    bool json, dry_run, all;
    uint64_t limit;
    struct words ids;
    struct ask ask;
};

/* ---- list ---- */

static struct str page_target(struct queue_command *q, uint64_t limit, struct str after)
{
    struct arena *a = &q->arena;

    return arena_printf(a, "/api/v1/queue?limit=%llu%s%.*s%s%.*s", (unsigned long long)limit,
                        after.len > 0 ? "&after=" : "", STR_ARG(after),
                        q->where.len > 0 ? "&where=" : "",
                        STR_ARG(q->where.len > 0 ? http_local_encode(q->where, a) : STR_EMPTY));
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

static int queue_list(struct queue_command *q)
{
    uint64_t shown = 0;
    struct view_page page = {0};
    struct buf end BUF_LOCAL = {0};

    do {
        uint64_t left = q->limit > 0 ? q->limit - shown : PAGE;
        struct str body;
        enum cli_exit exit;

        q->ask.target = page_target(q, left < PAGE ? left : PAGE, page.next);
        exit = ask_alone(&q->ask, &q->arena, &body);
        if (exit != EXIT_DONE) {
            return exit;
        }
        if (view_read_page(body, &q->arena, &page).code != OK) {
            cli_say(q->name, "the server's answer makes no sense; is it another version?");
            return EXIT_FAILED;
        }
        if (!print_page(q, &page, shown == 0)) {
            return EXIT_FAILED;
        }
        shown += page.count;
    } while (page.next.len > 0 && page.count > 0 && (q->limit == 0 || shown < q->limit));
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

    q->ask.target = arena_printf(&q->arena, "/api/v1/queue/%.*s",
                                 STR_ARG(http_local_encode(id, &q->arena)));
    exit = ask_alone(&q->ask, &q->arena, &body);
    if (exit != EXIT_DONE) {
        return exit;
    }
    if (q->json) {
        buf_put(out, body);
        return EXIT_DONE;
    }
    if (view_read(body, &q->arena, &m).code != OK) {
        cli_say(q->name, "the server's answer makes no sense; is it another version?");
        return EXIT_FAILED;
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

static int queue_show(struct queue_command *q)
{
    return show_each(q, show_all);
}

static int queue_why(struct queue_command *q)
{
    return show_each(q, show_why);
}

/* ---- retry ---- */

static bool read_ids(struct queue_command *q, struct retry_request *ret)
{
    ret->ids = arena_array(&q->arena, q->ids.count, sizeof(*ret->ids));
    for (size_t i = 0; i < q->ids.count; i++) {
        if (!str_hex_to_u64(q->ids.items[i], &ret->ids[i]) || ret->ids[i] == 0) {
            cli_say(q->name, "%.*s is not a message id", STR_ARG(q->ids.items[i]));
            return false;
        }
        ret->id_count++;
    }
    return true;
}

static struct str member(const struct view_member *m, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(m[i].key, str_of(key))) {
            return m[i].value;
        }
    }
    return STR_EMPTY;
}

static int print_retry(struct queue_command *q, struct str body)
{
    struct buf out BUF_LOCAL = {0};
    struct view_member *m;
    size_t count;
    struct str messages;
    uint64_t n;

    if (q->json) {
        return cli_out(body) ? EXIT_DONE : EXIT_FAILED;
    }
    if (view_read_flat(body, &q->arena, &m, &count).code != OK) {
        cli_say(q->name, "the server's answer makes no sense; is it another version?");
        return EXIT_FAILED;
    }
    messages = member(m, count, "messages");
    if (q->dry_run) {
        buf_printf(&out, "messages that would be tried now: %.*s\n", STR_ARG(messages));
    } else {
        buf_printf(&out, "messages: %.*s, jobs made due now: %.*s\n", STR_ARG(messages),
                   STR_ARG(member(m, count, "jobs")));
    }
    if (!cli_out(buf_str(&out))) {
        return EXIT_FAILED;
    }
    if (str_to_u64(messages, &n) && n < q->ids.count) {
        cli_say(q->name, "%llu of these are not in the queue, or wait for nothing",
                (unsigned long long)(q->ids.count - n));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static int queue_retry_command(struct queue_command *q)
{
    struct retry_request ask = {.where = q->where, .all = q->all, .dry_run = q->dry_run};
    struct buf json BUF_LOCAL = {0};
    struct str body;
    enum cli_exit exit;

    if ((q->ids.count > 0) + (q->where.len > 0) + q->all != 1) {
        cli_say(q->name, "say which messages: ids, or --where EXPRESSION, or --all");
        return EXIT_USAGE;
    }
    if (!read_ids(q, &ask)) {
        return EXIT_USAGE;
    }
    retry_write(&ask, &json);
    q->ask.method = "POST";
    q->ask.target = STR("/api/v1/queue/retry");
    q->ask.body = buf_str(&json);
    exit = ask_alone(&q->ask, &q->arena, &body);
    if (exit != EXIT_DONE) {
        return exit;
    }
    return print_retry(q, body);
}

/* ---- which of them ---- */

static const struct {
    const char *name, *full;
    int (*fn)(struct queue_command *q);
    bool has_where, has_limit, changes;
    size_t least, most;
} table[] = {
    {"list", "queue list", queue_list, true, true, false, 0, 0},
    {"show", "queue show", queue_show, false, false, false, 1, 1000},
    {"why", "queue why", queue_why, false, false, false, 1, 1000},
    {"retry", "queue retry", queue_retry_command, true, false, true, 0, 1000},
};

static int run(size_t which, int argc, char **argv, struct queue_command *q)
{
    struct option_row rows[6] = {OPTION_CONFIG(&q->config), OPTION_JSON(&q->json)};
    size_t count = 2;
    struct config *cfg;
    int exit;

    q->name = table[which].full;
    if (table[which].has_where) {
        rows[count++] = (struct option_row){.name = "where",
                                            .text = &q->where,
                                            .value = "EXPR",
                                            .does = "only what the expression chooses, such as "
                                                    "rcpt_domain == 'a.example'"};
    }
    if (table[which].has_limit) {
        rows[count++] = (struct option_row){
            .name = "limit", .number = &q->limit, .value = "N", .does = "at most so many"};
    }
    if (table[which].changes) {
        rows[count++] = (struct option_row){
            .name = "all", .flag = &q->all, .does = "all messages in the queue"};
        rows[count++] = (struct option_row){
            .name = "dry-run", .flag = &q->dry_run, .does = "only say what would be done"};
    }
    if (!cli_options(q->name, rows, count, argc, argv, &q->arena, &q->ids, table[which].least,
                     table[which].most, &exit)) {
        return exit;
    }
    cfg = cli_config(q->name, q->config);
    if (cfg == NULL) {
        return EXIT_FAILED;
    }
    q->ask.command = q->name;
    q->ask.method = "GET";
    exit = ask_socket(q->name, cfg, &q->arena, &q->ask.socket) ? table[which].fn(q) : EXIT_FAILED;
    config_give(cfg);
    return exit;
}

int cli_queue(int argc, char **argv)
{
    struct queue_command q = {.config = STR_EMPTY};
    struct str word = argc > 1 ? str_of(argv[1]) : STR_EMPTY;
    int exit = EXIT_USAGE;

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (str_eq(word, str_of(table[i].name))) {
            exit = run(i, argc - 1, argv + 1, &q);
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
        cli_say("queue", "there is no queue %.*s; there are list, show, why and retry",
                STR_ARG(word));
    } else {
        cli_say("queue", "say list, show, why or retry");
    }
    return exit;
}
