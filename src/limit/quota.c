#include "limit/quota.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"

enum { NO_RULE = UINT32_MAX };

/* What is used under one key. */
struct use {
    struct str key; /* rule's name, NUL, values; follows in memory */
    uint32_t rule;  /* NO_RULE: it is gone, and the map does not have it */
    uint64_t messages, bytes;
    uint64_t asked, asked_bytes; /* of the claim that is looked at */
};

struct part {
    struct use *use;
    uint32_t open; /* recipients it is still held for; whole: 1 until dropped; 0: not held */
};

/* What a message holds, in one piece: its parts follow, and behind them `of` (quota.h). */
struct held {
    uint64_t message, bytes, version;
    uint32_t part_count, to_count, width;
    struct part parts[];
};

struct quotas {
    struct quota_rule *rules; /* names are copies */
    struct quota_sum *sums;   /* one a rule; with its name */
    uint32_t rule_count;
    struct map uses;
    struct map messages; /* id to held */
    struct buf key;      /* that is looked for */
};

struct quotas *quotas_new(uint64_t seed)
{
    struct quotas *q = MEM_NEW(struct quotas);

    q->uses.seed = seed;
    return q;
}

/* ---- uses ---- */

static uint32_t rule_of(const struct quotas *q, struct str name)
{
    for (uint32_t i = 0; i < q->rule_count; i++) {
        if (str_eq(q->rules[i].name, name)) {
            return i;
        }
    }
    return NO_RULE;
}

/* NULL: there is no such rule. */
static struct use *find_or_make(struct quotas *q, const struct quota_part *p)
{
    uint32_t rule = rule_of(q, p->rule);
    struct use *u;
    struct str key;

    if (rule == NO_RULE) {
        return NULL;
    }
    buf_clear(&q->key);
    buf_put(&q->key, p->rule);
    buf_byte(&q->key, '\0');
    buf_put(&q->key, p->values);
    key = buf_str(&q->key);
    u = map_get(&q->uses, key);
    if (u == NULL) {
        char *bytes;

        u = mem_alloc(sizeof *u + key.len);
        bytes = (char *)(u + 1);
        memcpy(bytes, key.ptr, key.len);
        u->key = str_make(bytes, key.len);
        u->rule = rule;
        map_put(&q->uses, u->key, u);
        q->sums[rule].keys++;
    }
    return u;
}

static void forget_unused(struct quotas *q, struct use *u)
{
    if (u->messages > 0 || u->asked > 0) {
        return;
    }
    if (u->rule != NO_RULE) {
        map_take(&q->uses, u->key);
        q->sums[u->rule].keys--;
    }
    mem_free(u);
}

static void use_more(struct quotas *q, struct use *u, uint64_t bytes)
{
    u->messages++;
    u->bytes += bytes;
    q->sums[u->rule].messages++;
    q->sums[u->rule].bytes += bytes;
}

static void use_less(struct quotas *q, struct use *u, uint64_t bytes)
{
    must(u->messages > 0 && u->bytes >= bytes);
    u->messages--;
    u->bytes -= bytes;
    if (u->rule != NO_RULE) {
        q->sums[u->rule].messages--;
        q->sums[u->rule].bytes -= bytes;
    }
    forget_unused(q, u);
}

/* ---- taking ---- */

static bool is_within(uint64_t used, uint64_t asked, uint64_t max)
{
    uint64_t sum;

    return max == 0 || (!__builtin_add_overflow(used, asked, &sum) && sum <= max);
}

static bool has_room(const struct quotas *q, const struct use *u)
{
    const struct quota_rule *r = &q->rules[u->rule];

    return is_within(u->messages, u->asked, r->messages_max) &&
           is_within(u->bytes, u->asked_bytes, r->bytes_max);
}

static uint32_t *of_them(struct held *h)
{
    return (uint32_t *)(void *)(h->parts + h->part_count);
}

static struct held *held_new(struct quotas *q, const struct quota_claim *c)
{
    size_t of_count = (size_t)c->to_count * c->width;
    struct held *h = mem_alloc(sizeof *h + c->part_count * sizeof *h->parts +
                               of_count * sizeof(uint32_t));
    uint32_t *of;

