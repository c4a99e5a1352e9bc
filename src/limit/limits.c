#include "limit/limits.h"

#include "base/buf.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/mem.h"
#include "limit/bucket.h"

/* Where a line is found: those of one group who wait at one bucket. */
struct line_key {
    struct limit_bucket *bucket;
    uint64_t group;
};

struct limit_line {
    struct line_key key;
    struct link link; /* in the bucket's lines; the first has the turn */
    struct list waiters;
};

struct limit_bucket {
    struct heap_node timer; /* room for a waiter, or as good as new */
    struct str key;         /* rule's name, NUL, values; follows in memory */
    uint32_t rule;
    uint32_t at_work;
    uint32_t waiting;
    struct bucket tokens;
    struct list lines;
};

struct limits {
    struct limit_rule *rules; /* names are copies */
    uint32_t rule_count;
    struct limit_count *counts; /* one a rule; with its name */
    uint64_t *since;            /* one a rule: since when what is at work is counted; rises */
    uint64_t since_last;
    struct map rules_by_name;
    struct map buckets;
    struct map lines; /* of all buckets, by struct line_key */
    struct heap timers;
    struct list loose; /* waiters whose rule is gone */
    struct buf key;    /* of the bucket that is looked for */
    uint64_t uncounted;
};

static bool has_rate(const struct limits *l, const struct limit_bucket *b)
{
    return l->rules[b->rule].rate.count > 0;
}

static bool is_full(const struct limits *l, const struct limit_bucket *b)
{
    uint32_t most = l->rules[b->rule].concurrency;

    return most > 0 && b->at_work >= most;
}

static struct when ready_at(const struct limits *l, const struct limit_bucket *b, struct when now)
{
    const struct rate *r = &l->rules[b->rule].rate;

    return bucket_ready(&b->tokens, r, r->count > 0 ? r->count : 1, now);
}

/* ---- buckets ---- */

static struct limit_bucket *find(struct limits *l, const struct limit_key *k)
{
    buf_clear(&l->key);
    buf_put(&l->key, k->rule);
    buf_byte(&l->key, '\0');
    buf_put(&l->key, k->values);
    return map_get(&l->buckets, buf_str(&l->key));
}

/* NULL: there are too many, or the rule is gone. */
static struct limit_bucket *find_or_make(struct limits *l, const struct limit_key *k)
{
    struct limit_bucket *b = find(l, k);
    const struct limit_rule *rule = b == NULL ? map_get(&l->rules_by_name, k->rule) : NULL;
    struct str key = buf_str(&l->key);
    char *bytes;

    if (rule == NULL) {
        return b;
    }
    if (l->buckets.count >= LIMIT_BUCKETS_MAX) {
        l->uncounted++;
        return NULL;
    }
    b = mem_alloc(sizeof *b + key.len);
    bytes = (char *)(b + 1);
    memcpy(bytes, key.ptr, key.len);
    b->key = str_make(bytes, key.len);
    b->rule = (uint32_t)(rule - l->rules);
    list_init(&b->lines);
    map_put(&l->buckets, b->key, b);
    return b;
}

static void forget(struct limits *l, struct limit_bucket *b)
{
    heap_remove(&l->timers, &b->timer);
    map_take(&l->buckets, b->key);
    mem_free(b);
}

/* Sets the timer to what comes next: room for a waiter, or the end of its use. */
static void arm(struct limits *l, struct limit_bucket *b, struct when now)
{
    if (b->waiting > 0 && is_full(l, b)) {
        heap_remove(&l->timers, &b->timer);
    } else if (b->waiting > 0) {
        heap_put(&l->timers, &b->timer, ready_at(l, b, now).ns);
    } else if (b->at_work > 0) {
        heap_remove(&l->timers, &b->timer);
    } else {
        heap_put(&l->timers, &b->timer, has_rate(l, b) ? b->tokens.full.ns : now.ns);
    }
}

/* ---- asking ---- */

static struct when turn_at(const struct limits *l, const struct limit_bucket *b, struct when now)
{
    const struct rate *r = &l->rules[b->rule].rate;
    int64_t each_ns, wait_ns;

    if (is_full(l, b) || r->count == 0) {
        return WHEN_NEVER;
    }
    if (__builtin_mul_overflow(r->period_ms, NS_PER_MS, &each_ns)) {
        return WHEN_NEVER;
    }
    each_ns /= r->count > INT64_MAX ? INT64_MAX : (int64_t)r->count;
    if (__builtin_mul_overflow(each_ns, (int64_t)b->waiting, &wait_ns)) {
        return WHEN_NEVER;
    }
    return when_add(ready_at(l, b, now), wait_ns);
}

