/*
 * 1. An alias of a whole address comes before one of a bare name.
 * 2. postmaster, abuse, root and mailer-daemon go to the postmaster unless an alias or the list of
 *    recipients names them.
 * 3. What an alias stands for is looked up again, so a chain must end; directory_build has walked
 *    every chain, and a walk at run time that still does not end answers DIRECTORY_UNKNOWN.
 * 4. A bare name among the targets is an address in the domain of what is being looked up.
 * 5. What is known as it was written comes before what is known without its tag (ann+books as ann).
 * 6. A domain in UTF-8 is compared by its A-labels, which is what the configuration has.
 */
#include "inbound/directory.h"

#include "base/map.h"
#include "base/mem.h"
#include "dns/idn.h"
#include "inbound/directory_file.h"
#include "mail/address.h"
#include "mail/envelope.h"
#include "mail/path.h"

#include <stdatomic.h>
#include <stdio.h>

struct directory {
    _Atomic uint64_t references;
    struct arena arena;
    struct map domains;    /* name -> itself */
    struct map aliases;    /* key -> struct alias */
    struct map recipients; /* key, or "@domain" -> any */
    bool recipients_given;
    struct str postmaster, postmaster_key;
    struct str delimiters;   /* each of these bytes begins a tag; empty: there are none */
    struct str *domain_list; /* as configured */
    size_t domain_count;
    struct alias *first, **last; /* as in the file */
};

struct alias {
    struct str key;
    struct str_list targets; /* addresses, and bare names */
    struct position at;
    struct alias *next;
};

enum { KEY_BYTES = ADDRESS_LOCAL_BYTES_MAX + ADDRESS_DOMAIN_BYTES_MAX + 2 };

/* A local part alone: what stands in quotes may have an '@' in it, a domain never ends with one. */
static bool is_bare(struct str name)
{
    return str_find(name, '@') == STR_NONE || name.ptr[name.len - 1] == '"';
}

static bool is_atom_byte(char c)
{
    return byte_is_alnum(c) || (unsigned char)c >= 0x80 ||
           (c != '\0' && memchr("!#$%&'*+-/=?^_`{|}~.", c, 20) != NULL);
}

/* Of a quoted local part that needs no quotes, what is in them; else 0. */
static size_t unquote(struct str local, char *at)
{
    size_t len = 0;

    if (local.len < 3 || local.ptr[0] != '"') {
        return 0;
    }
    for (size_t i = 1; i + 1 < local.len; i++) {
        if (local.ptr[i] == '\\' && i + 2 < local.len) {
            i++;
        }
        if (!is_atom_byte(local.ptr[i])) {
            return 0;
        }
        at[len++] = byte_lower(local.ptr[i]);
    }
    return len;
}

/* The form addresses are compared in; empty when it is too long to be one. */
static struct str key_of(struct str local, struct str domain, char at[KEY_BYTES])
{
    struct arena scratch ARENA_LOCAL = {0};
    size_t len;

    if (!idn_to_ascii(domain, &scratch, &domain)) {
        return STR_EMPTY;
    }
    if (local.len > ADDRESS_LOCAL_BYTES_MAX || domain.len > ADDRESS_DOMAIN_BYTES_MAX) {
        return STR_EMPTY;
    }
    len = unquote(local, at);
    if (len == 0) {
        for (; len < local.len; len++) {
            at[len] = byte_lower(local.ptr[len]);
        }
    }
    if (domain.len > 0) {
        at[len++] = '@';
    }
    for (size_t i = 0; i < domain.len; i++) {
        at[len++] = byte_lower(domain.ptr[i]);
    }
    return str_make(at, len);
}

static struct str key_of_address(struct str address, char at[KEY_BYTES])
{
    return key_of(address_local(address), address_domain(address), at);
}

bool directory_is_local(const struct directory *d, struct str domain)
{
    char at[KEY_BYTES];
    struct str key = key_of(STR_EMPTY, domain, at);

    return key.len > 1 && map_get(&d->domains, str_skip(key, 1)) != NULL;
}

