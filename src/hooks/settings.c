#include "hooks/settings.h"

#include "base/check.h"
#include "config/config.h"
#include "config/hint.h"
#include "hooks/settings_part.h"

/* The first word of a value is the one that is shown. */
static const struct setting_choice dialects[] = {{"classic", DIALECT_CLASSIC},
                                                 {"draft-01", DIALECT_DRAFT_01},
                                                 {"draft-02", DIALECT_DRAFT_02},
                                                 {"draft", DIALECT_DRAFT_02},
                                                 {NULL, 0}};

static const struct setting_choice formats[] = {
    {"json", FORMAT_JSON}, {"cbor", FORMAT_CBOR}, {NULL, 0}};
static const struct setting_choice malformed_answers[] = {
    {"default-action", MALFORMED_NONE}, {"failure", MALFORMED_FAILURE}, {NULL, 0}};

const struct setting_choice filter_failures[] = {{"accept", FAILURE_ACCEPT},
                                                 {"tempfail", FAILURE_TEMPFAIL},
                                                 {"reject", FAILURE_REJECT},
                                                 {"quarantine", FAILURE_QUARANTINE},
                                                 {NULL, 0}};

#define SETTINGS_OF struct hook_settings
static const struct setting rows[] = {
#include "hooks/settings.def"
};
#undef SETTINGS_OF

/* ---- stages ---- */

static void tell_stage(struct str word, const char *of, struct str name, struct position at,
                       struct faults *faults)
{
    struct hint_words near = {.given = word};
    enum hook_stage s;

    if (hook_stage_find(word, &s)) {
        fault_error(faults, at, "%s.%.*s is not asked at the stage %.*s", of, STR_ARG(name),
                    STR_ARG(word));
        fault_hint(faults, "delivery, defer and dsn are for hooks of the draft dialects, and route "
                           "for those of draft-02");
        return;
    }
    fault_error(faults, at, "%s.%.*s: there is no stage \"%.*s\"", of, STR_ARG(name),
                STR_ARG(str_head(word, 80)));
    for (unsigned i = 0; i < HOOK_STAGES; i++) {
        hint_word_try(&near, hook_stage_name((enum hook_stage)i));
    }
    if (hint_word_found(&near)) {
        fault_hint(faults, "did you mean %.*s?", STR_ARG(near.best));
    } else {
        fault_hint(faults, "stages are connect, ehlo, mail, rcpt and data");
    }
}

unsigned filter_stages(const struct str_list *names)
{
    unsigned stages = 0;
    enum hook_stage s;

    for (size_t i = 0; i < names->count; i++) {
        stages |= hook_stage_find(names->items[i], &s) ? 1U << s : 0;
    }
    return stages;
}

unsigned filter_stages_check(const struct str_list *names, unsigned offered, const char *of,
                             struct str name, struct position at, struct faults *faults)
{
    unsigned stages = 0;

    if (names->count == 0) {
        fault_error(faults, at, "%s.%.*s is asked at no stage", of, STR_ARG(name));
        return 0;
    }
    for (size_t i = 0; i < names->count; i++) {
        enum hook_stage s;

        if (!hook_stage_find(names->items[i], &s) || (offered >> s & 1) == 0) {
            tell_stage(names->items[i], of, name, at, faults);
            return 0;
        }
        if ((stages >> s & 1) != 0) {
            fault_error(faults, at, "%s.%.*s: the stage %.*s is named twice", of, STR_ARG(name),
                        STR_ARG(names->items[i]));
            return 0;
        }
        if (s == HOOK_AUTH) {
            fault_warn(faults, at, "%s.%.*s: the stage auth is never reached", of, STR_ARG(name));
            fault_hint(faults, "what is known of a login is told at mail, rcpt and data");
        }
        stages |= 1U << s;
    }
    return stages;
}

/* ---- what concerns several keys ---- */

struct position hook_where(const struct hook_checking *c, const char *key)
{
    struct position at;

    (void)config_where(c->cfg, c->s, key, &at);
    return at;
}

bool hook_is_given(const struct hook_checking *c, const char *key)
{
    return config_where(c->cfg, c->s, key, NULL);
}

static void check_url(struct hook_checking *c)
{
    struct buf why BUF_LOCAL = {0};

    if (!hook_is_given(c, "url")) {
        return; /* told already */
    }
    c->has_target = fetch_target_parse(c->s->url, &c->arena, &c->target, &why).code == OK;
    if (!c->has_target) {
        fault_error(c->faults, hook_where(c, "url"), "hooks.%.*s: %.*s", STR_ARG(c->o->name),
                    STR_ARG(buf_str(&why)));
    }
}

static void check_auth(struct hook_checking *c)
{
    bool has_basic = c->s->basic_user.len > 0 || c->s->basic_secret.is_given;

    if (has_basic && c->s->bearer_token.is_given) {
        fault_error(c->faults, hook_where(c, "auth.bearer.token"),
                    "hooks.%.*s: auth is either basic or bearer", STR_ARG(c->o->name));
    } else if (has_basic && c->s->basic_user.len == 0) {
        fault_error(c->faults, hook_where(c, "auth.basic.secret"),
                    "hooks.%.*s: auth.basic needs a user beside the secret", STR_ARG(c->o->name));
    } else if (has_basic && !c->s->basic_secret.is_given) {
        fault_error(c->faults, hook_where(c, "auth.basic.user"),
                    "hooks.%.*s: auth.basic needs a secret beside the user", STR_ARG(c->o->name));
    } else if (str_find(c->s->basic_user, ':') != STR_NONE) {
        fault_error(c->faults, hook_where(c, "auth.basic.user"),
                    "hooks.%.*s: a user of Basic authentication has no colon", STR_ARG(c->o->name));
    }
    if ((has_basic || c->s->bearer_token.is_given) && c->has_target && !c->target.is_tls &&
        !fetch_target_is_loopback(&c->target)) {
        fault_warn(c->faults, hook_where(c, "url"),
                   "hooks.%.*s: the secret travels in the clear: the address is not https",
                   STR_ARG(c->o->name));
    }
}

