#include "strategy/ask.h"

#include "base/check.h"
#include "dns/dns.h"

static const struct {
    enum expr_lookup_kind kind;
    enum lookup_verb verb;
} verbs[] = {
    {EXPR_LOOKUP_key_get, LOOKUP_GET},
    {EXPR_LOOKUP_key_exists, LOOKUP_EXISTS},
    {EXPR_LOOKUP_key_set, LOOKUP_SET},
    {EXPR_LOOKUP_counter_get, LOOKUP_COUNTER},
    {EXPR_LOOKUP_counter_incr, LOOKUP_COUNTER_INCR},
    {EXPR_LOOKUP_sql_query, LOOKUP_SQL},
};

bool ask_verb(enum expr_lookup_kind kind, enum lookup_verb *ret)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (verbs[i].kind == kind) {
            *ret = verbs[i].verb;
            return true;
        }
    }
    return false;
}

unsigned ask_offers(void)
{
    unsigned bits = EXPR_LOOKUP_BIT(EXPR_LOOKUP_dns_query);

    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        bits |= EXPR_LOOKUP_BIT(verbs[i].kind);
    }
    return bits;
}

struct str ask_store(struct str given)
{
    return given.len == 0 || str_eq(given, STR("*")) ? STR("default") : given;
}

/* What came of performing one look-up. */
struct performed {
    struct value value;
    struct err err;
    struct str why;
};

static struct err fail(struct performed *p, struct err e, struct str why)
{
    p->err = e;
    p->why = why;
    return e;
}

/* ---- the domain name system ---- */

static struct value texts(struct arena *a, const struct str *at, size_t count)
{
    struct value *list = arena_array(a, count + 1, sizeof *list);

    for (size_t i = 0; i < count; i++) {
        list[i] = value_text(at[i]);
    }
    return value_list(list, count);
}

static struct err ask_dns_hosts(struct dns *d, struct str name, enum dns_order order,
                                struct arena *a, struct performed *ret, struct when by)
{
    struct dns_host found = {0};
    struct err e = dns_host(d, name, order, 0, true, a, &found, by);
    struct str *at;

    if (e.code != OK) {
        return fail(ret, e, STR_EMPTY);
    }
    if (found.kind == DNS_HOST_FAILED) {
        return fail(ret, err_of(ERR_DNS), found.why);
    }
    at = arena_array(a, found.count + 1, sizeof *at);
    for (size_t i = 0; i < found.count; i++) {
        char text[ADDR_BYTES];

        at[i] = arena_dup(a, addr_print_ip(&found.addrs[i], text));
    }
    ret->value = texts(a, at, found.kind == DNS_HOST_FOUND ? found.count : 0);
    return ERR_OK;
}

static struct err ask_dns_mx(struct dns *d, struct str name, struct arena *a, struct performed *ret,
                             struct when by)
{
    struct dns_mx found = {0};
    struct err e = dns_mx(d, name, 0, a, &found, by);
    struct str *at;

    if (e.code != OK) {
        return fail(ret, e, STR_EMPTY);
    }
    if (found.kind == DNS_MX_FAILED) {
        return fail(ret, err_of(ERR_DNS), found.why);
    }
    at = arena_array(a, found.count + 1, sizeof *at);
    for (size_t i = 0; i < found.count; i++) {
        at[i] = found.hosts[i].name;
    }
    ret->value = texts(a, at, found.kind == DNS_MX_HOSTS ? found.count : 0);
    return ERR_OK;
}

static struct err ask_dns_records(struct dns *d, struct str name, enum dns_type type,
                                  struct arena *a, struct performed *ret, struct when by)
{
    struct dns_answer found = {0};
    struct err e = dns_ask(d, name, type, a, &found, by);
    struct buf all BUF_LOCAL = {0};
    struct str *at;

    if (e.code != OK) {
        return fail(ret, e, STR_EMPTY);
    }
    if (found.result == DNS_FAILED || found.result == DNS_BOGUS) {
        return fail(ret, err_of(ERR_DNS), found.why);
    }
    at = arena_array(a, found.count + 1, sizeof *at);
    for (size_t i = 0; i < found.count; i++) {
        at[i] = found.records[i].name;
        buf_put(&all, found.records[i].bytes);
    }
    if (type == DNS_TXT) { /* one text, all records joined */
        at[0] = arena_dup(a, str_head(buf_str(&all), VALUE_TEXT_BYTES_MAX));
        found.count = found.count > 0 ? 1 : 0;
    }
    ret->value = texts(a, at, found.count);
    return ERR_OK;
}

