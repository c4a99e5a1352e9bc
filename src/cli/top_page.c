#include "base/check.h"
#include "cli/show.h"
#include "cli/top.h"

static bool read_line(struct str line, struct top_metric *ret)
{
    size_t blank = str_rfind(line, ' '), open;
    struct str name;

    if (line.len == 0 || line.ptr[0] == '#' || blank == STR_NONE ||
        !str_to_u64(str_skip(line, blank + 1), &ret->value)) {
        return false;
    }
    name = str_head(line, blank);
    open = str_find(name, '{');
    ret->name = open == STR_NONE ? name : str_head(name, open);
    ret->label = STR_EMPTY;
    if (open != STR_NONE) {
        struct str rest = str_skip(name, open), label;

        (void)str_cut(&rest, '"', &label);
        (void)str_cut(&rest, '"', &ret->label);
    }
    return true;
}

void top_read(struct str page, struct arena *a, struct top_reading *ret)
{
    struct str line;
    size_t lines = 1;

    for (size_t i = 0; i < page.len; i++) {
        lines += page.ptr[i] == '\n';
    }
    *ret = (struct top_reading){.items = arena_array(a, lines, sizeof(*ret->items))};
    page = arena_dup(a, page);
    while (str_cut(&page, '\n', &line)) {
        ret->count += read_line(line, &ret->items[ret->count]);
    }
}

static uint64_t get(const struct top_reading *r, const char *name, struct str label)
{
    for (size_t i = 0; i < r->count; i++) {
        if (str_eq(r->items[i].name, str_of(name)) && str_eq(r->items[i].label, label)) {
            return r->items[i].value;
        }
    }
    return 0;
}

struct rates {
    const struct top_reading *now, *before;
    int64_t ms;
    struct buf *out;
};

static void put_count(const struct rates *r, const char *what, const char *name)
{
    buf_printf(r->out, "  %s %llu", what, (unsigned long long)get(r->now, name, STR_EMPTY));
}

static void put_rate(const struct rates *r, const char *what, const char *name, const char *unit)
{
    uint64_t now = get(r->now, name, STR_EMPTY), before = get(r->before, name, STR_EMPTY);

    buf_printf(r->out, "  %s %llu%s", what, (unsigned long long)now, unit);
    if (r->before->count > 0 && r->ms > 0 && now >= before) {
        buf_printf(r->out, " (%.1f/s)", (double)(now - before) * 1000.0 / (double)r->ms);
    }
}

static void put_queues(const struct rates *r)
{
    static const char *const columns[] = {"postyard_queue_running", "postyard_queue_ready",
                                          "postyard_queue_due"};

    buf_printf(r->out, "\n%-32s %8s %8s %8s %8s\n", "queue", "slots", "running", "ready", "due");
    for (size_t i = 0; i < r->now->count; i++) {
        const struct top_metric *m = &r->now->items[i];

        if (!str_eq(m->name, STR("postyard_queue_slots"))) {
            continue;
        }
        show_text(m->label, r->out);
        buf_printf(r->out, "%*s %8llu", m->label.len < 32 ? (int)(32 - m->label.len) : 0, "",
                   (unsigned long long)m->value);
        for (size_t c = 0; c < COUNT_OF(columns); c++) {
            buf_printf(r->out, " %8llu", (unsigned long long)get(r->now, columns[c], m->label));
        }
        buf_byte(r->out, '\n');
    }
}

void top_page(const struct top_reading *now, const struct top_reading *before, int64_t ms,
              struct buf *out)
{
    const struct rates r = {now, before, ms, out};

    buf_put(out, STR("messages  "));
    put_count(&r, "stored", "postyard_store_messages");
    put_rate(&r, "accepted", "postyard_messages_accepted_total", "");
    put_rate(&r, "reports", "postyard_reports_total", "");
    buf_put(out, STR("\nrecipients"));
    put_rate(&r, "delivered", "postyard_recipients_delivered_total", "");
    put_rate(&r, "deferred", "postyard_recipients_deferred_total", "");
    put_rate(&r, "failed", "postyard_recipients_failed_total", "");
    buf_put(out, STR("\njobs      "));
    put_count(&r, "all", "postyard_jobs");
    put_count(&r, "due", "postyard_jobs_due");
    put_count(&r, "preparing", "postyard_jobs_preparing");
    put_count(&r, "ready", "postyard_jobs_ready");
    put_count(&r, "running", "postyard_jobs_running");
    put_count(&r, "stuck", "postyard_watchdog_total");
    buf_put(out, STR("\nstore     "));
    put_rate(&r, "flushes", "postyard_store_flushes_total", "");
    put_rate(&r, "written", "postyard_store_written_bytes_total", " bytes");
    put_count(&r, "failed flushes", "postyard_store_failed_flushes_total");
    buf_byte(out, '\n');
    put_queues(&r);
}