static void check_headers(struct hook_checking *c)
{
    bool has_auth = c->s->basic_user.len > 0 || c->s->bearer_token.is_given;

    for (size_t i = 0; i < c->s->headers.count; i++) {
        struct buf why BUF_LOCAL = {0};
        struct fetch_field f = {.value = c->s->headers.items[i]};

        if (!str_cut(&f.value, ':', &f.name)) {
            fault_error(c->faults, hook_where(c, "headers"),
                        "hooks.%.*s: a header is written \"Name: value\"", STR_ARG(c->o->name));
            continue;
        }
        f = (struct fetch_field){str_trim(f.name), str_trim(f.value)};
        if (fetch_field_check(&f, &why).code != OK) {
            fault_error(c->faults, hook_where(c, "headers"), "hooks.%.*s: %.*s",
                        STR_ARG(c->o->name), STR_ARG(buf_str(&why)));
        } else if (has_auth && str_eq_nocase(f.name, STR("Authorization"))) {
            fault_warn(c->faults, hook_where(c, "headers"),
                       "hooks.%.*s: the header Authorization is left out: auth makes it",
                       STR_ARG(c->o->name));
        }
    }
}

static void check_tls(struct hook_checking *c)
{
    static const char *const keys[] = {"tls.ca", "tls.certificate", "tls.key",
                                       "tls.allow-invalid-certs"};

    for (size_t i = 0; i < COUNT_OF(keys) && c->has_target && !c->target.is_tls; i++) {
        if (hook_is_given(c, keys[i])) {
            fault_error(c->faults, hook_where(c, keys[i]),
                        "hooks.%.*s: %s is for https, and the address is not", STR_ARG(c->o->name),
                        keys[i]);
            return;
        }
    }
    if ((c->s->tls_certificate.len > 0) != (c->s->tls_key.len > 0)) {
        fault_error(c->faults, hook_where(c, c->s->tls_key.len > 0 ? "tls.key" : "tls.certificate"),
                    "hooks.%.*s: tls needs both certificate and key", STR_ARG(c->o->name));
    }
    if (c->s->tls_allow_invalid_certs) {
        fault_warn(c->faults, hook_where(c, "tls.allow-invalid-certs"),
                   "hooks.%.*s: whoever is on the way may read this mail and answer in the "
                   "scanner's place",
                   STR_ARG(c->o->name));
    }
}

static void check_failures(struct hook_checking *c, unsigned stages)
{
    static const struct {
        const char *key;
        enum hook_stage stage;
    } keys[] = {{"on-failure.connect", HOOK_CONNECT},
                {"on-failure.ehlo", HOOK_EHLO},
                {"on-failure.mail", HOOK_MAIL},
                {"on-failure.rcpt", HOOK_RCPT},
                {"on-failure.data", HOOK_DATA}};

    for (size_t i = 0; i < COUNT_OF(keys) && stages != 0; i++) {
        if (hook_is_given(c, keys[i].key) && (stages >> keys[i].stage & 1) == 0) {
            fault_error(c->faults, hook_where(c, keys[i].key),
                        "hooks.%.*s: %s has no effect: it is not asked at that stage",
                        STR_ARG(c->o->name), keys[i].key);
            fault_hint(c->faults, "add %.*s to stages", STR_ARG(hook_stage_name(keys[i].stage)));
        }
    }
}

static unsigned offered(const struct hook_settings *s)
{
    return s->dialect == DIALECT_CLASSIC    ? (unsigned)STAGES_INBOUND
           : s->dialect == DIALECT_DRAFT_02 ? ~0U
                                            : ~(1U << HOOK_ROUTE);
}

static void check_one(const struct config *cfg, const struct config_object *o,
                      struct faults *faults)
{
    struct hook_checking c = {.cfg = cfg, .o = o, .s = o->settings, .faults = faults};

    check_url(&c);
    hook_check_draft(&c);
    check_auth(&c);
    check_headers(&c);
    check_tls(&c);
    check_failures(&c, filter_stages_check(&c.s->stages, offered(c.s), "hooks", o->name,
                                           hook_where(&c, "stages"), faults));
    arena_done(&c.arena);
}

static void check(const struct config *cfg, struct faults *faults)
{
    size_t count;
    const struct config_object *o = config_objects(cfg, &hooks_table, &count);

    for (size_t i = 0; i < count; i++) {
        check_one(cfg, &o[i], faults);
    }
}

const struct setting_table hooks_table = {
    .key = "hooks",
    .kind = TABLE_LIST,
    .prose = "Programs over HTTP that are asked about mail while it comes in: whether it is taken, "
             "and what is changed in it.",
    .rows = rows,
    .row_count = COUNT_OF(rows),
    .size = sizeof(struct hook_settings),
    .check = check,
};