static bool is_reserved(struct str key)
{
    static const struct str names[] = {STR_INIT("postmaster"), STR_INIT("abuse"), STR_INIT("root"),
                                       STR_INIT("mailer-daemon")};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_eq(key, names[i])) {
            return true;
        }
    }
    return false;
}

/* The same key without its tag; empty when it has none. */
static struct str untagged(const struct directory *d, struct str key, char at[KEY_BYTES])
{
    size_t domain = str_rfind(key, '@');
    struct str local = domain == STR_NONE ? key : str_head(key, domain);

    /* The quotes that are left in a key are needed: what is in them has no structure of ours. */
    for (size_t i = 1; i < local.len && local.ptr[0] != '"'; i++) {
        if (str_find(d->delimiters, local.ptr[i]) != STR_NONE) {
            struct str rest = str_skip(key, local.len);

            memcpy(at, local.ptr, i);
            memcpy(at + i, rest.ptr, rest.len);
            return str_make(at, i + rest.len);
        }
    }
    return STR_EMPTY;
}

/* `key` has a domain, `name` has none. */
static struct str_list step_of(const struct directory *d, struct str key, struct str name)
{
    const struct alias *alias = map_get(&d->aliases, key);

    if (alias == NULL) {
        alias = map_get(&d->aliases, name);
    }
    if (alias != NULL) {
        return alias->targets;
    }
    if (is_reserved(name) && d->postmaster.len > 0 && map_get(&d->recipients, key) == NULL &&
        !str_eq(key, d->postmaster_key)) {
        return (struct str_list){&d->postmaster, 1};
    }
    return (struct str_list){NULL, 0};
}

/* What an address stands for, one step; count 0: for itself. */
static struct str_list step(const struct directory *d, struct str address)
{
    char at[KEY_BYTES], name_at[KEY_BYTES], short_at[KEY_BYTES], short_name_at[KEY_BYTES];
    struct str key = key_of_address(address, at);
    struct str name = key_of(address_local(address), STR_EMPTY, name_at);
    struct str_list targets = {NULL, 0};

    if (key.len == 0 || !directory_is_local(d, address_domain(address))) {
        return targets;
    }
    targets = step_of(d, key, name);
    if (targets.count == 0 && map_get(&d->recipients, key) == NULL &&
        !str_eq(key, d->postmaster_key)) {
        struct str short_key = untagged(d, key, short_at);

        if (short_key.len > 0) {
            targets = step_of(d, short_key, untagged(d, name, short_name_at));
        }
    }
    return targets;
}

static bool is_known(const struct directory *d, struct str key)
{
    size_t domain = str_rfind(key, '@');

    return !d->recipients_given || str_eq(key, d->postmaster_key) ||
           map_get(&d->recipients, key) != NULL ||
           (domain != STR_NONE && map_get(&d->recipients, str_skip(key, domain)) != NULL);
}

struct expansion {
    const struct directory *d;
    struct arena *a;
    struct str *items;
    size_t count, size;
    const char *failure; /* NULL: none */
};

static void expansion_put(struct expansion *x, struct str address)
{
    for (size_t i = 0; i < x->count; i++) {
        if (address_eq(x->items[i], address)) {
            return;
        }
    }
    if (x->count == DIRECTORY_EXPANSION_MAX) {
        x->failure = "stands for too many addresses";
        return;
    }
    if (x->count == x->size) {
        size_t size = x->size == 0 ? 4 : x->size * 4;
        struct str *items = arena_array(x->a, size, sizeof *items);

        if (x->count > 0) {
            memcpy(items, x->items, x->count * sizeof *items);
        }
        x->items = items;
        x->size = size;
    }
    x->items[x->count++] = address;
}

static void expand(struct expansion *x, struct str address, unsigned depth)
{
    struct str_list targets = step(x->d, address);

    if (targets.count == 0) {
        expansion_put(x, address);
        return;
    }
    if (depth == DIRECTORY_DEPTH_MAX) {
        x->failure = "leads back to itself, or is more than 10 deep";
        return;
    }
    for (size_t i = 0; i < targets.count && x->failure == NULL; i++) {
        struct str to = targets.items[i];

        if (is_bare(to)) {
            struct str domain = address_domain(address);

            to = arena_printf(x->a, "%.*s@%.*s", STR_ARG(to), STR_ARG(domain));
        }
        expand(x, to, depth + 1);
    }
}