/* A name that does not exist is an empty list: so lists of blocked names can be asked. */
static struct err ask_dns(struct dns *d, const struct expr_lookup *l, struct arena *a,
                          struct performed *ret, struct when by)
{
    struct str name = l->args[0].text, what = l->args[1].text;
    struct addr ip;

    if (d == NULL) {
        return fail(ret, err_of(ERR_CONFIG), STR("names are not looked up here"));
    }
    if (str_eq(what, STR("ip"))) {
        return ask_dns_hosts(d, name, DNS_IPV4_FIRST, a, ret, by);
    }
    if (str_eq(what, STR("ipv4"))) {
        return ask_dns_hosts(d, name, DNS_IPV4_ONLY, a, ret, by);
    }
    if (str_eq(what, STR("ipv6"))) {
        return ask_dns_hosts(d, name, DNS_IPV6_ONLY, a, ret, by);
    }
    if (str_eq(what, STR("mx"))) {
        return ask_dns_mx(d, name, a, ret, by);
    }
    if (str_eq(what, STR("txt"))) {
        return ask_dns_records(d, name, DNS_TXT, a, ret, by);
    }
    if (str_eq(what, STR("ptr"))) {
        return ask_dns_records(d, addr_parse_ip(name, &ip) ? dns_reverse(ip, a) : name, DNS_PTR, a,
                               ret, by);
    }
    return fail(ret, err_of(ERR_SYNTAX), STR("it asks for: ip, ipv4, ipv6, mx, txt or ptr"));
}

/* ---- stores ---- */

static struct value value_of(const struct lookup_cell *c)
{
    switch (c->type) {
    case LOOKUP_TEXT:
        return value_text(c->text);
    case LOOKUP_INT:
        return value_int(c->num);
    case LOOKUP_REAL:
        return value_real(c->real);
    }
    never("all types were named");
}

static bool is_too_long(const struct lookup_answer *n)
{
    for (size_t i = 0; i < n->rows * n->columns; i++) {
        if (n->cells[i].type == LOOKUP_TEXT && n->cells[i].text.len > VALUE_TEXT_BYTES_MAX) {
            return true;
        }
    }
    return false;
}

/* Nothing is the empty text, one value is itself, one row a list, several a list of lists. */
static struct value value_of_rows(const struct lookup_answer *n, struct arena *a)
{
    struct value *cells = arena_array(a, n->rows * n->columns + 1, sizeof *cells);
    struct value *rows = arena_array(a, n->rows + 1, sizeof *rows);

    if (n->rows == 0 || n->columns == 0) {
        return value_text(STR_EMPTY);
    }
    for (size_t i = 0; i < n->rows * n->columns; i++) {
        cells[i] = value_of(&n->cells[i]);
    }
    if (n->rows == 1) {
        return n->columns == 1 ? cells[0] : value_list(cells, n->columns);
    }
    for (size_t i = 0; i < n->rows; i++) {
        rows[i] = n->columns == 1 ? cells[i] : value_list(&cells[i * n->columns], n->columns);
    }
    return value_list(rows, n->rows);
}

static struct lookup_cell cell_of(const struct value *v, struct arena *a)
{
    struct allowance w = work_of(a);
    struct lookup_cell c = {.type = LOOKUP_TEXT, .text = STR_EMPTY};

    if (v->type == VALUE_INT) {
        c = (struct lookup_cell){.type = LOOKUP_INT, .text = STR_EMPTY, .num = v->num};
    } else if (v->type == VALUE_REAL) {
        c = (struct lookup_cell){.type = LOOKUP_REAL, .text = STR_EMPTY, .real = v->real};
    } else if (!value_to_text(&w, v, &c.text)) {
        c.text = STR_EMPTY; /* a list too long to be text */
    }
    return c;
}

static bool parameters(const struct expr_lookup *l, struct lookup_question *q, struct arena *a)
{
    const struct value *v = &l->args[2];
    size_t count = v->type == VALUE_LIST ? v->list.count : 1;
    struct lookup_cell *args;

    if (count > LOOKUP_ARGS_MAX) {
        return false;
    }
    args = arena_array(a, count + 1, sizeof *args);
    for (size_t i = 0; i < count; i++) {
        args[i] = cell_of(v->type == VALUE_LIST ? &v->list.at[i] : v, a);
    }
    q->args = args;
    q->arg_count = count;
    return true;
}

