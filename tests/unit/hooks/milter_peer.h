/* A filter that follows a script, on a fiber beside the client, in either world. It writes down
 * what it is told: "C", "M<a@b>|SIZE=7", with '|' for NUL; macros apart. */
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "hooks/milter_part.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"

enum { CUES_MAX = 8, CUE_PACKETS_MAX = 6 };

struct cue {
    char on; /* the command it answers; others are answered with "continue" */
    struct str packets[CUE_PACKETS_MAX];
    int64_t wait_ms;  /* before each packet */
    uint32_t repeat;  /* of the first packet, before the others */
    bool is_raw;      /* lengths stand in the packets */
    bool is_drip;     /* byte by byte, wait_ms before each */
    bool then_closes; /* the connection */
    bool is_mute;     /* no answer at all */
};

struct script {
    uint32_t version, rights, steps; /* version 0: 6 with all rights */
    struct str symbols;
    struct cue cues[CUES_MAX];
};

struct peer {
    const struct script *script;
    struct listener *listener;
    struct group group;
    struct buf told, macros;
    uint32_t sessions, body_bytes;
};

static inline struct err peer_send(struct stream *s, const struct cue *r, struct str packet,
                                   struct when by)
{
    struct buf out BUF_LOCAL = {0};
    struct err e = ERR_OK;

    if (!r->is_raw) {
        char head[4] = {(char)(packet.len >> 24), (char)(packet.len >> 16), (char)(packet.len >> 8),
                        (char)packet.len};

        buf_put(&out, str_make(head, 4));
    }
    buf_put(&out, packet);
    if (!r->is_drip) {
        if (r->wait_ms > 0) {
            e = fiber_sleep(when_after(r->wait_ms), WHEN_NEVER);
        }
        e = e.code == OK ? stream_put(s, buf_str(&out), by) : e;
        return e.code == OK ? stream_flush(s, by) : e;
    }
    for (size_t i = 0; i < out.len && e.code == OK; i++) {
        e = fiber_sleep(when_after(r->wait_ms), WHEN_NEVER);
        e = e.code == OK ? stream_put(s, str_make(out.ptr + i, 1), by) : e;
        e = e.code == OK ? stream_flush(s, by) : e;
    }
    return e;
}

static inline struct err peer_answer(struct peer *p, struct stream *s, char command, struct when by)
{
    static const struct cue go_on = {.packets = {STR_INIT("c")}};
    const struct cue *r = &go_on;
    struct err e = ERR_OK;

    for (int i = 0; i < CUES_MAX && r == &go_on; i++) {
        if (p->script->cues[i].on == command) {
            r = &p->script->cues[i];
        }
    }
    if (r->is_mute) {
        return e;
    }
    for (uint32_t i = 0; i < r->repeat && e.code == OK; i++) {
        e = peer_send(s, r, r->packets[0], by);
    }
    for (int i = 0; i < CUE_PACKETS_MAX && r->packets[i].len > 0 && e.code == OK; i++) {
        e = peer_send(s, r, r->packets[i], by);
    }
    return e.code == OK && r->then_closes ? err_of(ERR_CLOSED) : e;
}

static inline struct err peer_terms(struct peer *p, struct stream *s, struct when by)
{
    const struct script *script = p->script;
    struct milter_terms terms = {.version = script->version != 0 ? script->version : 6,
                                 .rights = script->version != 0 ? script->rights : MILTER_RIGHTS,
                                 .steps = script->steps};
    struct buf out BUF_LOCAL = {0};
    struct err e;

    milter_put_offer(&out, &terms);
    buf_put(&out, script->symbols);
    out.ptr[3] = (char)(13 + script->symbols.len);
    e = stream_put(s, buf_str(&out), by);
    return e.code == OK ? stream_flush(s, by) : e;
}