    h->message = c->message;
    h->bytes = c->bytes;
    h->version = c->version;
    h->part_count = c->part_count;
    h->to_count = c->to_count;
    h->width = c->width;
    for (uint32_t i = 0; i < c->part_count; i++) {
        h->parts[i].open = c->parts[i].is_whole;
    }
    of = of_them(h);
    for (size_t i = 0; i < of_count; i++) {
        of[i] = c->of[i];
        if (of[i] != QUOTA_NO_PART) {
            must(of[i] < c->part_count && !c->parts[of[i]].is_whole);
            h->parts[of[i]].open++;
        }
    }
    for (uint32_t i = 0; i < c->part_count; i++) {
        if (h->parts[i].open > 0) {
            h->parts[i].use = find_or_make(q, &c->parts[i]);
        }
    }
    return h;
}

static void ask(struct held *h)
{
    for (uint32_t i = 0; i < h->part_count; i++) {
        struct use *u = h->parts[i].use;
        uint64_t bytes;

        if (u != NULL) {
            u->asked++;
            bytes = u->asked_bytes + h->bytes;
            u->asked_bytes = bytes < h->bytes ? UINT64_MAX : bytes;
        }
    }
}

static void ask_no_more(struct held *h)
{
    for (uint32_t i = 0; i < h->part_count; i++) {
        if (h->parts[i].use != NULL) {
            h->parts[i].use->asked = h->parts[i].use->asked_bytes = 0;
        }
    }
}

static void take_all(struct quotas *q, struct held *h)
{
    for (uint32_t i = 0; i < h->part_count; i++) {
        if (h->parts[i].use != NULL) {
            use_more(q, h->parts[i].use, h->bytes);
        }
    }
}

/* Of a claim that was refused. Each use is left in one part before any is forgotten; `asked` says
 * that it was met. */
static void forget_all_unused(struct quotas *q, struct held *h)
{
    for (uint32_t i = 0; i < h->part_count; i++) {
        struct use *u = h->parts[i].use;

        if (u != NULL && u->asked++ > 0) {
            h->parts[i].use = NULL;
        }
    }
    for (uint32_t i = 0; i < h->part_count; i++) {
        struct use *u = h->parts[i].use;

        if (u != NULL) {
            u->asked = 0;
            forget_unused(q, u);
        }
    }
}

bool quotas_take(struct quotas *q, const struct quota_claim *c, uint32_t *ret)
{
    struct held *h;
    bool ok = true;

    must(map_get_num(&q->messages, c->message) == NULL);
    h = held_new(q, c);
    ask(h);
    for (uint32_t i = 0; i < h->part_count && ok; i++) {
        const struct use *u = h->parts[i].use;

        if (u != NULL && !has_room(q, u)) {
            *ret = i;
            q->sums[u->rule].refused++;
            ok = false;
        }
    }
    ask_no_more(h);
    if (ok) {
        take_all(q, h);
        map_put_num(&q->messages, h->message, h);
    } else {
        forget_all_unused(q, h);
        mem_free(h);
    }
    return ok;
}

void quotas_put(struct quotas *q, const struct quota_claim *c)
{
    struct held *h = held_new(q, c);

    take_all(q, h);
    quotas_drop(q, c->message); /* after it, so that what stays in use keeps its place */
    map_put_num(&q->messages, h->message, h);
}

bool quotas_holds(const struct quotas *q, uint64_t message, uint64_t *version)
{
    const struct held *h = map_get_num(&q->messages, message);

    if (h != NULL) {
        *version = h->version;
    }
    return h != NULL;
}

/* ---- releasing ---- */

static void release(struct quotas *q, struct held *h, struct part *p)
{
    struct use *u = p->use;

    p->use = NULL;
    if (u != NULL) {
        use_less(q, u, h->bytes);
    }
}

