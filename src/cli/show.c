#include "cli/show.h"

#include "mail/envelope.h"

void show_text(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        /* C1 controls come as two bytes in UTF-8, the first of which is 0xc2. */
        if (c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xa0) {
            i++;
            c = '?';
        }
        buf_byte(out, c < ' ' || c == 0x7f ? '?' : (char)c);
    }
}

static void show_span(int64_t ms, struct buf *out)
{
    int64_t s = ms / 1000;

    if (s < 1) {
        buf_printf(out, "%lldms", (long long)ms);
    } else if (s < 120) {
        buf_printf(out, "%llds", (long long)s);
    } else if (s < 120 * 60) {
        buf_printf(out, "%lldm", (long long)(s / 60));
    } else if (s < 48 * 3600) {
        buf_printf(out, "%lldh%lldm", (long long)(s / 3600), (long long)(s / 60 % 60));
    } else {
        buf_printf(out, "%lldd%lldh", (long long)(s / 86400), (long long)(s / 3600 % 24));
    }
}

void show_date(struct date d, struct date now, struct buf *out)
{
    char text[DATE_ISO_BYTES];
    struct str iso;

    if (d.ms == 0 || date_is_never(d)) {
        buf_put(out, STR("?"));
        return;
    }
    iso = date_iso(d, text);
    buf_printf(out, "%.*s %.*s (", 10, iso.ptr, 8, iso.ptr + 11);
    if (d.ms >= now.ms) {
        buf_put(out, STR("in "));
        show_span(d.ms - now.ms, out);
    } else {
        show_span(now.ms - d.ms, out);
        buf_put(out, STR(" ago"));
    }
    buf_byte(out, ')');
}

static void show_sender(struct str sender, struct buf *out)
{
    buf_byte(out, '<');
    show_text(sender, out);
    buf_byte(out, '>');
}

static void show_tries(uint64_t n, struct buf *out)
{
    buf_printf(out, "%llu tr%s", (unsigned long long)n, n == 1 ? "y" : "ies");
}

static void show_last(const struct view_rcpt *r, struct buf *out)
{
    if (r->last_host.len > 0) {
        show_text(r->last_host, out);
        buf_put(out, r->last_code > 0 ? STR(" said ") : STR(": "));
    }
    if (r->last_code > 0) {
        buf_printf(out, "%llu ", (unsigned long long)r->last_code);
    }
    if (r->last_status.len > 0) {
        show_text(r->last_status, out);
        buf_byte(out, ' ');
    }
    show_text(r->last_text.len > 0 ? r->last_text : r->last_error, out);
}

void show_row(const struct view_message *m, struct date now, struct buf *out)
{
    buf_printf(out, "%.*s  ", STR_ARG(m->id));
    show_sender(m->sender, out);
    buf_printf(out, "  %llu bytes, arrived ", (unsigned long long)m->size);
    show_date(m->arrived, now, out);
    buf_byte(out, '\n');
    for (uint64_t i = 0; i < m->to_count; i++) {
        const struct view_rcpt *r = &m->to[i];

        buf_put(out, STR("    "));
        show_text(r->address, out);
        if (!r->waits) {
            buf_printf(out, "  %.*s\n", STR_ARG(r->status));
            continue;
        }
        buf_printf(out, "  %.*s  ", STR_ARG(r->queue));
        show_tries(r->attempts, out);
        buf_printf(out, "  %.*s", STR_ARG(r->reason));
        if (!date_is_never(r->until)) {
            buf_put(out, STR(" until "));
            show_date(r->until, now, out);
        }
        if (r->was_tried && r->attempts > 0) {
            buf_put(out, STR("  "));
            show_last(r, out);
        }
        buf_byte(out, '\n');
    }
}

static void show_line(const char *what, struct str s, struct buf *out)
{
    if (s.len > 0) {
        buf_printf(out, "%-18s ", what);
        show_text(s, out);
        buf_byte(out, '\n');
    }
}