static inline bool peer_is_silent(const struct peer *p, char command)
{
    static const struct {
        char command;
        uint32_t step;
    } silent[] = {
        {'C', MILTER_SILENT_CONNECT}, {'H', MILTER_SILENT_HELO},       {'M', MILTER_SILENT_MAIL},
        {'R', MILTER_SILENT_RCPT},    {'T', MILTER_SILENT_DATA},       {'L', MILTER_SILENT_HEADER},
        {'B', MILTER_SILENT_BODY},    {'N', MILTER_SILENT_HEADER_END},
    };

    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        if (silent[i].command == command) {
            return (p->script->steps & silent[i].step) != 0;
        }
    }
    return command == 'D' || command == 'A' || command == 'Q';
}

static inline void peer_note(struct peer *p, struct str packet)
{
    struct buf *to = packet.ptr[0] == 'D' ? &p->macros : &p->told;

    if (packet.ptr[0] == 'B') {
        p->body_bytes += (uint32_t)packet.len - 1;
        packet = str_head(packet, 20);
    }
    for (size_t i = 0; i < packet.len; i++) {
        buf_byte(to, packet.ptr[i] != '\0' ? packet.ptr[i] : '|');
    }
    buf_byte(to, ' ');
}

/* Answers one packet. */
static inline struct err peer_hear(struct peer *p, struct stream *s, struct str packet,
                                   struct when by)
{
    peer_note(p, packet);
    if (packet.ptr[0] == 'O') {
        bool has_cue = false;

        for (int i = 0; i < CUES_MAX; i++) {
            has_cue = has_cue || p->script->cues[i].on == 'O';
        }
        return has_cue ? peer_answer(p, s, 'O', by) : peer_terms(p, s, by);
    }
    if (packet.ptr[0] == 'Q') {
        return err_of(ERR_CLOSED);
    }
    return peer_is_silent(p, packet.ptr[0]) ? ERR_OK : peer_answer(p, s, packet.ptr[0], by);
}

struct peer_call {
    struct peer *peer;
    struct guest *guest;
};

static inline void peer_serve(void *arg)
{
    struct peer_call *call = arg;
    struct peer *p = call->peer;
    struct stream *s = guest_stream(call->guest);
    struct buf in BUF_LOCAL = {0};
    struct err e = ERR_OK;

    mem_free(call);
    while (e.code == OK) {
        uint32_t n;

        if (in.len >= 4 && milter_packet_bytes(in.ptr, &n) && in.len - 4 >= n) {
            e = peer_hear(p, s, str_make(in.ptr + 4, n), when_after(60000));
            memmove(in.ptr, in.ptr + 4 + n, in.len - 4 - n);
            in.len -= 4 + n;
            continue;
        }
        e = stream_fill(s, "a command", WHEN_NEVER);
        if (e.code == OK) {
            struct str got = stream_buffered(s);

            buf_put(&in, got);
            stream_take(s, got.len);
        }
    }
    stream_close(s);
}

static inline void peer_run(void *arg)
{
    struct peer *p = arg;
    struct guest *g;

    while (listener_accept(p->listener, &g, WHEN_NEVER).code == OK) {
        struct peer_call *call = MEM_NEW(struct peer_call);

        p->sessions++;
        *call = (struct peer_call){p, g};
        assert_int_equal(group_spawn_now(&p->group, "session", peer_serve, call).code, OK);
    }
}

static inline struct addr peer_start(struct peer *p, const struct script *script)
{
    static const struct addr here = {.family = 4, .ip = {127, 0, 0, 1}};

    *p = (struct peer){.script = script};
    assert_int_equal(listener_open(here, &p->listener).code, OK);
    group_init(&p->group, "peer", 0);
    assert_int_equal(group_spawn_now(&p->group, "filter", peer_run, p).code, OK);
    return listener_addr(p->listener);
}

static inline void peer_stop(struct peer *p)
{
    group_cancel(&p->group);
    assert_int_equal(group_join(&p->group, WHEN_NEVER).code, OK);
    listener_close(p->listener);
    buf_done(&p->told);
    buf_done(&p->macros);
}

/* ---- a session of ours ---- */

