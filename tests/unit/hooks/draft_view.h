/* What the tests of the draft dialects share: a view as a server would make it, and an outcome as
 * one line. */
#pragma once

#include "../unit.h"
#include "base/check.h"
#include "hooks/draft.h"

#define REFUSED "reject 550 5.7.1 Refused by policy"

/* Dates of the view: it stands at START, and its message expires a day later. */
#define START_MS 1793613600000LL
#define DAY_MS   86400000LL

static const struct hook_field example_fields[] = {
    {STR_INIT("From"), STR_INIT(" a"), STR_INIT("From: a\r\n")},
    {STR_INIT("X-Tag"), STR_INIT("one"), STR_INIT("X-Tag:one\r\n")},
    {STR_INIT("Subject"), STR_INIT(" invoice\r\n\tfor October"),
     STR_INIT("Subject: invoice\r\n\tfor October\r\n")},
    {STR_INIT("X-Tag"), STR_INIT(" two"), STR_INIT("x-TAG : two\r\n")},
};

static const struct hook_param example_params[] = {
    {STR_INIT("SIZE"), STR_INIT("10"), true},
    {STR_INIT("SMTPUTF8"), STR_INIT(""), false},
};

static const struct hook_rcpt example_rcpts[] = {
    {.address = STR_INIT("bo@example.net"),
     .id = 11,
     .status = HOOK_DELIVERED,
     .attempt = 1,
     .last = {250, {2, 1, 5}, STR_INIT("ok")}},
    {.address = STR_INIT("cy@example.org"),
     .id = 12,
     .status = HOOK_DEFERRED,
     .attempt = 2,
     .last = {450, {4, 2, 1}, STR_INIT("mailbox busy")},
     .next_attempt = {START_MS + 900000},
     .next_notice = {START_MS + 14400000}},
    {.address = STR_INIT("di@example.org"),
     .id = 13,
     .status = HOOK_FAILED,
     .attempt = 2,
     .last = {550, {5, 1, 1}, STR_INIT("no such user")}},
};

/* Of the stage given, with what a server knows there. */
static inline struct hook_view example_view(enum hook_stage stage)
{
    static const char body[] = "Please pay.\r\n";
    bool outbound = hook_stage_is_outbound(stage);
    struct hook_view v = {
        .stage = stage,
        .action = outbound ? HOOK_CONTINUE : HOOK_ACCEPT,
        .at = {START_MS},
        .session = 7,
        .server_name = STR("mx1.example.net"),
    };

    if (!outbound) {
        must(addr_parse(STR("203.0.113.5:25"), &v.server));
        must(addr_parse(STR("198.51.100.23:40112"), &v.client.addr));
        v.client.ptr = STR("a.example");
        v.client.helo = stage >= HOOK_EHLO ? STR("a.example") : STR_EMPTY;
    } else {
        v.expires = (struct date){START_MS + DAY_MS};
        v.attempts = 2;
    }
    if (stage >= HOOK_MAIL) {
        v.has_sender = true;
        v.sender = STR("ann@a.example");
        v.sender_params = (struct hook_params){example_params, 2};
    }
    if (stage >= HOOK_RCPT) {
        v.to = example_rcpts;
        v.to_count = outbound ? 3 : 2;
    }
    if (stage >= HOOK_DATA) {
        v.queue_id = 0x5f0c2a9e41;
        v.has_message = true;
        v.fields = example_fields;
        v.field_count = COUNT_OF(example_fields);
        v.body = (struct hook_bytes){.size = strlen(body), .whole = str_of(body)};
        for (uint32_t i = 0; i < v.field_count; i++) {
            v.message_bytes += v.fields[i].whole.len;
        }
        v.message_bytes += 2 + v.body.size;
    }
    return v;
}

