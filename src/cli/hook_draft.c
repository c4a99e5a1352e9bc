/*
 * A scanner of a draft dialect, as a server with this one hook would deal with it: registered,
 * asked once, left. The hook is made of a configuration with the words of the command line in it,
 * so that what a server refuses is refused here too.
 */
#include "cli/commands.h"
#include "cli/hook_part.h"
#include "cli/snapshot.h"
#include "config/config.h"
#include "hooks/call.h"
#include "hooks/draft.h"
#include "hooks/engine.h"
#include "hooks/milter_settings.h"
#include "hooks/policy.h"
#include "inbound/settings.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

/* ---- the hook ---- */

static void put_text(struct doc *to, struct arena *a, const char *key, struct str value)
{
    if (value.ptr != NULL) {
        doc_put(to, a, str_of(key), doc_text(value));
    }
}

static struct doc list_of(const struct words *words, struct arena *a)
{
    struct doc list = doc_list();

    for (size_t i = 0; i < words->count; i++) {
        doc_insert(&list, a, list.count, doc_text(words->items[i]));
    }
    return list;
}

static void put_all(struct doc *list, const char *const *all, struct arena *a)
{
    for (; *all != NULL; all++) {
        doc_insert(list, a, list->count, doc_text(str_of(*all)));
    }
}

/* "Authorization: Bearer TOKEN" is a field like others to who types it, and a credential here. */
static void put_fields(struct doc *hook, const struct play *p, struct doc *token, struct arena *a)
{
    struct doc fields = doc_list();

    for (size_t i = 0; i < p->fields.count; i++) {
        struct str value = p->fields.items[i], name;

        (void)str_cut(&value, ':', &name);
        value = str_trim(value);
        if (str_eq_nocase(str_trim(name), STR("Authorization")) &&
            str_starts_nocase(value, STR("Bearer "))) {
            *token = doc_text(str_trim(str_skip(value, 7)));
        } else {
            doc_insert(&fields, a, fields.count, doc_text(p->fields.items[i]));
        }
    }
    doc_put(hook, a, STR("headers"), fields);
}

static void put_credentials(struct doc *hook, const struct play *p, struct arena *a)
{
    struct doc token = doc_null(), file = doc_object(), auth = doc_object(), tls = doc_object();

    put_fields(hook, p, &token, a);
    if (p->token.ptr != NULL) {
        put_text(&file, a, "file", p->token);
        token = file;
    }
    if (token.kind != DOC_NULL) {
        doc_put(doc_put(&auth, a, STR("bearer"), doc_object()), a, STR("token"), token);
        doc_put(hook, a, STR("auth"), auth);
    }
    put_text(&tls, a, "ca", p->ca);
    put_text(&tls, a, "certificate", p->certificate);
    put_text(&tls, a, "key", p->key);
    if (tls.count > 0) {
        doc_put(hook, a, STR("tls"), tls);
    }
}

static void write_config(const struct play *p, struct str url, struct buf *out)
{
    static const char *const changes[] = {"/action",  "/response",   "/envelope",
                                          "/message", "/rawMessage", "/ext/" POLICY_NAMESPACE,
                                          NULL};
    struct arena a ARENA_LOCAL = {0};
    struct doc all = doc_object(), hook = doc_object(), stages = doc_list(), list;

    put_text(&hook, &a, "name", STR("test"));
    put_text(&hook, &a, "url", url);
    put_text(&hook, &a, "dialect", p->dialect);
    put_text(&hook, &a, "format", p->format);
    doc_insert(&stages, &a, 0, doc_text(hook_stage_name(p->view.stage)));
    doc_put(&hook, &a, STR("stages"), stages);
    doc_put(&hook, &a, STR("discover"), doc_bool(!p->no_discovery));
    doc_put(&hook, &a, STR("allow-plain"), doc_bool(true)); /* as far as a server may be so */
    put_credentials(&hook, p, &a);
    list = list_of(&p->allow, &a);
    if (list.count == 0) {
        put_all(&list, changes, &a);
    }
    doc_put(&hook, &a, STR("allow"), list);
    list = list_of(&p->properties, &a);
    if (list.count == 0) {
        put_all(&list, draft_properties(hook_stage_is_outbound(p->view.stage)), &a);
    }
    doc_put(&hook, &a, STR("properties"), list);
    doc_insert(doc_put(&all, &a, STR("hooks"), doc_list()), &a, 0, hook);
    doc_write_json(out, &all);
}

