/* What comes of an answer, in words and line by line. */
#include "cli/hook_part.h"
#include "hooks/draft.h"
#include "inbound/settings.h"

enum { TEXT_BYTES_MAX = 8192, LINES_MAX = 40 };

static void put_safe(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        buf_byte(out, (c < 0x20 && c != '\t') || c == 0x7f ? '?' : (char)c);
    }
}

/* The next line, without its end. */
static struct str next_line(struct str *rest)
{
    struct str line;

    (void)str_cut(rest, '\n', &line);
    return str_ends(line, STR("\r")) ? str_head(line, line.len - 1) : line;
}

void hook_show_text(struct str text, struct buf *out)
{
    struct str rest = str_head(text, TEXT_BYTES_MAX);

    while (rest.len > 0) {
        put_safe(next_line(&rest), out);
        buf_byte(out, '\n');
    }
    if (text.len > TEXT_BYTES_MAX) {
        buf_printf(out, "(and %zu bytes more)\n", text.len - TEXT_BYTES_MAX);
    }
}

static void put_line(const char *sign, struct str line, struct buf *out)
{
    buf_put(out, str_of(sign));
    put_safe(line, out);
    buf_byte(out, '\n');
}

/* ---- header fields: those that nobody changed are the same bytes ---- */

static bool is_kept(const struct hook_view *v, const struct hook_field *f)
{
    for (uint32_t i = 0; i < v->field_count; i++) {
        if (v->fields[i].whole.ptr == f->whole.ptr) {
            return true;
        }
    }
    return false;
}

static void put_field(const char *sign, const struct hook_field *f, struct buf *out)
{
    struct str rest = f->whole;

    while (rest.len > 0) {
        put_line(sign, next_line(&rest), out);
    }
}

static void show_fields(const struct hook_view *before, const struct hook_view *after,
                        struct buf *out)
{
    uint32_t i = 0;

    for (uint32_t n = 0; n <= after->field_count; n++) {
        while (i < before->field_count && !is_kept(after, &before->fields[i])) {
            put_field("- ", &before->fields[i++], out);
        }
        if (n == after->field_count) {
            break;
        }
        if (is_kept(before, &after->fields[n])) {
            i++; /* nobody changes their order */
        } else {
            put_field("+ ", &after->fields[n], out);
        }
    }
}

/* ---- the body: what is alike at both ends is left away ---- */

static void show_lines(const char *sign, struct str text, struct buf *out)
{
    for (unsigned n = 0; text.len > 0; n++) {
        if (n == LINES_MAX) {
            buf_printf(out, "%s(and %zu bytes more)\n", sign, text.len);
            return;
        }
        put_line(sign, next_line(&text), out);
    }
}

static void show_body(struct str before, struct str after, struct buf *out)
{
    size_t most = before.len < after.len ? before.len : after.len, head = 0, tail = 0;

    if (str_eq(before, after)) {
        return;
    }
    while (head < most && before.ptr[head] == after.ptr[head]) {
        head++;
    }
    while (head > 0 && before.ptr[head - 1] != '\n') {
        head--;
    }
    while (tail < most - head &&
           before.ptr[before.len - 1 - tail] == after.ptr[after.len - 1 - tail]) {
        tail++;
    }
    while (tail > 0 && before.ptr[before.len - 1 - tail] != '\n') {
        tail--;
    }
    buf_put(out, STR("  (body)\n"));
    show_lines("- ", str_skip(str_head(before, before.len - tail), head), out);
    show_lines("+ ", str_skip(str_head(after, after.len - tail), head), out);
}

/* ---- the envelope ---- */

static void put_address(const char *sign, const char *what, struct str address,
                        const struct hook_params *params, struct buf *out)
{
    buf_printf(out, "%s%s:<", sign, what);
    put_safe(address, out);
    buf_byte(out, '>');
    for (uint32_t i = 0; i < params->count; i++) {
        buf_byte(out, ' ');
        put_safe(params->items[i].key, out);
        buf_put(out, params->items[i].has_value ? STR("=") : STR(""));
        put_safe(params->items[i].has_value ? params->items[i].value : STR_EMPTY, out);
    }
    buf_byte(out, '\n');
}

static bool has_recipient(const struct hook_view *v, uint32_t id)
{
    for (uint32_t i = 0; i < v->to_count; i++) {
        if (v->to[i].id == id) {
            return true;
        }
    }
    return false;
}

static void show_recipients(const char *sign, const struct hook_view *these,
                            const struct hook_view *those, struct buf *out)
{
    for (uint32_t i = 0; i < these->to_count; i++) {
        if (!has_recipient(those, these->to[i].id)) {
            put_address(sign, "RCPT TO", these->to[i].address, &these->to[i].params, out);
        }
    }
}

static void show_policy(const struct hook_view *v, struct buf *out)
{
    for (uint32_t i = 0; i < v->policy_count; i++) {
        buf_put(out, STR("+ policy: "));
        put_safe(v->policy[i].name, out);
        buf_put(out, STR(" = "));
        put_safe(v->policy[i].text, out);
        buf_byte(out, '\n');
    }
}

/* Header fields and lines of the body that are there no more ("-") or now ("+"), and the envelope.
 */
static void show_changes(const struct hook_view *before, const struct hook_view *after,
                         struct buf *out)
{
    if (!str_eq(before->sender, after->sender) ||
        before->sender_params.items != after->sender_params.items) {
        put_address("- ", "MAIL FROM", before->sender, &before->sender_params, out);
        put_address("+ ", "MAIL FROM", after->sender, &after->sender_params, out);
    }
    show_recipients("- ", before, after, out);
    show_recipients("+ ", after, before, out);
    show_policy(after, out);
    show_fields(before, after, out);
    show_body(before->body.whole, after->body.whole, out);
}

