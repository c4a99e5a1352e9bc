/* The variables of `enable`, with their values. */
#include "base/check.h"
#include "hooks/chain.h"

static const char *const stage_words[] = {"connect", "ehlo",     "auth",  "mail", "rcpt", "data",
                                          "route",   "delivery", "defer", "dsn",  NULL};

enum variable {
#define VARIABLE(name, type, words) VARIABLE_##name,
#include "hooks/variables.def"
#undef VARIABLE
    VARIABLE_COUNT
};

static const struct expr_variable variables[] = {
#define VARIABLE(name, type, words) {#name, EXPR_##type, VARIABLE_##name, false, words},
#include "hooks/variables.def"
#undef VARIABLE
};

_Static_assert((int)VARIABLE_COUNT <= (int)EXPR_VARIABLES_MAX, "ids are bits of one number");

void enable_scope(const struct expr_services *services, struct expr_scope *ret)
{
    *ret = (struct expr_scope){.place = "enable",
                               .variables = variables,
                               .variable_count = VARIABLE_COUNT,
                               .present = (1ULL << VARIABLE_COUNT) - 1,
                               .services = services};
}

struct reading {
    const struct enable_facts *facts;
    struct arena *arena;
};

static struct value lower(struct arena *a, struct str s)
{
    char *bytes = arena_alloc(a, s.len + 1);

    for (size_t i = 0; i < s.len; i++) {
        bytes[i] = byte_lower(s.ptr[i]);
    }
    return value_text(str_make(bytes, s.len));
}

static struct value recipients(const struct hook_view *v, struct arena *a)
{
    uint32_t count = v->to_count < VALUE_LIST_MAX ? v->to_count : VALUE_LIST_MAX;
    struct value *list = arena_array(a, count + 1, sizeof *list);

    for (uint32_t i = 0; i < count; i++) {
        list[i] = lower(a, v->to[i].address);
    }
    return value_list(list, count);
}

static struct str recipient(const struct hook_view *v)
{
    return v->to_count == 0        ? STR_EMPTY
           : v->stage == HOOK_RCPT ? v->to[v->to_count - 1].address
                                   : v->to[0].address;
}

static struct value address(const struct addr *ip, struct arena *a)
{
    char at[ADDR_BYTES];

    return value_text(arena_dup(a, addr_print_ip(ip, at)));
}

static struct value get(void *ctx, unsigned id)
{
    const struct reading *r = ctx;
    const struct hook_view *v = r->facts->view;

    switch ((enum variable)id) {
    case VARIABLE_sender:
        return lower(r->arena, v->sender);
    case VARIABLE_sender_domain:
        return lower(r->arena, address_domain(v->sender));
    case VARIABLE_rcpt:
        return lower(r->arena, recipient(v));
    case VARIABLE_rcpt_domain:
        return lower(r->arena, address_domain(recipient(v)));
    case VARIABLE_recipients:
        return recipients(v, r->arena);
    case VARIABLE_remote_ip:
        return address(&v->client.addr, r->arena);
    case VARIABLE_local_ip:
        return address(&v->server, r->arena);
    case VARIABLE_local_port:
        return value_int(v->server.port);
    case VARIABLE_listener:
        return value_text(v->listener);
    case VARIABLE_is_tls:
        return value_bool(v->tls.active);
    case VARIABLE_authenticated_as:
        return value_text(v->login);
    case VARIABLE_helo_domain:
        return value_text(v->client.helo);
    case VARIABLE_is_trusted:
        return value_bool(r->facts->is_trusted);
    case VARIABLE_size:
        return value_int(v->message_bytes > INT64_MAX ? INT64_MAX : (int64_t)v->message_bytes);
    case VARIABLE_stage:
        return value_text(hook_stage_name(v->stage));
    case VARIABLE_COUNT:
        break;
    }
    never("a variable that is not in the table");
}

bool enable_is_true(const struct chain *c, const struct program *p,
                    const struct enable_facts *facts, struct arena *a, bool *ret, const char **why)
{
    struct reading reading = {facts, a};
    struct captures captures = {0};
    struct expr_input input = {get, &reading, &c->services, &captures};
    struct expr_result r;

    if (expr_eval(p, &input, NULL, a, &r) != EXPR_VALUE) {
        *why = r.why;
        return false;
    }
    *ret = value_truth(&r.value);
    return true;
}