/* Their places mean nothing to who gave words and no file. */
static void say_errors(const struct faults *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].level == FAULT_ERROR) {
            cli_say("hook", "%.*s%s%.*s", STR_ARG(f->items[i].text),
                    f->items[i].hint.len > 0 ? ": " : "", STR_ARG(f->items[i].hint));
        }
    }
}

bool hook_load_draft(struct play *p, struct str url)
{
    static const struct setting_table *const tables[] = {&hooks_table, &milters_table};
    struct config_options options = {.tables = tables, .table_count = 2, .number = 1};
    const struct server_settings *s = config_settings(p->cfg, &server_table);
    struct chain_source source = {.message_bytes_max = s->message_bytes_max,
                                  .hostname = s->hostname.len > 0 ? s->hostname
                                                                  : system_hostname()};
    struct faults faults = {0};
    struct buf text BUF_LOCAL = {0};
    bool is_good = false;

    write_config(p, url, &text);
    source.config = config_parse(&options, STR("words"), buf_str(&text), &faults);
    if (source.config != NULL) {
        is_good = chain_load(&source, &faults, &p->chain);
    }
    say_errors(&faults);
    config_give(source.config);
    faults_done(&faults);
    return is_good;
}

/* ---- telling ---- */

static void put_set(struct buf *out, const char *what, const struct str_set *set)
{
    buf_put(out, str_of(what));
    for (uint32_t i = 0; i < set->count; i++) {
        buf_printf(out, " %.*s", STR_ARG(set->items[i]));
    }
    buf_byte(out, '\n');
}

static void tell_registration(struct play *p, const struct registry_pass *pass)
{
    const struct registry_grant *g = &pass->grant;
    int n = registry_direction(p->view.stage);
    char at[DATE_ISO_BYTES];
    struct buf text BUF_LOCAL = {0};

    buf_printf(&text, "%.*s, %s%.*s\nasked at %.*s\nstages", STR_ARG(g->id),
               g->expires.ms != 0 ? "until " : "without an end",
               STR_ARG(g->expires.ms != 0 ? date_iso(g->expires, at) : STR_EMPTY),
               STR_ARG(g->hook));
    for (unsigned s = 0; s < HOOK_STAGES; s++) {
        if ((g->stages >> s & 1) != 0) {
            buf_printf(&text, " %.*s", STR_ARG(hook_stage_name((enum hook_stage)s)));
        }
    }
    buf_byte(&text, '\n');
    put_set(&text, "is sent", &g->properties[n]);
    if (pass->has_updates) {
        put_set(&text, "may change", &pass->updates[n]);
    }
    if (pass->message_bytes_max > 0) {
        buf_printf(&text, "messages of at most %llu bytes\n",
                   (unsigned long long)pass->message_bytes_max);
    }
    buf_put(&p->out, STR("== registration\n"));
    hook_show_text(buf_str(&text), &p->out);
}

/* CBOR is shown as JSON, byte strings in base64. */
static void show_body(struct str type, struct str body, struct buf *out)
{
    static const struct doc_limits limits = {SIZE_MAX, UINT32_MAX, DRAFT_DEPTH_MAX, UINT32_MAX,
                                             true};
    struct arena a ARENA_LOCAL = {0};
    struct buf text BUF_LOCAL = {0}, why BUF_LOCAL = {0};
    struct doc d;

    if (!str_starts_nocase(type, STR("application/cbor"))) {
        hook_show_text(body, out);
    } else if (doc_read_cbor(body, &limits, &a, &d, &why).code == OK) {
        doc_write_json(&text, &d);
        hook_show_text(buf_str(&text), out);
    } else if (body.len > 0) {
        buf_printf(out, "(%.*s)\n", STR_ARG(buf_str(&why)));
    }
}