enum directory_answer directory_ask(const struct directory *d, struct str address, struct arena *a,
                                    struct str_list *ret)
{
    struct expansion x = {.d = d, .a = a};
    char at[KEY_BYTES], short_at[KEY_BYTES];

    if (str_eq_nocase(address, STR("postmaster"))) {
        if (d->postmaster.len == 0) {
            return DIRECTORY_UNKNOWN;
        }
        address = d->domain_count == 0
                      ? d->postmaster
                      : arena_printf(a, "postmaster@%.*s", STR_ARG(d->domain_list[0]));
    } else if (step(d, address).count == 0) {
        struct str key = key_of_address(address, at);
        struct str short_key = untagged(d, key, short_at);

        return is_known(d, key) || (short_key.len > 0 && is_known(d, short_key))
                   ? DIRECTORY_ITSELF
                   : DIRECTORY_UNKNOWN;
    }
    expand(&x, address, 0);
    if (x.failure != NULL) {
        return DIRECTORY_UNKNOWN;
    }
    *ret = (struct str_list){x.items, x.count};
    return DIRECTORY_STANDS;
}

/* From here on: building. */

struct build {
    struct directory *d;
    struct faults *faults;
};

static void add_alias(void *ctx, const struct alias_line *line)
{
    struct build *b = ctx;
    struct directory *d = b->d;
    char at[KEY_BYTES];
    struct str key = key_of_address(line->name, at);

    if (is_bare(line->name)) {
        key = key_of(line->name, STR_EMPTY, at);
    } else if (!directory_is_local(d, address_domain(line->name))) {
        fault_error(b->faults, line->at, "%.*s is in no local domain, so nobody would ask for it",
                    STR_ARG(line->name));
        return;
    }
    const struct alias *before = map_get(&d->aliases, key);

    if (before != NULL) {
        fault_error(b->faults, line->at, "%.*s has an alias already, on line %u",
                    STR_ARG(line->name), before->at.line);
        return;
    }
    struct alias *alias = ARENA_NEW(&d->arena, struct alias);
    struct str *items = arena_array(&d->arena, line->target_count, sizeof *items);

    for (size_t i = 0; i < line->target_count; i++) {
        items[i] = arena_dup(&d->arena, line->targets[i]);
    }
    alias->key = arena_dup(&d->arena, key);
    alias->targets = (struct str_list){items, line->target_count};
    alias->at = line->at;
    alias->at.file = arena_dup(&d->arena, line->at.file);
    map_put(&d->aliases, alias->key, alias);
    *d->last = alias;
    d->last = &alias->next;
}

static void add_recipient(void *ctx, struct str address, struct position at)
{
    struct build *b = ctx;
    char key_at[KEY_BYTES];
    struct str key = key_of_address(address, key_at);
    struct str *kept;

    if (!directory_is_local(b->d, address_domain(address))) {
        fault_warn(b->faults, at, "%.*s is in no local domain", STR_ARG(address));
    }
    kept = ARENA_NEW(&b->d->arena, struct str);
    *kept = arena_dup(&b->d->arena, key);
    map_put(&b->d->recipients, *kept, kept);
}

static void check_chain(struct build *b, const struct alias *alias, struct str address)
{
    struct arena scratch ARENA_LOCAL = {0};
    struct expansion x = {.d = b->d, .a = &scratch};

    expand(&x, address, 0);
    if (x.failure != NULL) {
        fault_error(b->faults, alias->at, "alias %.*s %s", STR_ARG(address), x.failure);
        return;
    }
    for (size_t i = 0; i < x.count; i++) {
        struct str_list ignored;

        if (directory_is_local(b->d, address_domain(x.items[i])) &&
            directory_ask(b->d, x.items[i], &scratch, &ignored) == DIRECTORY_UNKNOWN) {
            fault_warn(b->faults, alias->at,
                       "alias %.*s leads to %.*s, which is no local recipient", STR_ARG(alias->key),
                       STR_ARG(x.items[i]));
        }
    }
}

