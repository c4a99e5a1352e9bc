#include "strategy/visitors.h"

#include "base/check.h"
#include "strategy/plan.h"

enum variable {
#define VISITOR(name, type, class) VARIABLE_##name,
#include "strategy/visitors.def"
#undef VISITOR
    VARIABLE_COUNT
};

static const struct expr_variable variables[] = {
#define VISITOR(name, type, class) {#name, EXPR_##type, VARIABLE_##name, false, NULL},
#include "strategy/visitors.def"
#undef VISITOR
};

static const enum visitor_class classes[] = {
#define VISITOR(name, type, class) VISITOR_##class,
#include "strategy/visitors.def"
#undef VISITOR
};

_Static_assert((int)VARIABLE_COUNT <= (int)EXPR_VARIABLES_MAX, "ids are bits of one number");

#define WORD(name)                                                                                 \
    {                                                                                              \
#name, 0                                                                                   \
    }
static const struct count_word words[] = {
    WORD(listener), WORD(remote_ip),     WORD(local_ip), WORD(authenticated_as), WORD(helo_domain),
    WORD(sender),   WORD(sender_domain), WORD(rcpt),     WORD(rcpt_domain),
};
#undef WORD

_Static_assert(COUNT_OF(words) <= COUNT_KEYS_MAX, "each may be named once");

static const struct count_kind kind = {&visitor_limiter_table, words, COUNT_OF(words),
                                       "arriving mail"};

/* ---- compiling ---- */

static enum visitor_class class_of(const struct plan_count *by)
{
    uint64_t reads = count_reads(by);
    enum visitor_class class = VISITOR_CLIENTS;

    for (uint32_t i = 0; i < by->key_count; i++) {
        reads |= 1ULL << by->keys[i];
    }
    for (unsigned id = 0; id < VARIABLE_COUNT; id++) {
        if ((reads >> id) & 1 && classes[id] > class) {
            class = classes[id];
        }
    }
    return class;
}

static void add(struct plan_full *p, const struct config_object *o)
{
    struct plan_visitor_limiter *l = &p->plan.visitor_limiters[p->plan.visitor_limiter_count];
    const struct limiter_settings *set = o->settings;
    struct count_source from = {o->name, set, &set->key, &set->match};
    struct expr_scope scope = {.variables = variables,
                               .variable_count = VARIABLE_COUNT,
                               .present = (1ULL << VARIABLE_COUNT) - 1};
    bool each_domain = false, each_rcpt = false;

    if (!set->enable) {
        return;
    }
    p->plan.visitor_limiter_count++;
    *l = (struct plan_visitor_limiter){.name = o->name, .settings = set, .at = o->at};
    (void)plan_add_count(p, &kind, &from, &scope, &l->by);
    l->class = class_of(&l->by);
    for (uint32_t i = 0; i < l->by.key_count; i++) {
        each_domain |= l->by.keys[i] == VARIABLE_rcpt_domain;
        each_rcpt |= l->by.keys[i] == VARIABLE_rcpt;
    }
    l->is_once = each_domain && !each_rcpt;
    plan_check_limits(p, &visitor_limiter_table, o->name, o->at, set);
}

void plan_add_visitor_limiters(struct plan_full *p)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, &visitor_limiter_table, &count);

    p->plan.visitor_limiters = arena_array(&p->arena, count + 1, sizeof *p->plan.visitor_limiters);
    for (size_t i = 0; i < count; i++) {
        add(p, &objects[i]);
    }
}

/* ---- deciding ---- */

struct reading {
    const struct visitor *visitor;
    struct arena *arena;
    bool is_key;
};

static struct value lower(struct arena *a, struct str s)
{
    char *bytes = arena_alloc(a, s.len + 1);

    for (size_t i = 0; i < s.len; i++) {
        bytes[i] = byte_lower(s.ptr[i]);
    }
    return value_text(str_make(bytes, s.len));
}

static struct value address(const struct addr *ip, struct arena *a)
{
    char at[ADDR_BYTES];

    return value_text(arena_dup(a, addr_print_ip(ip, at)));
}

/* An IPv6 client counts by its network of /64, as for server.limits: it has all of it. */
static struct value remote(const struct reading *r)
{
    struct addr ip = r->visitor->remote;

    if (r->is_key && ip.family == 6) {
        memset(ip.ip + 8, 0, 8);
    }
    return address(&ip, r->arena);
}

static struct value get(void *ctx, unsigned id)
{
    const struct reading *r = ctx;
    const struct visitor *g = r->visitor;

    switch ((enum variable)id) {
    case VARIABLE_listener:
        return value_text(g->listener);
    case VARIABLE_remote_ip:
        return remote(r);
    case VARIABLE_remote_port:
        return value_int(g->remote.port);
    case VARIABLE_local_ip:
        return address(&g->local, r->arena);
    case VARIABLE_local_port:
        return value_int(g->local.port);
    case VARIABLE_is_trusted:
        return value_bool(g->is_trusted);
    case VARIABLE_is_tls:
        return value_bool(g->is_tls);
    case VARIABLE_helo_domain:
        return lower(r->arena, g->helo);
    case VARIABLE_authenticated_as:
        return value_text(g->authenticated_as);
    case VARIABLE_sender:
        return lower(r->arena, g->sender);
    case VARIABLE_sender_domain:
        return lower(r->arena, address_domain(g->sender));
    case VARIABLE_priority:
        return value_int(g->priority);
    case VARIABLE_rcpt:
        return lower(r->arena, g->rcpt);
    case VARIABLE_rcpt_domain:
        return lower(r->arena, address_domain(g->rcpt));
    case VARIABLE_COUNT:
        break;
    }
    never("a variable that is not in the table");
}

uint32_t decide_visitor(const struct plan *p, enum visitor_class class, const struct visitor *g,
                        struct arena *a, struct visitor_use *ret, struct str *failed)
{
    struct reading reading = {g, a, false}, key = {g, a, true};
    struct counting about = {get, &reading, a}, by = {get, &key, a};
    uint32_t count = 0;

    *failed = STR_EMPTY;
    for (uint32_t i = 0; i < p->visitor_limiter_count; i++) {
        const struct plan_visitor_limiter *l = &p->visitor_limiters[i];

        if (l->class != class) {
            continue;
        }
        switch (count_matches(p, &l->by, &about)) {
        case COUNT_YES:
            ret[count++] = (struct visitor_use){l, count_values(&l->by, &by)};
            break;
        case COUNT_UNKNOWN:
            *failed = l->name;
            break;
        case COUNT_NO:
            break;
        }
    }
    return count;
}
