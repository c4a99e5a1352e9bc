/* What a scanner is shown by `postyard hook test`. */
#include "base/check.h"
#include "cli/command.h"
#include "cli/compose.h"
#include "cli/hook_part.h"
#include "cli/inject.h"
#include "mail/header.h"
#include "runtime/clock.h"

#define QUEUE_ID 0x5f0c2a9e41U

enum { MINUTE_MS = 60 * 1000, DAY_MS = 24 * 60 * MINUTE_MS };

static const char sample[] = "From: sender@example.org\r\n"
                             "To: recipient@example.net\r\n"
                             "Subject: a test of the hook\r\n"
                             "\r\n"
                             "Hello.\r\n";

static const char notice[] = "From: Mail Delivery System <postmaster@mx.example.net>\r\n"
                             "To: sender@example.org\r\n"
                             "Subject: Your message was not delivered\r\n"
                             "Auto-Submitted: auto-replied\r\n"
                             "\r\n"
                             "It came back.\r\n";

static bool read_message(struct play *p)
{
    struct buf text BUF_LOCAL = {0}, lines BUF_LOCAL = {0};
    struct str message = str_of(p->view.stage == HOOK_DSN ? notice : sample);
    struct header_walk w;
    struct header_field f;
    struct hook_field *list;
    size_t end = 0;

    if (p->message.ptr != NULL) {
        if (!read_all("hook", p->message, &text)) {
            return false;
        }
        compose_lines(buf_str(&text), &lines);
        message = arena_dup(&p->arena, buf_str(&lines));
    }
    list = arena_array(&p->arena, message.len / 2 + 1, sizeof(*list));
    w = (struct header_walk){message, 0};
    while (header_next(&w, &f)) {
        list[p->view.field_count++] = (struct hook_field){f.name, f.value, f.whole};
        end = w.at;
    }
    p->view.fields = list;
    p->view.no_separator = w.at == end;
    p->view.body.whole = str_skip(message, w.at);
    p->view.body.size = p->view.body.whole.len;
    p->view.message_bytes = message.len;
    p->view.has_message = true;
    return true;
}

/* As it is after the first attempt, or before it. */
static void leave(const struct hook_view *v, struct hook_rcpt *to)
{
    static const struct hook_reply done = {250, {2, 0, 0}, STR_INIT("Ok")};
    static const struct hook_reply later = {451, {4, 7, 1}, STR_INIT("Try again later")};
    static const struct hook_reply never = {550, {5, 1, 1}, STR_INIT("No such user")};

    to->queue = STR("remote");
    to->attempt = 1;
    if (v->stage == HOOK_DELIVERY) {
        to->status = HOOK_DELIVERED;
        to->last = done;
    } else if (v->stage == HOOK_DEFER) {
        to->status = HOOK_DEFERRED;
        to->last = later;
        to->next_attempt = date_add(v->at, 15 * MINUTE_MS);
        to->next_notice = date_add(v->at, 240 * MINUTE_MS);
    } else if (v->stage == HOOK_DSN) {
        to->status = HOOK_FAILED;
        to->last = never;
    } else {
        to->status = HOOK_PENDING;
        to->next_attempt = v->at;
    }
}

static bool play_envelope(struct play *p)
{
    struct hook_rcpt *to = arena_array(&p->arena, p->to.count + 1, sizeof(*to));
    struct hook_view *v = &p->view;

    if (v->stage < HOOK_MAIL) {
        return true;
    }
    v->has_sender = true;
    v->sender = v->stage == HOOK_DSN || str_eq(p->from, STR("<>")) ? STR_EMPTY
                : p->from.ptr == NULL                              ? STR("sender@example.org")
                                                                   : p->from;
    if (v->stage < HOOK_RCPT) {
        return true;
    }
    v->to_count = p->to.count > 0 ? (uint32_t)p->to.count : 1;
    for (uint32_t i = 0; i < v->to_count; i++) {
        to[i] = (struct hook_rcpt){.address = p->to.count > 0 ? p->to.items[i]
                                                              : STR("recipient@example.net"),
                                   .id = i,
                                   .last.text = STR_EMPTY,
                                   .queue = STR_EMPTY};
        if (hook_stage_is_outbound(v->stage)) {
            leave(v, &to[i]);
        }
    }
    v->to = to;
    return v->stage < HOOK_DATA || read_message(p);
}

bool hook_play_view(struct play *p, enum hook_stage stage)
{
    struct hook_view *v = &p->view;

    *v = (struct hook_view){.stage = stage,
                            .action = HOOK_ACCEPT,
                            .reply = {.text = STR_EMPTY},
                            .at = clock_date(),
                            .session = 1,
                            .queue_id = stage >= HOOK_DATA ? QUEUE_ID : 0,
                            .server_name = STR("mx.example.net"),
                            .listener = STR("test"),
                            .client = {.ptr = STR_EMPTY, .helo = STR_EMPTY, .connections = 1},
                            .login = p->login.ptr != NULL ? p->login : STR_EMPTY,
                            .login_method = p->login.ptr != NULL ? STR("PLAIN") : STR_EMPTY,
                            .sender = STR_EMPTY};
    if (hook_stage_is_outbound(stage)) {
        v->action = HOOK_CONTINUE;
        v->expires = date_add(v->at, 5 * DAY_MS);
        v->attempts = 1;
    } else {
        must(addr_parse(STR("203.0.113.5:25"), &v->server));
    }
    must(addr_parse(STR("198.51.100.23:40112"), &v->client.addr));
    if (p->client.ptr != NULL) {
        uint16_t port = v->client.addr.port;

        if (!addr_parse_ip(p->client, &v->client.addr)) {
            cli_say("hook", "--client-ip %.*s is not an IP address", STR_ARG(p->client));
            return false;
        }
        v->client.addr.port = port;
    }
    if (stage > HOOK_CONNECT) {
        v->client.helo = p->helo.ptr != NULL ? p->helo : STR("client.example.org");
    }
    return play_envelope(p);
}