static void check_chain_in(struct build *b, const struct alias *alias, struct str domain)
{
    struct arena scratch ARENA_LOCAL = {0};

    check_chain(b, alias,
                arena_printf(&scratch, "%.*s@%.*s", STR_ARG(alias->key), STR_ARG(domain)));
}

/* Every chain, in each domain in which it may differ: those that have aliases of their own, and one
 * that has none. */
static void check_chains(struct build *b)
{
    const struct directory *d = b->d;
    struct map own = {0};
    struct str plain = STR_EMPTY;

    for (const struct alias *alias = d->first; alias != NULL; alias = alias->next) {
        if (!is_bare(alias->key)) {
            struct str name = address_domain(alias->key);

            map_put(&own, name, map_get(&d->domains, name));
        }
    }
    for (size_t i = 0; i < d->domain_count && plain.len == 0; i++) {
        plain = map_get(&own, d->domain_list[i]) == NULL ? d->domain_list[i] : STR_EMPTY;
    }
    for (const struct alias *alias = d->first; alias != NULL; alias = alias->next) {
        size_t errors = b->faults->errors;

        if (!is_bare(alias->key)) {
            check_chain(b, alias, alias->key);
            continue;
        }
        if (plain.len > 0) {
            check_chain_in(b, alias, plain);
        }
        for (size_t i = 0; i < d->domain_count && b->faults->errors == errors; i++) {
            if (map_get(&own, d->domain_list[i]) != NULL) {
                check_chain_in(b, alias, d->domain_list[i]);
            }
        }
    }
    map_done(&own);
}

static void add_domains(struct directory *d, const struct server_settings *settings)
{
    d->domain_count = settings->local_domains.count;
    d->domain_list = arena_array(&d->arena, d->domain_count, sizeof *d->domain_list);
    for (size_t i = 0; i < d->domain_count; i++) {
        d->domain_list[i] = arena_dup(&d->arena, settings->local_domains.items[i]);
        map_put(&d->domains, d->domain_list[i], &d->domain_list[i]);
    }
}

static struct directory *build(const struct server_settings *settings,
                               const struct directory_text *text, struct str aliases_name,
                               struct str recipients_name, struct faults *faults)
{
    struct directory *d = MEM_NEW(struct directory);
    struct build b = {d, faults};
    size_t errors = faults->errors;

    atomic_init(&d->references, 1);
    d->last = &d->first;
    char at[KEY_BYTES];

    add_domains(d, settings);
    d->delimiters = arena_dup(&d->arena, settings->recipient_delimiter);
    d->postmaster = arena_dup(&d->arena, settings->postmaster);
    d->postmaster_key = arena_dup(&d->arena, key_of_address(d->postmaster, at));
    d->recipients_given = text->recipients_given;
    recipients_read(recipients_name, text->recipients, add_recipient, &b, faults);
    aliases_read(aliases_name, text->aliases, add_alias, &b, faults);
    if (faults->errors == errors) {
        check_chains(&b);
    }
    if (faults->errors > errors) {
        directory_drop(d);
        return NULL;
    }
    return d;
}

struct directory *directory_build(const struct server_settings *settings,
                                  const struct directory_text *text, struct faults *faults)
{
    return build(settings, text, STR("aliases"), STR("local-recipients"), faults);
}

struct directory *directory_load(const struct server_settings *settings, bool may_miss,
                                 struct faults *faults)
{
    struct arena scratch ARENA_LOCAL = {0};
    struct directory_text text = {.recipients_given = settings->local_recipients.len > 0};
    bool good = directory_file_read(settings->aliases, may_miss, &scratch, &text.aliases, faults);

    good = directory_file_read(settings->local_recipients, may_miss, &scratch, &text.recipients,
                               faults) &&
           good;
    return good ? build(settings, &text, settings->aliases, settings->local_recipients, faults)
                : NULL;
}

struct directory *directory_share(struct directory *d)
{
    atomic_fetch_add_explicit(&d->references, 1, memory_order_relaxed);
    return d;
}

void directory_drop(struct directory *d)
{
    if (d == NULL || atomic_fetch_sub_explicit(&d->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    map_done(&d->domains);
    map_done(&d->aliases);
    map_done(&d->recipients);
    arena_done(&d->arena);
    mem_free(d);
}
