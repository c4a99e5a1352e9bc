/*
 * A transaction as tests of hooks see it: the message of the reference's header vectors, two
 * recipients, and short words for what an outcome brings.
 */
#pragma once

#include "../unit.h"
#include "hooks/dialect.h"
#include "mail/header.h"

#define SAMPLE_HEADER                                                                              \
    "Received: from a.example (a.example [192.0.2.7])\r\n\tby mx.example.net; "                    \
    "Mon, 2 Nov 2026 10:00:00 +0000\r\n"                                                           \
    "From: ann@a.example\r\nTo: bo@example.net\r\nX-Tag: one\r\nSubject: invoice\r\n"              \
    "X-Tag: two\r\n"
#define SAMPLE_BODY "Please pay.\r\n"

static const struct hook_bounds sample_bounds = {
    .fields_max = 20, .recipients_max = 4, .header_bytes_max = 2000, .message_bytes_max = 4000};

static inline void sample_message(struct hook_view *v, struct str header, struct str body,
                                  struct arena *a)
{
    struct header_walk w = {header, 0};
    struct header_field f;
    struct hook_field *list = arena_array(a, 32, sizeof(*list));

    v->field_count = 0;
    while (header_next(&w, &f)) {
        list[v->field_count++] = (struct hook_field){f.name, f.value, f.whole};
    }
    v->fields = list;
    v->has_message = true;
    v->body = (struct hook_bytes){.size = body.len, .whole = body};
    v->message_bytes = header.len + 2 + body.len;
}

static inline struct hook_view sample_view(enum hook_stage stage, struct arena *a)
{
    static const struct hook_param size = {STR_INIT("SIZE"), STR_INIT("88"), true};
    struct hook_rcpt *to = arena_array(a, 2, sizeof(*to));
    struct hook_view v = {.stage = stage,
                          .action = HOOK_ACCEPT,
                          .reply = {.text = STR_EMPTY},
                          .session = 7,
                          .queue_id = stage >= HOOK_DATA ? 0x5f0c2a9e41 : 0,
                          .server_name = STR("mx.example.net"),
                          .listener = STR("smtp"),
                          .client = {.ptr = STR_EMPTY, .helo = STR_EMPTY, .connections = 1},
                          .login = STR_EMPTY,
                          .login_method = STR_EMPTY,
                          .sender = STR_EMPTY};

    assert_true(addr_parse(STR("198.51.100.23:40112"), &v.client.addr));
    assert_true(addr_parse(STR("203.0.113.5:25"), &v.server));
    if (stage > HOOK_CONNECT) {
        v.client.helo = STR("a.example");
    }
    if (stage >= HOOK_MAIL) {
        v.has_sender = true;
        v.sender = STR("Ann@a.example");
        v.sender_params = (struct hook_params){&size, 1};
    }
    to[0] = (struct hook_rcpt){.address = STR("bo@example.net"), .id = 10, .queue = STR_EMPTY};
    to[1] = (struct hook_rcpt){.address = STR("Cy@example.net"), .id = 11, .queue = STR_EMPTY};
    if (stage >= HOOK_RCPT) {
        v.to = to;
        v.to_count = 2;
    }
    if (stage >= HOOK_DATA) {
        sample_message(&v, STR(SAMPLE_HEADER), STR(SAMPLE_BODY), a);
    }
    return v;
}

/* The header section in short: each field without its value's outer blanks, divided by '|'; long
 * values are cut. */
static inline void sample_show_fields(const struct hook_view *v, struct buf *out)
{
    for (uint32_t i = 0; i < v->field_count; i++) {
        buf_printf(out, "%s%.*s:%.*s", i > 0 ? "|" : "", STR_ARG(v->fields[i].name),
                   STR_ARG(str_head(v->fields[i].value, 12)));
    }
}

static inline void sample_show_params(const struct hook_params *p, struct buf *out)
{
    for (uint32_t i = 0; i < p->count; i++) {
        buf_printf(out, " %.*s%s%.*s", STR_ARG(p->items[i].key), p->items[i].has_value ? "=" : "",
                   STR_ARG(p->items[i].has_value ? p->items[i].value : STR_EMPTY));
    }
}

/* The envelope in short: "from SIZE=1 > to NOTIFY=NEVER, to". */
static inline void sample_show_envelope(const struct hook_view *v, struct buf *out)
{
    buf_printf(out, "%.*s", STR_ARG(v->sender));
    sample_show_params(&v->sender_params, out);
    buf_put(out, STR(" >"));
    for (uint32_t i = 0; i < v->to_count; i++) {
        buf_printf(out, "%s%.*s", i > 0 ? ", " : " ", STR_ARG(v->to[i].address));
        sample_show_params(&v->to[i].params, out);
    }
}
