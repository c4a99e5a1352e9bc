#include "cli/snapshot.h"

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "dns/idn.h"
#include "mail/envelope.h"
#include "runtime/interfaces.h"
#include "strategy/ask.h"
#include "tls/digest.h"

#include <unistd.h>

enum { HOSTNAME_BYTES_MAX = 256 };

/* What the strategies of one plan may ask. */
struct services {
    struct map domains;          /* keys are views into the configuration, which the plan keeps */
    struct directory *directory; /* NULL while the plan is made; it asks nothing then */
    struct strategy_services strategy;
    struct arena arena;
    struct addr *mine; /* this machine's addresses at that time */
    size_t mine_count; /* 0: the system does not tell */
};

struct str system_hostname(void)
{
    static char name[HOSTNAME_BYTES_MAX];

    if (name[0] == 0 && (gethostname(name, sizeof name - 1) != 0 || name[0] == 0)) {
        return STR("localhost");
    }
    return str_of(name);
}

static enum expr_local is_local_domain(void *ctx, struct str directory, struct str domain)
{
    struct services *s = ctx;
    struct arena scratch ARENA_LOCAL = {0};
    struct str lower;
    char bytes[HOSTNAME_BYTES_MAX];

    (void)directory; /* there is one: server.local-domains */
    if (!idn_to_ascii(domain, &scratch, &domain) || domain.len > sizeof bytes) {
        return EXPR_LOCAL_NO;
    }
    for (size_t i = 0; i < domain.len; i++) {
        bytes[i] = byte_lower(domain.ptr[i]);
    }
    lower = (struct str){bytes, domain.len};
    return map_get(&s->domains, lower) != NULL ? EXPR_LOCAL_YES : EXPR_LOCAL_NO;
}

static enum expr_local is_local_address(void *ctx, struct str directory, struct str address)
{
    struct services *s = ctx;
    struct arena scratch ARENA_LOCAL = {0};
    struct str_list stands_for;

    (void)directory;
    must(s->directory != NULL);
    return directory_is_local(s->directory, address_domain(address)) &&
                   directory_ask(s->directory, address, &scratch, &stands_for) != DIRECTORY_UNKNOWN
               ? EXPR_LOCAL_YES
               : EXPR_LOCAL_NO;
}

static size_t digest(void *ctx, struct str algorithm, struct str bytes, uint8_t out[64])
{
    (void)ctx;
    return digest_of(algorithm, bytes, out);
}

/* All of 127.0.0.0/8 is ours, though only one of it is listed. */
static bool is_own_address(void *ctx, const struct addr *a)
{
    const struct services *s = ctx;

    for (size_t i = 0; i < s->mine_count; i++) {
        if (addr_eq_ip(&s->mine[i], a)) {
            return true;
        }
    }
    return s->mine_count == 0 || addr_is_loopback(a);
}

static bool is_program(void *ctx, struct str path)
{
    struct arena scratch ARENA_LOCAL = {0};

    (void)ctx;
    return access(arena_z(&scratch, path), X_OK) == 0;
}

static void services_free(void *ctx)
{
    struct services *s = ctx;

    directory_drop(s->directory);
    map_done(&s->domains);
    arena_done(&s->arena);
    mem_free(s);
}

static struct services *services_new(const struct server_settings *server)
{
    struct services *s = MEM_NEW(struct services);

    for (size_t i = 0; i < server->local_domains.count; i++) {
        map_put(&s->domains, server->local_domains.items[i], s);
    }
    s->strategy.expr.ctx = s;
    s->strategy.expr.is_local_domain = is_local_domain;
    s->strategy.expr.is_local_address = is_local_address;
    s->strategy.expr.digest = digest;
    s->strategy.expr.lookups = ask_offers();
    s->strategy.has_local_domains = server->local_domains.count > 0;
    s->mine_count = interfaces_list(&s->arena, &s->mine);
    s->strategy.is_own_address = is_own_address;
    s->strategy.is_program = is_program;
    s->strategy.ended = services_free;
    s->strategy.ctx = s;
    s->strategy.hostname = server->hostname.len > 0 ? server->hostname : system_hostname();
    return s;
}

bool snapshot_load(const struct snapshot_source *source, struct faults *faults,
                   struct snapshot *ret)
{
    struct config_options options = {.tables = source->tables,
                                     .table_count = source->table_count,
                                     .number = source->number,
                                     .is_check = source->is_check};
    struct snapshot s = {0};
    struct services *services = NULL;
    struct policy_source policy = {.memory_bytes = source->memory_bytes,
                                   .system_hostname = system_hostname()};

    s.config = config_load(&options, source->path, faults);
    if (s.config != NULL) {
        const struct server_settings *server = config_settings(s.config, &server_table);

        services = services_new(server); /* without a plan it is gone again */
        s.plan = strategy_compile(s.config, &services->strategy, faults);
        policy.expr = &services->strategy.expr;
    }
    if (s.plan != NULL) {
        policy.config = s.config;
        policy.plan = plan_take(s.plan);
        s.policy = policy_load(&policy, faults);
    }
    if (s.policy == NULL) {
        snapshot_drop(&s);
        return false;
    }
    must(services != NULL);
    services->directory = directory_share(s.policy->directory);
    *ret = s;
    return true;
}

void snapshot_drop(struct snapshot *s)
{
    policy_drop(s->policy);
    plan_give(s->plan);
    config_give(s->config);
    *s = (struct snapshot){0};
}
