#include "inbound/policy.h"

#include "base/mem.h"
#include "config/config.h"
#include "hooks/chain.h"
#include "strategy/strategy.h"
#include "tls/tls.h"

static bool load_tls(struct policy *p, struct faults *faults)
{
    const struct server_settings *s = p->settings;
    struct buf why BUF_LOCAL = {0};
    struct position at;

    if (str_is_empty(s->tls_certificate)) {
        return true;
    }
    if (tls_server_load(s->tls_certificate, s->tls_key, &p->tls, &why).code == OK) {
        return true;
    }
    (void)config_where(p->config, s, "tls.certificate", &at);
    fault_error(faults, at, "%.*s", STR_ARG(buf_str(&why)));
    return false;
}

struct policy *policy_load(const struct policy_source *source, struct faults *faults)
{
    struct policy *p = MEM_NEW(struct policy);
    struct chain_source chain = {.config = source->config, .expr = source->expr};

    atomic_init(&p->references, 1);
    p->config = config_take(source->config);
    p->plan = source->plan;
    p->settings = config_settings(p->config, &server_table);
    chain.message_bytes_max = p->settings->message_bytes_max;
    p->hostname = p->settings->hostname.len > 0 ? p->settings->hostname
                                                : arena_dup(&p->arena, source->system_hostname);
    p->memory_bytes = p->settings->memory_bytes > 0 ? p->settings->memory_bytes
                                                    : source->memory_bytes;
    p->directory = directory_load(p->settings, false, faults);
    chain.hostname = p->hostname;
    if (!load_tls(p, faults) || !chain_load(&chain, faults, &p->chain) || p->directory == NULL) {
        policy_drop(p);
        return NULL;
    }
    return p;
}

struct policy *policy_share(struct policy *p)
{
    atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
    return p;
}

void policy_drop(struct policy *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    plan_give(p->plan);
    directory_drop(p->directory);
    chain_drop(p->chain);
    tls_server_drop(p->tls);
    config_give(p->config);
    arena_done(&p->arena);
    mem_free(p);
}

bool policy_is_trusted(const struct policy *p, const struct addr *client)
{
    for (size_t i = 0; i < p->settings->trusted_networks.count; i++) {
        if (cidr_match(&p->settings->trusted_networks.items[i], client)) {
            return true;
        }
    }
    return false;
}

bool policy_rcpt(const struct policy *p, bool trusted, const struct path *to, struct arena *a,
                 struct str_list *ret, struct answer *why)
{
    struct str *itself;

    if (to->domain.len == 0 || directory_is_local(p->directory, to->domain)) {
        switch (directory_ask(p->directory, to->address, a, ret)) {
        case DIRECTORY_STANDS:
            return true;
        case DIRECTORY_UNKNOWN:
            answer_fixed(why, ANSWER_NO_USER);
            return false;
        case DIRECTORY_ITSELF:
            break;
        }
    } else if (!trusted && !p->settings->open_relay) {
        answer_fixed(why, ANSWER_RELAY_DENIED);
        return false;
    } else if (to->is_literal) {
        answer_fixed(why, ANSWER_LITERAL);
        return false;
    }
    itself = ARENA_NEW(a, struct str);
    *itself = to->address;
    *ret = (struct str_list){itself, 1};
    return true;
}
