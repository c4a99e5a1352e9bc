/*
 * postyard hook test: plays one stage of a session against a running scanner, as the server would
 * ask it, and tells what was sent, what came back, and what would become of the message.
 */
#include "base/check.h"
#include "cli/commands.h"
#include "cli/compose.h"
#include "cli/hook_part.h"
#include "cli/inject.h"
#include "config/config.h"
#include "dns/dns.h"
#include "dns/settings.h"
#include "hooks/insert.h"
#include "http/fetch.h"
#include "inbound/settings.h"
#include "mail/header.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

enum { TIMEOUT_MS = 30000, ANSWER_BYTES_MAX = 50 * 1024 * 1024 };
#define QUEUE_ID 0x5f0c2a9e41U

struct play {
    struct str config, dialect, stage, message, from, client, helo, login, ca;
    struct words to, fields;
    bool allow_invalid_certs;
    struct fetch_target target;
    struct config *cfg;
    struct dns *dns;
    struct hook_view view;
    struct arena arena;
    struct buf out;
    int exit;
};

/* ---- what the scanner is shown ---- */

static const char sample[] = "From: sender@example.org\r\n"
                             "To: recipient@example.net\r\n"
                             "Subject: a test of the hook\r\n"
                             "\r\n"
                             "Hello.\r\n";