void quotas_end(struct quotas *q, uint64_t message, uint32_t recipient)
{
    struct held *h = map_get_num(&q->messages, message);

    if (h == NULL || recipient >= h->to_count) {
        return;
    }
    for (uint32_t i = 0; i < h->width; i++) {
        uint32_t *of = &of_them(h)[(size_t)recipient * h->width + i];
        struct part *p;

        if (*of == QUOTA_NO_PART) {
            continue;
        }
        p = &h->parts[*of];
        *of = QUOTA_NO_PART;
        must(p->open > 0);
        if (--p->open == 0) {
            release(q, h, p);
        }
    }
}

void quotas_drop(struct quotas *q, uint64_t message)
{
    struct held *h = map_take_num(&q->messages, message);

    if (h == NULL) {
        return;
    }
    for (uint32_t i = 0; i < h->part_count; i++) {
        if (h->parts[i].open > 0) {
            release(q, h, &h->parts[i]);
        }
    }
    mem_free(h);
}

/* ---- rules ---- */

static void rules_free(struct quotas *q)
{
    for (uint32_t i = 0; i < q->rule_count; i++) {
        mem_free((char *)(uintptr_t)q->rules[i].name.ptr);
    }
    mem_free(q->rules);
    mem_free(q->sums);
}

static uint32_t among(const struct quota_rule *rules, uint32_t count, struct str name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (str_eq(rules[i].name, name)) {
            return i;
        }
    }
    return NO_RULE;
}

/* Uses of rules that are gone leave the map; they end with what holds them. */
static void move_uses(struct quotas *q, const struct quota_rule *rules, uint32_t count)
{
    struct use **all = mem_array(q->uses.count + 1, sizeof(struct use *));
    size_t at = 0, found = 0;
    struct use *u;

    while ((u = map_each(&q->uses, &at)) != NULL) {
        all[found++] = u;
    }
    for (size_t i = 0; i < found; i++) {
        all[i]->rule = among(rules, count, q->rules[all[i]->rule].name);
        if (all[i]->rule == NO_RULE) {
            map_take(&q->uses, all[i]->key);
        }
    }
    mem_free(all);
}

void quotas_use(struct quotas *q, const struct quota_rule *rules, uint32_t count)
{
    struct quota_rule *new = mem_array((size_t)count + 1, sizeof *new);
    struct quota_sum *sums = mem_array((size_t)count + 1, sizeof *sums);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t before = rule_of(q, rules[i].name);

        new[i] = rules[i];
        new[i].name = str_make(mem_dup_z(rules[i].name.ptr, rules[i].name.len), rules[i].name.len);
        if (before != NO_RULE) {
            sums[i] = q->sums[before];
        }
        sums[i].rule = new[i].name;
    }
    move_uses(q, rules, count);
    rules_free(q);
    q->rules = new;
    q->sums = sums;
    q->rule_count = count;
}

/* ---- looking ---- */

uint32_t quotas_sums(const struct quotas *q, const struct quota_sum **ret)
{
    *ret = q->sums;
    return q->rule_count;
}

void quotas_each(const struct quotas *q, void (*fn)(void *ctx, const struct quota_use *use),
                 void *ctx)
{
    size_t at = 0;
    const struct use *u;

    while ((u = map_each(&q->uses, &at)) != NULL) {
        size_t name = q->rules[u->rule].name.len;
        struct quota_use use = {.rule = q->rules[u->rule].name,
                                .values = str_skip(u->key, name + 1),
                                .messages = u->messages,
                                .bytes = u->bytes};

        fn(ctx, &use);
    }
}

void quotas_free(struct quotas *q)
{
    size_t at = 0;
    struct held *h;

    if (q == NULL) {
        return;
    }
    /* Those in no map any more are known by what holds them alone. */
    while ((h = map_each(&q->messages, &at)) != NULL) {
        for (uint32_t i = 0; i < h->part_count; i++) {
            if (h->parts[i].open > 0) {
                release(q, h, &h->parts[i]);
            }
        }
        mem_free(h);
    }
    at = 0;
    if (map_each(&q->uses, &at) != NULL) {
        never("what nobody holds is in use");
    }
    map_done(&q->uses);
    map_done(&q->messages);
    buf_done(&q->key);
    rules_free(q);
    mem_free(q);
}