bool limits_take(struct limits *l, struct limit_key *keys, uint32_t count, bool was_called,
                 struct when now, struct limit_refusal *ret)
{
    for (uint32_t i = 0; i < count; i++) {
        struct limit_bucket *b = find(l, &keys[i]);

        if (b != NULL &&
            (is_full(l, b) || ready_at(l, b, now).ns > now.ns || (b->waiting > 0 && !was_called))) {
            l->counts[b->rule].refused++;
            *ret = (struct limit_refusal){i, turn_at(l, b, now)};
            return false;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        struct limit_bucket *b = find_or_make(l, &keys[i]);

        keys[i].since = 0;
        if (b != NULL) {
            bucket_take(&b->tokens, &l->rules[b->rule].rate, now);
            if (l->rules[b->rule].concurrency > 0) {
                b->at_work++;
                keys[i].since = l->since[b->rule];
            }
            arm(l, b, now);
        }
    }
    return true;
}

void limits_give(struct limits *l, const struct limit_key *keys, uint32_t count, struct when now)
{
    for (uint32_t i = 0; i < count; i++) {
        struct limit_bucket *b = find(l, &keys[i]);

        if (b != NULL && keys[i].since != 0 && keys[i].since == l->since[b->rule]) {
            must(b->at_work > 0);
            b->at_work--;
            arm(l, b, now);
        }
    }
}

/* ---- waiting ---- */

static struct str line_name(const struct line_key *key)
{
    return str_make((const char *)key, sizeof *key);
}

static struct limit_line *line_of(struct limits *l, struct limit_bucket *b, uint32_t group)
{
    struct line_key key = {b, group};
    struct limit_line *line = map_get(&l->lines, line_name(&key));

    if (line == NULL) {
        line = MEM_NEW(struct limit_line);
        line->key = key;
        list_init(&line->waiters);
        list_push(&b->lines, &line->link);
        map_put(&l->lines, line_name(&line->key), line);
    }
    return line;
}

void limits_wait(struct limits *l, struct limit_waiter *w, const struct limit_key *at,
                 uint32_t group, struct when now)
{
    struct limit_bucket *b = find_or_make(l, at);

    must(w->line == NULL && !link_is_in(&w->link));
    if (b == NULL) {
        list_push(&l->loose, &w->link); /* not counted, so it need not wait */
        return;
    }
    w->line = line_of(l, b, group);
    list_push(&w->line->waiters, &w->link);
    b->waiting++;
    arm(l, b, now);
}

static void line_end(struct limits *l, struct limit_line *line)
{
    if (list_is_empty(&line->waiters)) {
        list_remove(&line->link);
        map_take(&l->lines, line_name(&line->key));
        mem_free(line);
    }
}

void limits_leave(struct limits *l, struct limit_waiter *w, struct when now)
{
    struct limit_line *line = w->line;

    list_remove(&w->link);
    w->line = NULL;
    if (line != NULL) {
        struct limit_bucket *b = line->key.bucket;

        b->waiting--;
        line_end(l, line);
        arm(l, b, now);
    }
}

/* The first of the line whose turn it is; the line goes behind the others. */
static struct limit_waiter *call(struct limits *l, struct limit_bucket *b)
{
    struct limit_line *line = CONTAINER_OF(list_first(&b->lines), struct limit_line, link);
    struct limit_waiter *w = CONTAINER_OF(list_pop(&line->waiters), struct limit_waiter, link);

    b->waiting--;
    w->line = NULL;
    list_remove(&line->link);
    list_push(&b->lines, &line->link);
    line_end(l, line);
    return w;
}

struct limit_waiter *limits_next(struct limits *l, struct when now)
{
    struct link *loose = list_pop(&l->loose);
    struct heap_node *n;

