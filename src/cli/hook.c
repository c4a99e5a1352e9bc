/*
 * postyard hook test: plays one stage of a session against a running scanner, as the server would
 * ask it, and tells what was sent, what came back, and what would become of the message.
 */
#include "cli/commands.h"
#include "cli/hook_part.h"
#include "config/config.h"
#include "dns/dns.h"
#include "dns/settings.h"
#include "hooks/chain.h"
#include "hooks/insert.h"
#include "http/fetch.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

enum { ANSWER_BYTES_MAX = 50 * 1024 * 1024 };

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
        e = fetch(pool, &request, &p->arena, ret, why, when_after(HOOK_TEST_MS));
        fetch_pool_free(pool, WHEN_NEVER);
    }
    return e;
}

/* ---- telling ---- */

static void judge(struct play *p, const struct fetch_answer *answer, const struct hook_terms *terms)
{
    struct hook_answer got = {answer->status, answer->content_type, answer->body};
    struct hook_pending pending = {0};
    struct hook_outcome o;
    struct buf why BUF_LOCAL = {0};

    if (answer->status / 100 != 2) {
        buf_printf(&why, "status %d is no answer: it must be 200 or another 2xx", answer->status);
        (void)hook_is_ok(p, err_of(ERR_PROTOCOL), &why);
        return;
    }
    if (!hook_is_ok(p, hook_classic.decode(&got, &p->view, terms, &pending, &p->arena, &o, &why),
                    &why)) {
        return;
    }
    hook_classic.finish(&pending, &p->view, &p->arena, &o);
    hook_tell_outcome(p, &o);
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
    if (!hook_is_ok(p, ask_scanner(p, buf_str(&body), fields, &answer, &why), &why)) {
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
    if (p->is_draft) {
        hook_play_draft(p);
    } else {
        play(p);
    }
    dns_close(p->dns, WHEN_NEVER);
}

/* ---- the command ---- */

/* What only a draft knows must not be given in vain. */
static bool read_dialect(struct play *p)
{
    bool has_more = p->format.ptr != NULL || p->token.ptr != NULL || p->certificate.ptr != NULL ||
                    p->key.ptr != NULL || p->allow.count > 0 || p->properties.count > 0 ||
                    p->no_discovery;

    p->dialect = p->dialect.ptr != NULL ? p->dialect : STR("classic");
    p->is_draft = str_eq(p->dialect, STR("draft-01")) || str_eq(p->dialect, STR("draft-02"));
    if (!p->is_draft && !str_eq(p->dialect, STR("classic"))) {
        cli_say("hook", "--dialect is classic, draft-01 or draft-02");
        return false;
    }
    if (!p->is_draft && has_more) {
        cli_say("hook", "--format, --token-file, --certificate, --key, --property, --allow and "
                        "--no-discovery are for --dialect draft-01 and draft-02");
        return false;
    }
    if (p->is_draft && p->allow_invalid_certs) {
        cli_say("hook", "the draft dialects ask for a certificate that is good: --ca FILE says by "
                        "whose authority");
        return false;
    }
    return true;
}

static int hook_test(struct play *p, struct str url)
{
    struct buf why BUF_LOCAL = {0};
    enum hook_stage stage;

    if (!read_dialect(p)) {
        return EXIT_USAGE;
    }
    if (!hook_stage_find(p->stage.ptr != NULL ? p->stage : STR("data"), &stage) ||
        (p->is_draft ? stage == HOOK_AUTH : hook_stage_is_outbound(stage))) {
        cli_say("hook", "--stage is one of connect, ehlo, %s",
                p->is_draft ? "mail, rcpt, data, route (draft-02), delivery, defer, dsn"
                            : "auth, mail, rcpt, data");
        return EXIT_USAGE;
    }
    if (fetch_target_parse(url, &p->arena, &p->target, &why).code != OK) {
        cli_say("hook", "%.*s", STR_ARG(buf_str(&why)));
        return EXIT_USAGE;
    }
    if (!hook_play_view(p, stage)) {
        return EXIT_FAILED;
    }
    p->cfg = cli_config("hook", p->config);
    if (p->cfg == NULL) {
        return EXIT_FAILED;
    }
    if (p->is_draft && !hook_load_draft(p, url)) {
        config_give(p->cfg);
        return EXIT_USAGE;
    }
    run_alone("hook", run, p);
    chain_drop(p->chain);
    config_give(p->cfg);
    return cli_out(buf_str(&p->out)) ? p->exit : EXIT_FAILED;
}

int cli_hook(int argc, char **argv)
{
    struct play p = {.exit = EXIT_DONE};
    struct words rest;
    const struct option_row rows[] = {
        OPTION_CONFIG(&p.config),
        {.name = "dialect",
         .text = &p.dialect,
         .value = "WORD",
         .does = "classic, draft-01 or draft-02 (classic)"},
        {.name = "stage",
         .text = &p.stage,
         .value = "WORD",
         .does = "connect, ehlo, auth, mail, rcpt or data; with a draft also route, delivery, "
                 "defer or dsn (data)"},
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
         .does = "classic: any certificate is good enough"},
        {.name = "format",
         .text = &p.format,
         .value = "WORD",
         .does = "draft: json or cbor (json)"},
        {.name = "token-file",
         .text = &p.token,
         .value = "FILE",
         .does = "draft: holds the token that is sent as \"Authorization: Bearer\""},
        {.name = "certificate",
         .text = &p.certificate,
         .value = "FILE",
         .does = "draft: ours (PEM)"},
        {.name = "key", .text = &p.key, .value = "FILE", .does = "draft: its private key (PEM)"},
        {.name = "no-discovery",
         .flag = &p.no_discovery,
         .does = "draft: URL is where to register; nothing is asked before"},
        {.name = "property",
         .texts = &p.properties,
         .value = "POINTER",
         .does = "draft: offered to it; may be repeated (all)"},
        {.name = "allow",
         .texts = &p.allow,
         .value = "POINTER",
         .does = "draft: what it may change; may be repeated (all)"},
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