static inline struct hook_terms terms_of(const struct str *properties, uint32_t properties_count,
                                         const struct str *updates, uint32_t updates_count)
{
    return (struct hook_terms){.stages = ~0u,
                               .properties = {properties, properties_count},
                               .updates = {updates, updates_count}};
}

static inline void say_params(struct buf *out, const struct hook_params *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        buf_printf(out, " %.*s%s%.*s", STR_ARG(p->items[i].key), p->items[i].has_value ? "=" : "",
                   STR_ARG(p->items[i].value));
    }
}

static inline void say_edit(struct buf *out, const struct hook_edit *e)
{
    buf_put(out, STR("; "));
    switch (e->kind) {
    case HOOK_EDIT_SENDER:
        buf_printf(out, "from <%.*s>", STR_ARG(e->text));
        say_params(out, &e->params);
        break;
    case HOOK_EDIT_RCPT_ADD:
        buf_printf(out, "+<%.*s>", STR_ARG(e->text));
        say_params(out, &e->params);
        break;
    case HOOK_EDIT_RCPT_REMOVE:
        buf_printf(out, "-%u", e->target);
        break;
    case HOOK_EDIT_FIELDS:
        for (uint32_t i = 0; i < e->field_count; i++) {
            /* = : with the bytes it had */
            buf_printf(out, "%s%s%.*s:%.*s", i ? "|" : "", e->fields[i].whole.len ? "=" : "",
                       STR_ARG(e->fields[i].name), STR_ARG(e->fields[i].value));
        }
        break;
    case HOOK_EDIT_MESSAGE:
        buf_printf(out, "message %.*s", STR_ARG(e->text));
        break;
    case HOOK_EDIT_RCPT_STATUS:
        buf_printf(out, "%u %.*s", e->target, STR_ARG(draft_status_name(e->status)));
        break;
    case HOOK_EDIT_RCPT_TIMES:
        buf_printf(out, "%u", e->target);
        if (e->has_attempt) {
            buf_printf(out, " next+%lld", (long long)(e->next_attempt.ms - START_MS) / 1000);
        }
        if (e->has_notice && e->next_notice.ms == 0) {
            buf_put(out, STR(" no notice"));
        } else if (e->has_notice) {
            buf_printf(out, " notice+%lld", (long long)(e->next_notice.ms - START_MS) / 1000);
        }
        break;
    case HOOK_EDIT_RCPT_ROUTE:
        buf_printf(out, "%u route=%.*s connection=%.*s tls=%.*s queue=%.*s", e->target,
                   STR_ARG(e->route), STR_ARG(e->connection), STR_ARG(e->tls), STR_ARG(e->queue));
        break;
    case HOOK_EDIT_RCPT_VARIANT:
        buf_printf(out, "%u message %.*s", e->target, STR_ARG(e->text));
        break;
    case HOOK_EDIT_DSN_DROP:
        buf_put(out, STR("drop"));
        break;
    case HOOK_EDIT_POLICY:
        buf_printf(out, "%.*s=%.*s", STR_ARG(e->name), STR_ARG(e->text));
        break;
    case HOOK_EDIT_BODY:
    case HOOK_EDIT_KINDS:
        never("no draft makes these");
    }
}

/* "reject 550 5.7.1 text; +<a@b>; 1 skipped" */
static inline void say_outcome(struct buf *out, const struct hook_outcome *o)
{
    buf_put(out, hook_action_name(o->action));
    if (o->reply.code != 0) {
        buf_printf(out, " %u", o->reply.code);
        if (o->reply.esc.class != 0) {
            buf_printf(out, " %u.%u.%u", o->reply.esc.class, o->reply.esc.subject,
                       o->reply.esc.detail);
        }
        buf_printf(out, " %.*s", STR_ARG(o->reply.text));
    }
    for (uint32_t i = 0; i < o->edit_count; i++) {
        say_edit(out, &o->edits[i]);
    }
    if (o->notes.count > 0) {
        buf_printf(out, "; %u noted", o->notes.count);
    }
}