    if (loose != NULL) {
        return CONTAINER_OF(loose, struct limit_waiter, link);
    }
    while ((n = heap_due(&l->timers, now.ns)) != NULL) {
        struct limit_bucket *b = CONTAINER_OF(n, struct limit_bucket, timer);

        if (b->waiting > 0) {
            struct limit_waiter *w = call(l, b);

            arm(l, b, now); /* it has taken nothing yet: the next may be called at once */
            return w;
        }
        forget(l, b);
    }
    return NULL;
}

struct when limits_next_time(const struct limits *l)
{
    if (!list_is_empty(&l->loose)) {
        return (struct when){0};
    }
    return (struct when){heap_least_key(&l->timers)};
}

/* ---- rules ---- */

static bool same_rate(const struct limit_rule *a, const struct limit_rule *b)
{
    return a->rate.count == b->rate.count && a->rate.period_ms == b->rate.period_ms;
}

/* Its rule has other numbers, or is gone (NULL): who waits is called; only what is at work, and
 * counted by both, counts on. */
static void let_go(struct limits *l, struct limit_bucket *b, const struct limit_rule *now,
                   uint32_t number)
{
    const struct limit_rule *was = &l->rules[b->rule];

    while (b->waiting > 0) {
        list_push(&l->loose, &call(l, b)->link);
    }
    if (now == NULL || now->concurrency == 0 || b->at_work == 0) {
        forget(l, b);
        return;
    }
    if (!same_rate(was, now)) {
        b->tokens = (struct bucket){0};
    }
    b->rule = number;
    heap_remove(&l->timers, &b->timer); /* set when what is at work ends */
}

/* What is at work counts on where it was counted before. */
static uint64_t since_of(struct limits *l, const struct limit_rule *rule)
{
    const struct limit_rule *was = map_get(&l->rules_by_name, rule->name);

    return was != NULL && was->concurrency > 0 && rule->concurrency > 0 ? l->since[was - l->rules]
                                                                        : ++l->since_last;
}

static void rules_free(struct limits *l)
{
    for (uint32_t i = 0; i < l->rule_count; i++) {
        mem_free((char *)(uintptr_t)l->rules[i].name.ptr);
    }
    mem_free(l->rules);
    mem_free(l->counts);
    mem_free(l->since);
    map_done(&l->rules_by_name);
}

static uint64_t refused_before(const struct limits *l, struct str rule)
{
    for (uint32_t i = 0; i < l->rule_count; i++) {
        if (str_eq(l->counts[i].rule, rule)) {
            return l->counts[i].refused;
        }
    }
    return 0;
}

static void rules_set(struct limits *l, const struct limit_rule *rules, uint32_t count)
{
    struct limit_rule *new = mem_array((size_t)count + 1, sizeof *new);
    struct limit_count *counts = mem_array((size_t)count + 1, sizeof *counts);
    uint64_t *since = mem_array((size_t)count + 1, sizeof *since);

    for (uint32_t i = 0; i < count; i++) {
        struct str name = rules[i].name;

        new[i] = rules[i];
        new[i].name = str_make(mem_dup_z(name.ptr, name.len), name.len);
        counts[i] = (struct limit_count){new[i].name, refused_before(l, name)};
        since[i] = since_of(l, &rules[i]);
    }
    rules_free(l);
    l->rules = new;
    l->counts = counts;
    l->since = since;
    l->rule_count = count;
    for (uint32_t i = 0; i < count; i++) {
        map_put(&l->rules_by_name, new[i].name, &new[i]);
    }
}

void limits_use(struct limits *l, const struct limit_rule *rules, uint32_t count)
{
    struct limit_bucket **all = mem_array(l->buckets.count + 1, sizeof(struct limit_bucket *));
    struct map names = {0};
    size_t at = 0, found = 0;
    struct limit_bucket *b;

    while ((b = map_each(&l->buckets, &at)) != NULL) {
        all[found++] = b;
    }
    for (uint32_t i = 0; i < count; i++) {
        map_put(&names, rules[i].name, (void *)(uintptr_t)&rules[i]);
    }
    for (size_t i = 0; i < found; i++) {
        const struct limit_rule *was = &l->rules[all[i]->rule];
        const struct limit_rule *now = map_get(&names, was->name);
        uint32_t number = now != NULL ? (uint32_t)(now - rules) : 0;

        if (now == NULL || !same_rate(was, now) || now->concurrency != was->concurrency) {
            let_go(l, all[i], now, number);
        } else {
            all[i]->rule = number;
        }
    }
    mem_free(all);
    map_done(&names);
    rules_set(l, rules, count);
}

struct limits *limits_new(uint64_t seed)
{
    struct limits *l = MEM_NEW(struct limits);

    l->buckets.seed = seed;
    list_init(&l->loose);
    return l;
}

void limits_free(struct limits *l)
{
    size_t at = 0;
    struct limit_bucket *b;

    if (l == NULL) {
        return;
    }
    while ((b = map_each(&l->buckets, &at)) != NULL) {
        while (b->waiting > 0) {
            (void)call(l, b);
        }
        mem_free(b);
    }
    map_done(&l->buckets);
    map_done(&l->lines);
    heap_done(&l->timers);
    buf_done(&l->key);
    rules_free(l);
    mem_free(l);
}

uint32_t limits_counts(const struct limits *l, const struct limit_count **ret)
{
    *ret = l->counts;
    return l->rule_count;
}

uint64_t limits_uncounted(const struct limits *l)
{
    return l->uncounted;
}

size_t limits_buckets(const struct limits *l)
{
    return l->buckets.count;
}