static bool read_message(struct play *p)
{
    struct buf text BUF_LOCAL = {0}, lines BUF_LOCAL = {0};
    struct str message = str_of(sample);
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

static bool play_envelope(struct play *p)
{
    struct hook_rcpt *to = arena_array(&p->arena, p->to.count + 1, sizeof(*to));
    struct hook_view *v = &p->view;

    if (v->stage < HOOK_MAIL) {
        return true;
    }
    v->has_sender = true;
    v->sender = p->from.ptr == NULL          ? STR("sender@example.org")
                : str_eq(p->from, STR("<>")) ? STR_EMPTY
                                             : p->from;
    if (v->stage < HOOK_RCPT) {
        return true;
    }
    to[0].address = STR("recipient@example.net");
    for (size_t i = 0; i < p->to.count; i++) {
        to[i].address = p->to.items[i];
        to[i].id = (uint32_t)i;
    }
    v->to = to;
    v->to_count = p->to.count > 0 ? (uint32_t)p->to.count : 1;
    return v->stage < HOOK_DATA || read_message(p);
}

static bool play_view(struct play *p, enum hook_stage stage)
{
    struct hook_view *v = &p->view;

    *v = (struct hook_view){.stage = stage,
                            .action = HOOK_ACCEPT,
                            .reply = {.text = STR_EMPTY},
                            .at = clock_date(),
                            .session = 1,
                            .queue_id = stage == HOOK_DATA ? QUEUE_ID : 0,
                            .server_name = STR("mx.example.net"),
                            .listener = STR("test"),
                            .client = {.ptr = STR_EMPTY, .helo = STR_EMPTY, .connections = 1},
                            .login = p->login.ptr != NULL ? p->login : STR_EMPTY,
                            .login_method = p->login.ptr != NULL ? STR("PLAIN") : STR_EMPTY,
                            .sender = STR_EMPTY};
    must(addr_parse(STR("203.0.113.5:25"), &v->server));
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

/* ---- asking ---- */

static struct err names(void *ctx, struct str host, struct arena *a, struct addr **ret,
                        size_t *count, struct buf *why, struct when by)
{
    struct dns_host found;
    struct err e = dns_host(ctx, host, DNS_IPV4_FIRST, 0, true, a, &found, by);

    if (e.code != OK) {
        return e;
    }
    if (found.kind != DNS_HOST_FOUND) {
        buf_printf(why, "%.*s has no address: %.*s", STR_ARG(host), STR_ARG(found.why));
        return err_of(found.kind == DNS_HOST_NONE ? ERR_NO_NAME : ERR_DNS);
    }
    *ret = found.addrs;
    *count = found.count;
    return ERR_OK;
}

static void write_request(const struct play *p, const struct hook_terms *terms, struct buf *out,
                          const char **type)
{
    struct arena a ARENA_LOCAL = {0};
    struct hook_request r;
    struct inserter i = {0};

    hook_classic.encode(&p->view, terms, &a, &r);
    *type = r.content_type;
    buf_put(out, buf_str(&r.before));
    if (r.insert != HOOK_INSERT_NONE) {
        insert_add(&i, r.insert, p->view.body.whole, out);
        insert_end(&i, r.insert, out);
    }
    buf_put(out, buf_str(&r.after));
    buf_done(&r.before);
    buf_done(&r.after);
}

/* Fields of the command line, behind the content's type. */
static bool read_fields(struct play *p, const char *type, struct fetch_field *fields)
{
    struct buf why BUF_LOCAL = {0};

    fields[0] = (struct fetch_field){STR("Content-Type"), str_of(type)};
    for (size_t i = 0; i < p->fields.count; i++) {
        struct fetch_field f = {.value = p->fields.items[i]};

        (void)str_cut(&f.value, ':', &f.name);
        fields[i + 1] = (struct fetch_field){str_trim(f.name), str_trim(f.value)};
        if (fetch_field_check(&fields[i + 1], &why).code != OK) {
            cli_say("hook", "--field: %.*s", STR_ARG(buf_str(&why)));
            return false;
        }
    }
    return true;
}

static struct err ask_scanner(struct play *p, struct str body, const struct fetch_field *fields,
                              struct fetch_answer *ret, struct buf *why)
{
    struct fetch_pool_options options = {.connections_max = 1,
                                         .ca_file = p->ca.ptr != NULL ? p->ca : STR_EMPTY,
                                         .allow_invalid_certs = p->allow_invalid_certs,
                                         .certificate = STR_EMPTY,
                                         .key = STR_EMPTY,
                                         .socket = STR_EMPTY,
                                         .names = {names, p->dns}};
    struct fetch_request request = {.method = STR("POST"),
                                    .target = &p->target,
                                    .fields = fields,
                                    .field_count = p->fields.count + 1,
                                    .body = body,
                                    .response_max = ANSWER_BYTES_MAX};
    struct fetch_pool *pool;
    struct err e = fetch_pool_new(&options, &pool, why);

    if (e.code == OK) {
        e = fetch(pool, &request, &p->arena, ret, why, when_after(TIMEOUT_MS));
        fetch_pool_free(pool, WHEN_NEVER);
    }
    return e;
}

/* ---- telling ---- */

static void tell_outcome(struct play *p, const struct hook_outcome *o)
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
}

static bool is_ok(struct play *p, struct err e, const struct buf *why)
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

static void judge(struct play *p, const struct fetch_answer *answer, const struct hook_terms *terms)
{
    const struct server_settings *s = config_settings(p->cfg, &server_table);
    const struct hook_bounds client = {.fields_max = INTAKE_FIELDS_MAX,
                                       .recipients_max = s->recipients_max,
                                       .header_bytes_max = s->header_bytes_max,
                                       .message_bytes_max = s->message_bytes_max};
    const struct hook_bounds bounds = hook_bounds_over(&client, &p->view);
    struct hook_answer got = {answer->status, answer->content_type, answer->body};
    struct hook_pending pending = {0};
    struct hook_outcome o;
    struct hook_view after;
    struct buf why BUF_LOCAL = {0}, changes BUF_LOCAL = {0};
    uint32_t next_id = (uint32_t)p->to.count + 1;

    if (answer->status / 100 != 2) {
        buf_printf(&why, "status %d is no answer: it must be 200 or another 2xx", answer->status);
        (void)is_ok(p, err_of(ERR_PROTOCOL), &why);
        return;
    }
    if (!is_ok(p, hook_classic.decode(&got, &p->view, terms, &pending, &p->arena, &o, &why),
               &why)) {
        return;
    }
    hook_classic.finish(&pending, &p->view, &p->arena, &o);
    if (!is_ok(p, hook_outcome_check(&o, &p->view, &bounds, &p->arena, &why), &why)) {
        return;
    }
    tell_outcome(p, &o);
    hook_view_apply(&p->view, &o, &next_id, &p->arena, &after);
    hook_show_changes(&p->view, &after, &changes);
    if (changes.len > 0) {
        buf_put(&p->out, STR("== changes\n"));
        buf_put(&p->out, buf_str(&changes));
    }
}

static void play(struct play *p)
{
    const struct hook_terms terms = {.answer_bytes_max = ANSWER_BYTES_MAX, .has_extensions = true};
    struct fetch_field *fields = arena_array(&p->arena, p->fields.count + 1, sizeof(*fields));
    struct buf body BUF_LOCAL = {0}, why BUF_LOCAL = {0};
    struct fetch_answer answer = {0};
    const char *type;

    write_request(p, &terms, &body, &type);
    if (!read_fields(p, type, fields)) {
        p->exit = EXIT_USAGE;
        return;
    }
    buf_printf(&p->out, "== request\nPOST %s, %s, %zu bytes\n", p->target.url, type, body.len);
    hook_show_text(buf_str(&body), &p->out);
    if (!is_ok(p, ask_scanner(p, buf_str(&body), fields, &answer, &why), &why)) {
        return;
    }
    buf_printf(&p->out, "== answer\nstatus %d, %.*s, %zu bytes\n", answer.status,
               STR_ARG(answer.content_type.len > 0 ? answer.content_type : STR("no type")),
               answer.body.len);
    hook_show_text(answer.body, &p->out);
    judge(p, &answer, &terms);
}

static void run(void *arg)
{
    struct play *p = arg;
    struct buf why BUF_LOCAL = {0};

    if (dns_open(config_settings(p->cfg, &resolver_table), &p->dns, &why).code != OK) {
        cli_say("hook", "%.*s", STR_ARG(buf_str(&why)));
        p->exit = EXIT_FAILED;
        return;
    }
    play(p);
    dns_close(p->dns, WHEN_NEVER);
}

/* ---- the command ---- */

static int hook_test(struct play *p, struct str url)
{
    struct buf why BUF_LOCAL = {0};
    enum hook_stage stage;

    if (p->dialect.ptr != NULL && !str_eq(p->dialect, STR("classic"))) {
        cli_say("hook", "only --dialect classic can be tested alone: the others register first, "
                        "and are tested by a server");
        return EXIT_USAGE;
    }
    if (!hook_stage_find(p->stage.ptr != NULL ? p->stage : STR("data"), &stage) ||
        hook_stage_is_outbound(stage)) {
        cli_say("hook", "--stage is one of connect, ehlo, auth, mail, rcpt, data");
        return EXIT_USAGE;
    }
    if (fetch_target_parse(url, &p->arena, &p->target, &why).code != OK) {
        cli_say("hook", "%.*s", STR_ARG(buf_str(&why)));
        return EXIT_USAGE;
    }
    if (!play_view(p, stage)) {
        return EXIT_FAILED;
    }
    p->cfg = cli_config("hook", p->config);
    if (p->cfg == NULL) {
        return EXIT_FAILED;
    }
    run_alone("hook", run, p);
    config_give(p->cfg);
    return cli_out(buf_str(&p->out)) ? p->exit : EXIT_FAILED;
}

int cli_hook(int argc, char **argv)
{
    struct play p = {.exit = EXIT_DONE};
    struct words rest;
    const struct option_row rows[] = {
        OPTION_CONFIG(&p.config),
        {.name = "dialect", .text = &p.dialect, .value = "WORD", .does = "classic"},
        {.name = "stage",
         .text = &p.stage,
         .value = "WORD",
         .does = "connect, ehlo, auth, mail, rcpt or data (data)"},
        {.name = "message",
         .text = &p.message,
         .value = "FILE",
         .does = "the message of the stage data; - is standard input (a short one)"},
        {.name = "from", .text = &p.from, .value = "ADDRESS", .does = "the sender; <> for none"},
        {.name = "to", .texts = &p.to, .value = "ADDRESS", .does = "a recipient; may be repeated"},
        {.name = "client-ip", .text = &p.client, .value = "IP", .does = "where the client is"},
        {.name = "helo", .text = &p.helo, .value = "NAME", .does = "what it says in EHLO"},
        {.name = "login", .text = &p.login, .value = "NAME", .does = "it has authenticated so"},
        {.name = "field",
         .texts = &p.fields,
         .value = "\"NAME: VALUE\"",
         .does = "a further field of the request, such as Authorization"},
        {.name = "ca", .text = &p.ca, .value = "FILE", .does = "authorities (PEM) to trust"},
        {.name = "allow-invalid-certs",
         .flag = &p.allow_invalid_certs,
         .does = "any certificate is good enough"},
    };
    int exit;

    if (!cli_options("hook", rows, COUNT_OF(rows), argc, argv, &p.arena, &rest, 2, 2, &exit)) {
        arena_done(&p.arena);
        return exit;
    }
    if (!str_eq(rest.items[0], STR("test"))) {
        cli_say("hook", "there is only hook test URL");
        exit = EXIT_USAGE;
    } else {
        exit = hook_test(&p, rest.items[1]);
    }
    buf_done(&p.out);
    arena_done(&p.arena);
    return exit;
}