static struct err ask_store_for(struct lookups *stores, const struct expr_lookup *l,
                                enum lookup_verb verb, struct arena *a, struct performed *ret,
                                struct when by)
{
    struct lookup_question q = {.store = ask_store(l->args[0].text),
                                .verb = verb,
                                .key = l->args[1].text,
                                .value = STR_EMPTY};
    struct lookup_answer n = {.why = STR_EMPTY};
    struct err e;

    if (stores == NULL) {
        return fail(ret, err_of(ERR_CONFIG), STR("stores are not asked here"));
    }
    if (verb == LOOKUP_SET) {
        q.value = l->args[2].text;
    } else if (verb == LOOKUP_COUNTER_INCR) {
        q.by = l->args[2].num;
    } else if (verb == LOOKUP_SQL && l->arg_count > 2 && !parameters(l, &q, a)) {
        return fail(ret, err_of(ERR_LIMIT), STR("the statement has too many parameters"));
    }
    e = lookup_ask(stores, &q, a, &n, by);
    if (e.code != OK) {
        return fail(ret, e, n.why);
    }
    if (is_too_long(&n)) {
        return fail(ret, err_of(ERR_LIMIT), STR("the answer is too long"));
    }
    ret->value = value_of_rows(&n, a);
    return ERR_OK;
}

bool ask_perform(struct asking *k, const struct expr_lookup *lookup, struct when by)
{
    static const struct asker nobody;
    const struct asker *asker = k->asker != NULL ? k->asker : &nobody;
    struct performed p = {.value = value_text(STR_EMPTY), .why = STR_EMPTY};
    struct arena a ARENA_LOCAL = {0};
    enum lookup_verb verb;
    struct err e;

    if (ask_verb(lookup->kind, &verb)) {
        e = ask_store_for(asker->lookups, lookup, verb, &a, &p, by);
    } else if (lookup->kind == EXPR_LOOKUP_dns_query) {
        e = ask_dns(asker->dns, lookup, &a, &p, by);
    } else {
        e = fail(&p, err_of(ERR_CONFIG), STR("it is not asked here"));
    }
    if (e.code == ERR_CANCELLED && fiber_is_cancelled()) {
        k->is_cancelled = true;
        return false;
    }
    return e.code == OK ? expr_answers_add(&k->answers, k->arena, lookup, &p.value, ERR_OK)
                        : expr_answers_add_failed(&k->answers, k->arena, lookup, e, p.why);
}

/* ---- deciding ---- */

/* True: decide again. */
static bool go_on(struct asking *k, struct arena *a, struct decision *d, struct when by)
{
    if (d->status != DECISION_NEEDS) {
        return false;
    }
    if (ask_perform(k, &d->lookup, by)) {
        return true;
    }
    d->status = DECISION_FAILED;
    d->why = k->is_cancelled ? STR("a look-up was given up")
                             : arena_printf(a, "more than %d look-ups", EXPR_ANSWERS_MAX);
    return false;
}

const struct schedule *ask_schedule(const struct plan *p, struct subject *s, struct asking *k,
                                    struct arena *a, struct decision *ret, struct when by)
{
    const struct schedule *chosen;

    s->answers = &k->answers;
    do {
        chosen = decide_schedule(p, s, a, ret);
    } while (go_on(k, a, ret, by));
    return chosen == NULL && !k->is_cancelled ? decide_fallback(p, ret) : chosen;
}

const struct plan_route *ask_route(const struct plan *p, struct subject *s, struct asking *k,
                                   struct arena *a, struct decision *ret, struct when by)
{
    const struct plan_route *chosen;

    s->answers = &k->answers;
    do {
        chosen = decide_route(p, s, a, ret);
    } while (go_on(k, a, ret, by));
    return chosen;
}

const struct plan_connection *ask_connection(const struct plan *p, struct subject *s,
                                             struct asking *k, struct arena *a,
                                             struct decision *ret, struct when by)
{
    const struct plan_connection *chosen;

    s->answers = &k->answers;
    do {
        chosen = decide_connection(p, s, a, ret);
    } while (go_on(k, a, ret, by));
    return chosen;
}

const struct plan_tls *ask_tls(const struct plan *p, struct subject *s, struct asking *k,
                               struct arena *a, struct decision *ret, struct when by)
{
    const struct plan_tls *chosen;

    s->answers = &k->answers;
    do {
        chosen = decide_tls(p, s, a, ret);
    } while (go_on(k, a, ret, by));
    return chosen;
}