static void show_meta(const struct view_message *m, struct buf *out)
{
    for (uint64_t i = 0; i < m->meta_count; i++) {
        const struct view_meta *v = &m->meta[i];

        buf_printf(out, "%-18s %.*s = ", "meta", STR_ARG(v->name));
        if (v->kind == META_STRING) {
            show_text(v->text, out);
        } else if (v->kind == META_INTEGER) {
            buf_printf(out, "%lld", (long long)v->number);
        } else {
            buf_put(out, v->number != 0 ? STR("true") : STR("false"));
        }
        buf_byte(out, '\n');
    }
}

static void show_date_line(const char *what, struct date d, struct date now, struct buf *out)
{
    if (d.ms != 0 && !date_is_never(d)) {
        buf_printf(out, "%-18s ", what);
        show_date(d, now, out);
        buf_byte(out, '\n');
    }
}

static void show_wait(const struct view_rcpt *r, struct date now, struct buf *out)
{
    buf_printf(out, "%.*s: %.*s", STR_ARG(r->reason), STR_ARG(r->says));
    if (r->text.len > 0) {
        buf_put(out, STR(" ("));
        show_text(r->text, out);
        buf_byte(out, ')');
    }
    if (r->by.len > 0) {
        buf_put(out, STR("\n    by             "));
        show_text(r->by, out);
    }
    buf_put(out, STR("\n    since          "));
    show_date(r->since, now, out);
    buf_put(out, STR("\n    until          "));
    if (date_is_never(r->until)) {
        buf_put(out, STR("it changes; nobody knows when"));
    } else {
        show_date(r->until, now, out);
    }
    buf_byte(out, '\n');
}

static void show_rcpt(const struct view_rcpt *r, struct date now, struct buf *out)
{
    buf_byte(out, '\n');
    show_text(r->address, out);
    buf_put(out, STR(": "));
    show_text(r->status, out);
    buf_byte(out, '\n');
    show_line("    orcpt", r->orcpt, out);
    show_line("    queue", r->queue, out);
    show_line("    lane", r->lane, out);
    show_line("    site", r->site, out);
    show_line("    route", r->route, out);
    if (r->waits) {
        buf_put(out, STR("    waits          "));
        show_wait(r, now, out);
        show_date_line("    next", r->next, now, out);
        show_date_line("    notice", r->notice, now, out);
        show_date_line("    expires", r->expires, now, out);
    }
    buf_put(out, STR("    attempts       "));
    show_tries(r->attempts, out);
    buf_put(out, STR(" that failed for now\n"));
    if (r->was_tried) {
        buf_put(out, STR("    last           "));
        show_last(r, out);
        buf_byte(out, '\n');
        show_date_line("    last at", r->last_at, now, out);
    }
}

void show_all(const struct view_message *m, struct date now, struct buf *out)
{
    buf_printf(out, "%-18s %.*s\n", "message", STR_ARG(m->id));
    buf_printf(out, "%-18s ", "sender");
    show_sender(m->sender, out);
    buf_byte(out, '\n');
    show_date_line("arrived", m->arrived, now, out);
    show_line("source", m->source, out);
    show_line("client", m->client_ip, out);
    show_line("helo", m->client_name, out);
    show_line("listener", m->listener, out);
    show_line("user", m->authenticated_as, out);
    show_line("chosen schedule", m->schedule, out);
    show_line("chosen queue", m->queue, out);
    show_meta(m, out);
    show_line("envid", m->envid, out);
    buf_printf(out, "%-18s %llu bytes\n", "size", (unsigned long long)m->size);
    if (m->priority != 0) {
        buf_printf(out, "%-18s %lld\n", "priority", (long long)m->priority);
    }
    for (uint64_t i = 0; i < m->to_count; i++) {
        show_rcpt(&m->to[i], now, out);
    }
}

void show_why(const struct view_message *m, struct date now, struct buf *out)
{
    for (uint64_t i = 0; i < m->to_count; i++) {
        const struct view_rcpt *r = &m->to[i];

        show_text(r->address, out);
        if (!r->waits) {
            buf_printf(out, " does not wait: %.*s\n", STR_ARG(r->status));
            continue;
        }
        buf_printf(out, " waits in queue %.*s\n    ", STR_ARG(r->queue));
        show_wait(r, now, out);
        if (r->was_tried && r->attempts > 0) {
            buf_put(out, STR("    last time      "));
            show_last(r, out);
            buf_byte(out, '\n');
        }
    }
}