/* ---- leaving mail: what the queue would make of its recipients ---- */

static void put_recipient(const struct hook_view *v, uint32_t id, struct buf *out)
{
    buf_put(out, STR("RCPT TO:<"));
    for (uint32_t i = 0; i < v->to_count; i++) {
        if (v->to[i].id == id) {
            put_safe(v->to[i].address, out);
        }
    }
    buf_put(out, STR(">: "));
}

static struct str status_of(const struct hook_view *v, uint32_t id)
{
    for (uint32_t i = 0; i < v->to_count; i++) {
        if (v->to[i].id == id) {
            return draft_status_name(v->to[i].status);
        }
    }
    return STR_EMPTY;
}

static void put_time(const char *what, struct date when, struct buf *out)
{
    char at[DATE_ISO_BYTES];

    buf_printf(out, "%s %.*s ", what, STR_ARG(when.ms != 0 ? date_iso(when, at) : STR("never")));
}

static void put_choice(const char *what, struct str name, struct buf *out)
{
    if (name.len > 0) {
        buf_printf(out, "%s=", what);
        put_safe(name, out);
        buf_byte(out, ' ');
    }
}

static void show_times(const struct hook_edit *e, struct buf *out)
{
    if (e->has_attempt) {
        put_time("attempt", e->next_attempt, out);
    }
    if (e->has_notice) {
        put_time("notice", e->next_notice, out);
    }
}

static void show_route(const struct hook_edit *e, struct buf *out)
{
    put_choice("route", e->route, out);
    put_choice("connection", e->connection, out);
    put_choice("tls", e->tls, out);
    put_choice("queue", e->queue, out);
}

/* All others are seen in the view after them. */
static void show_edit(const struct hook_view *v, const struct hook_edit *e, struct buf *out)
{
    if (e->kind == HOOK_EDIT_DSN_DROP) {
        buf_put(out, STR("- the notice\n"));
    } else if (e->kind == HOOK_EDIT_RCPT_STATUS || e->kind == HOOK_EDIT_RCPT_TIMES ||
               e->kind == HOOK_EDIT_RCPT_ROUTE || e->kind == HOOK_EDIT_RCPT_VARIANT) {
        buf_put(out, STR("  "));
        put_recipient(v, e->target, out);
        if (e->kind == HOOK_EDIT_RCPT_STATUS) {
            buf_printf(out, "%.*s -> %.*s", STR_ARG(status_of(v, e->target)),
                       STR_ARG(draft_status_name(e->status)));
        } else if (e->kind == HOOK_EDIT_RCPT_TIMES) {
            show_times(e, out);
        } else if (e->kind == HOOK_EDIT_RCPT_ROUTE) {
            show_route(e, out);
        } else {
            buf_put(out, STR("a message of its own: a server refuses it"));
        }
        buf_byte(out, '\n');
    }
}

/* ---- all of it ---- */

bool hook_is_ok(struct play *p, struct err e, const struct buf *why)
{
    char text[128];

    if (e.code == OK) {
        return true;
    }
    buf_put(&p->out, STR("== wrong\n"));
    hook_show_text(why->len > 0 ? buf_str(why) : err_say(e, text, sizeof text), &p->out);
    p->exit = EXIT_FAILED;
    return false;
}

static void tell_action(struct play *p, const struct hook_outcome *o)
{
    buf_printf(&p->out, "== outcome\n%.*s", STR_ARG(hook_action_name(o->action)));
    if (o->reply.code != 0) {
        buf_printf(&p->out, ": %u ", o->reply.code);
        if (o->reply.esc.class != 0) {
            buf_printf(&p->out, "%u.%u.%u ", o->reply.esc.class, o->reply.esc.subject,
                       o->reply.esc.detail);
        }
        buf_put(&p->out, o->reply.text);
    }
    buf_put(&p->out, o->disconnect ? STR(", then the connection ends\n") : STR("\n"));
    for (uint32_t i = 0; i < o->notes.count; i++) {
        buf_put(&p->out, STR("note: "));
        hook_show_text(o->notes.items[i], &p->out);
    }
    for (uint32_t i = 0; i < o->asides.count; i++) {
        buf_put(&p->out, STR("note: "));
        hook_show_text(o->asides.items[i], &p->out);
    }
}

void hook_tell_outcome(struct play *p, struct hook_outcome *o)
{
    const struct server_settings *s = config_settings(p->cfg, &server_table);
    const struct hook_bounds client = {.fields_max = INTAKE_FIELDS_MAX,
                                       .recipients_max = s->recipients_max,
                                       .header_bytes_max = s->header_bytes_max,
                                       .message_bytes_max = s->message_bytes_max};
    const struct hook_bounds bounds = hook_bounds_over(&client, &p->view);
    struct hook_view after;
    struct buf why BUF_LOCAL = {0}, changes BUF_LOCAL = {0};
    uint32_t next_id = (uint32_t)p->to.count + 1;

    if (!hook_is_ok(p, hook_outcome_check(o, &p->view, &bounds, &p->arena, &why), &why)) {
        return;
    }
    tell_action(p, o);
    for (uint32_t i = 0; i < o->edit_count; i++) {
        show_edit(&p->view, &o->edits[i], &changes);
    }
    hook_view_apply(&p->view, o, &next_id, &p->arena, &after);
    show_changes(&p->view, &after, &changes);
    if (changes.len > 0) {
        buf_put(&p->out, STR("== changes\n"));
        buf_put(&p->out, buf_str(&changes));
    }
}