static void tell_request(struct play *p, const struct fetch_request *r, struct when by)
{
    struct str type = STR_EMPTY, body = STR_EMPTY;

    if (r->source != NULL) {
        r->source->rewind(r->source->ctx);
    }
    (void)fetch_request_body(r, &p->arena, &body, by);
    for (size_t i = 0; i < r->field_count; i++) {
        type = str_eq_nocase(r->fields[i].name, STR("Content-Type")) ? r->fields[i].value : type;
    }
    buf_printf(&p->out, "== request\nPOST %s, %.*s, %zu bytes\n", r->target->url, STR_ARG(type),
               body.len);
    for (size_t i = 0; i < r->field_count; i++) {
        if (str_starts_nocase(r->fields[i].name, STR("X-MTA-Hooks-"))) {
            buf_printf(&p->out, "%.*s: %.*s\n", STR_ARG(r->fields[i].name),
                       STR_ARG(r->fields[i].value));
        }
    }
    show_body(type, body, &p->out);
}

static void told_exchange(void *ctx, const struct fetch_request *r,
                          const struct fetch_answer *answer, struct when by)
{
    struct play *p = ctx;
    struct buf head BUF_LOCAL = {0};

    tell_request(p, r, by);
    if (answer == NULL) {
        return;
    }
    buf_printf(&head, "status %d, %.*s, %zu bytes", answer->status,
               STR_ARG(answer->content_type.len > 0 ? answer->content_type : STR("no type")),
               answer->body.len);
    buf_put(&p->out, STR("== answer\n"));
    hook_show_text(buf_str(&head), &p->out);
    show_body(answer->content_type, answer->body, &p->out);
}

static void told_registration(void *ctx, struct str name, enum registry_told what, struct str text,
                              int64_t next_ms)
{
    struct play *p = ctx;

    (void)name, (void)next_ms;
    if (what == REGISTRY_GIVEN_BACK) {
        p->was_given_back = true;
        buf_put(&p->out, STR("== end\n"));
        hook_show_text(text, &p->out);
        p->out.len--;
        buf_put(&p->out, STR(" was given back\n"));
    }
}

/* ---- asking ---- */

static bool register_there(struct play *p, struct hook *h)
{
    struct registry_pass pass;
    struct buf why BUF_LOCAL = {0};
    struct err e = registry_enter(h->registry, STR_EMPTY, &p->arena, &pass, &why,
                                  when_after(HOOK_TEST_MS));

    if (!hook_is_ok(p, e, &why)) {
        return false;
    }
    p->is_registered = true;
    tell_registration(p, &pass);
    if ((pass.grant.stages >> p->view.stage & 1) == 0) {
        buf_put(&why, STR("the stage was not agreed on"));
        return hook_is_ok(p, err_of(ERR_PROTOCOL), &why);
    }
    return true;
}

static void ask(struct play *p, struct hook *h)
{
    struct hook_outcome o;
    struct buf why BUF_LOCAL = {0};
    struct err e;

    h->watch = (struct hook_watch){told_exchange, p};
    e = hook_kind.ask(h, NULL, &p->view, &p->arena, &o, &why, when_after(HOOK_TEST_MS));
    if (hook_is_ok(p, e, &why)) {
        hook_tell_outcome(p, &o);
    }
}

void hook_play_draft(struct play *p)
{
    struct loop *loop = loop_self();
    struct engine_options o = {
        .home = loop, .loops = &loop, .loop_count = 1, .told = told_registration, .told_ctx = p};
    struct engine *e = engine_new(&o);
    struct hook *h = p->chain->items[0].filter;
    struct buf why BUF_LOCAL = {0};

    engine_use_dns(e, p->dns);
    engine_use(e, p->chain);
    if (register_there(p, h)) {
        ask(p, h);
    }
    engine_home_stop(e, WHEN_NEVER);
    if (p->is_registered && !p->was_given_back) {
        buf_put(&why,
                STR("the registration was not given back: no address is named for that, or it is "
                    "not taken there"));
        (void)hook_is_ok(p, err_of(ERR_PROTOCOL), &why);
    }
    engine_loop_stop(e, WHEN_NEVER);
    engine_free(e);
}