static const struct hook_field fields[] = {
    {STR_INIT("From"), STR_INIT(" a@x.example"), STR_INIT("From: a@x.example\r\n")},
    {STR_INIT("To"), STR_INIT(" b,\r\n\tc"), STR_INIT("To: b,\r\n\tc\r\n")},
};
static const struct hook_param sender_params[] = {{STR_INIT("SIZE"), STR_INIT("7"), true},
                                                  {STR_INIT("SMTPUTF8"), STR_INIT(""), false}};
static const struct hook_rcpt people[] = {{.address = STR_INIT("b@x.example"), .id = 0},
                                          {.address = STR_INIT("c@x.example"), .id = 1}};

struct yard {
    struct peer peer;
    struct milter_settings settings;
    struct milter milter;
    struct arena arena;
    void *session;
    struct hook_view view;
    struct hook_outcome outcome;
    struct buf why;
};

static inline void yard_open(struct yard *y, const struct script *script)
{
    struct addr at = peer_start(&y->peer, script);

    y->settings = (struct milter_settings){.name = STR("one"),
                                           .protocol = 6,
                                           .connect_timeout_ms = 1000,
                                           .timeout_ms = 300,
                                           .message_timeout_ms = 500,
                                           .stage_timeout_ms = 2000,
                                           .response_bytes_max = 100 * 1000};
    y->arena = (struct arena){0};
    y->why = (struct buf){0};
    y->settings.address = arena_printf(&y->arena, "inet:127.0.0.1:%u", at.port);
    milter_make(&y->settings, &y->milter);
    y->view = (struct hook_view){
        .server_name = STR("mx.example.org"),
        .server = {.family = 4, .port = 25, .ip = {192, 0, 2, 9}},
        .listener = STR("smtp"),
        .client = {.addr = {.family = 4, .port = 1025, .ip = {192, 0, 2, 1}},
                   .ptr = STR("client.example"),
                   .helo = STR_EMPTY,
                   .connections = 2},
        .tls = {.version = STR_EMPTY, .cipher = STR_EMPTY},
        .login = STR_EMPTY,
        .login_method = STR_EMPTY,
        .sender = STR_EMPTY};
    y->session = filter_milter.begin(&y->milter, &y->view);
}

static inline void yard_close(struct yard *y)
{
    filter_milter.end(&y->milter, y->session);
    /* It hears our QUIT before it is stopped. */
    assert_int_equal(fiber_sleep(when_after(20), WHEN_NEVER).code, OK);
    peer_stop(&y->peer);
    arena_done(&y->arena);
    buf_done(&y->why);
}

/* What is known by then. */
static inline enum err_code ask(struct yard *y, enum hook_stage stage)
{
    struct hook_view *v = &y->view;

    v->stage = stage;
    if (stage >= HOOK_EHLO && v->client.helo.len == 0) {
        v->client.helo = STR("client");
    }
    v->has_sender = stage >= HOOK_MAIL;
    v->sender = stage >= HOOK_MAIL ? STR("a@x.example") : STR_EMPTY;
    v->sender_params = (struct hook_params){stage >= HOOK_MAIL ? sender_params : NULL,
                                            stage >= HOOK_MAIL ? 2 : 0};
    v->to = people;
    v->has_message = stage == HOOK_DATA;
    v->queue_id = stage == HOOK_DATA ? 0xabc : 0;
    if (stage == HOOK_DATA) {
        if (v->field_count == 0) {
            v->fields = fields;
            v->field_count = 2;
        }
        if (v->body.size == 0) {
            v->body = (struct hook_bytes){.size = 7, .whole = STR("hello\r\n")};
        }
    }
    buf_clear(&y->why);
    return filter_milter.ask(&y->milter, y->session, v, &y->arena, &y->outcome, &y->why, WHEN_NEVER)
        .code;
}

/* A whole message with one recipient, all stages; the last one's result. */
static inline enum err_code whole(struct yard *y)
{
    enum err_code code = ask(y, HOOK_CONNECT);

    code = code == OK ? ask(y, HOOK_EHLO) : code;
    code = code == OK ? ask(y, HOOK_MAIL) : code;
    y->view.to_count = 1;
    code = code == OK ? ask(y, HOOK_RCPT) : code;
    return code == OK ? ask(y, HOOK_DATA) : code;
}
