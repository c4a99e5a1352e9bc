#include "base/check.h"
#include "doc/pointer.h"
#include "hooks/draft.h"
#include "hooks/draft_filter.h"
#include "hooks/policy.h"
#include "hooks/settings_part.h"

static const char *const of_drafts[] = {
    "discover", "format", "properties", "allow",        "allow-plain",    "require-all-stages",
    "strict",   "filter", "may-weaken", "on-malformed", "disclose-filter"};

static void tell(struct hook_checking *c, const char *key, const char *what)
{
    fault_error(c->faults, hook_where(c, key), "hooks.%.*s: %s", STR_ARG(c->o->name), what);
}

static void check_keys_of_drafts(struct hook_checking *c)
{
    for (size_t i = 0; i < COUNT_OF(of_drafts); i++) {
        if (hook_is_given(c, of_drafts[i])) {
            fault_error(c->faults, hook_where(c, of_drafts[i]),
                        "hooks.%.*s: %s is not for the classic dialect", STR_ARG(c->o->name),
                        of_drafts[i]);
        }
    }
}

/* The draft has no unencrypted form; a scanner on this machine may be let off. */
static void check_transport(struct hook_checking *c)
{
    if (c->has_target && !c->target.is_tls &&
        !(c->s->allow_plain && fetch_target_is_loopback(&c->target))) {
        tell(c, "url", "the draft dialects ask for https");
        fault_hint(c->faults, "for an address of this machine (127.0.0.1), allow-plain: true will "
                              "do");
    }
    if (c->s->tls_allow_invalid_certs) {
        tell(c, "tls.allow-invalid-certs", "the draft dialects ask for a certificate that is good");
    }
}

static void check_credentials(struct hook_checking *c)
{
    struct str token = c->s->bearer_token.text;

    if (!c->s->bearer_token.is_given && !c->s->basic_secret.is_given &&
        c->s->tls_certificate.len == 0) {
        tell(c, "dialect", "the draft dialects ask for credentials: auth, or tls.certificate");
    }
    for (size_t i = 0; c->s->bearer_token.is_given && i < token.len; i++) {
        if ((unsigned char)token.ptr[i] <= ' ' || (unsigned char)token.ptr[i] >= 0x7f) {
            tell(c, "auth.bearer.token", "a token has no blanks and no control characters");
            return;
        }
    }
}

/* Each header of the protocol stands once in a request, and we know what is in it. */
static void check_fields(struct hook_checking *c)
{
    static const char *const ours[] = {"Content-Type", "Accept", "X-MTA-Hooks-Registration",
                                       "X-MTA-Hooks-Request-Id"};

    for (size_t i = 0; i < c->s->headers.count; i++) {
        struct str rest = c->s->headers.items[i], name;

        str_cut(&rest, ':', &name);
        for (size_t k = 0; k < COUNT_OF(ours); k++) {
            if (str_eq_nocase(str_trim(name), str_of(ours[k]))) {
                fault_error(c->faults, hook_where(c, "headers"),
                            "hooks.%.*s: the header %s is the protocol's", STR_ARG(c->o->name),
                            ours[k]);
            }
        }
    }
}

static bool is_known(struct str text, struct arena *a)
{
    struct pointer p, known;

    for (int direction = 0; direction < 2; direction++) {
        for (const char *const *all = draft_properties(direction == 1); *all != NULL; all++) {
            if (pointer_parse(text, a, &p) && pointer_parse(str_of(*all), a, &known) &&
                pointer_is_within(&p, &known)) {
                return true;
            }
        }
    }
    return false;
}

static bool has(const struct str_list *list, struct str text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_eq(list->items[i], text)) {
            return true;
        }
    }
    return false;
}

static void check_pointers(struct hook_checking *c)
{
    struct pointer p;

    for (size_t i = 0; i < c->s->properties.count; i++) {
        if (!is_known(c->s->properties.items[i], &c->arena)) {
            fault_error(c->faults, hook_where(c, "properties"),
                        "hooks.%.*s: there is no property \"%.*s\"", STR_ARG(c->o->name),
                        STR_ARG(c->s->properties.items[i]));
        }
    }
    if (!has(&c->s->properties, STR("/stage")) || !has(&c->s->properties, STR("/action"))) {
        tell(c, "properties", "/stage and /action are always among the properties");
    }
    for (size_t i = 0; i < c->s->allow.count; i++) {
        if (!pointer_parse(c->s->allow.items[i], &c->arena, &p)) {
            fault_error(c->faults, hook_where(c, "allow"),
                        "hooks.%.*s: \"%.*s\" is no JSON pointer: it begins with a slash",
                        STR_ARG(c->o->name), STR_ARG(c->s->allow.items[i]));
        }
    }
}

bool hook_read_filter(struct str text, struct arena *a, struct doc *ret, struct buf *why)
{
    static const struct doc_limits limits = {DRAFT_FILTER_BYTES_MAX, 500,
                                             2 * DRAFT_FILTER_DEPTH_MAX + 2, 64, false};

    return doc_read_json(text, &limits, a, ret, why).code == OK && draft_filter_check(ret, why);
}

static void check_filter(struct hook_checking *c)
{
    struct buf why BUF_LOCAL = {0};
    struct doc filter;

    if (c->s->filter.len > 0 && !hook_read_filter(c->s->filter, &c->arena, &filter, &why)) {
        fault_error(c->faults, hook_where(c, "filter"), "hooks.%.*s: filter: %.*s",
                    STR_ARG(c->o->name), STR_ARG(buf_str(&why)));
    }
    if (c->s->disclose_filter && c->s->filter.len == 0) {
        tell(c, "disclose-filter", "there is no filter that could be told");
    }
}

void hook_check_draft(struct hook_checking *c)
{
    if (c->s->dialect == DIALECT_CLASSIC) {
        check_keys_of_drafts(c);
        return;
    }
    if (c->s->dialect == DIALECT_DRAFT_02) {
        fault_warn(c->faults, hook_where(c, "dialect"),
                   "hooks.%.*s: draft-02 is built from what is known of it, and may change",
                   STR_ARG(c->o->name));
    }
    if (hook_is_given(c, "dialect-extensions")) {
        tell(c, "dialect-extensions", "dialect-extensions is for the classic dialect");
        fault_hint(c->faults, "a draft scanner needs allow: [/ext/" POLICY_NAMESPACE "]");
    }
    if (hook_is_given(c, "classic-strict")) {
        tell(c, "classic-strict", "classic-strict is for the classic dialect");
    }
    check_transport(c);
    check_credentials(c);
    check_fields(c);
    check_pointers(c);
    check_filter(c);
}
