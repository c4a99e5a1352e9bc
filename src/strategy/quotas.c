/*
 * quotas: how much mail may wait: what each quota counts, and by which values.
 *
 * A quota is asked at acceptance, and for what is stored again after a start or a reload; so its
 * match reads only what never changes of a message.
 */
#include "base/check.h"
#include "strategy/plan.h"

static const struct count_word words[] = {{"sender", QUOTA_SENDERS},
                                          {"sender_domain", QUOTA_SENDERS},
                                          {"rcpt", QUOTA_RECIPIENTS},
                                          {"rcpt_domain", QUOTA_DOMAINS}};

static const struct count_kind kind = {&quota_table, words, COUNT_OF(words), "mail that waits"};

/* What is not the same for a message whenever it is asked. */
static const char *const changing[] = {"retry_num",  "notify_num", "expires_in", "last_status",
                                       "last_error", "queue_name", "queue_age",  "mx",
                                       "remote_ip",  "local_ip"};

static unsigned id_of(const char *name)
{
    for (unsigned id = 0; variable_name(id) != NULL; id++) {
        if (str_eq(str_of(variable_name(id)), str_of(name))) {
            return id;
        }
    }
    never("all words are variables");
}

/* By what match reads. */
static enum quota_class class_of(const struct plan_count *by, enum quota_class class)
{
    uint64_t reads = count_reads(by);

    if ((reads >> id_of("rcpt")) & 1) {
        return QUOTA_RECIPIENTS;
    }
    return (reads >> id_of("rcpt_domain")) & 1 && class == QUOTA_SENDERS ? QUOTA_DOMAINS : class;
}

static void check_match(struct plan_full *p, const struct plan_quota *q)
{
    for (size_t i = 0; i < COUNT_OF(changing); i++) {
        if ((count_reads(&q->by) >> id_of(changing[i])) & 1) {
            fault_error(p->faults, q->settings->match.at,
                        "queue.quota.%.*s.match: %s is not known when mail comes in, or changes "
                        "while it waits",
                        STR_ARG(q->name), changing[i]);
            fault_hint(p->faults, "a quota counts by what stays the same of a message: sender, "
                                  "rcpt_domain, size, source and the like");
            return;
        }
    }
}

static void add(struct plan_full *p, const struct config_object *o)
{
    struct plan_quota *q = &p->plan.quotas[p->plan.quota_count];
    const struct quota_settings *set = o->settings;
    struct count_source from = {o->name, set, &set->key, &set->match};
    struct expr_scope scope;

    if (!set->enable) {
        return;
    }
    p->plan.quota_count++;
    *q = (struct plan_quota){.name = o->name, .settings = set, .at = o->at};
    plan_scope(p, STRATEGY_CONNECTION, &scope);
    q->class = (enum quota_class)plan_add_count(p, &kind, &from, &scope, &q->by);
    q->class = class_of(&q->by, q->class);
    check_match(p, q);
    /* One that is wrong has been told, and one mistake is told once. */
    if (set->messages_max == 0 && set->bytes_max == 0 &&
        !(p->faults->errors > 0 &&
          (plan_given(p, set, "messages") || plan_given(p, set, "size")))) {
        fault_error(p->faults, o->at, "queue.quota.%.*s limits nothing", STR_ARG(o->name));
        fault_hint(p->faults, "give it messages, such as 1000, or a size, such as 1GiB");
    }
}

void plan_add_quotas(struct plan_full *p)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, &quota_table, &count);

    p->plan.quotas = arena_array(&p->arena, count + 1, sizeof *p->plan.quotas);
    for (size_t i = 0; i < count; i++) {
        add(p, &objects[i]);
    }
}

/* ---- deciding ---- */

bool decide_quota(const struct plan *p, const struct plan_quota *quota, const struct subject *s,
                  struct arena *a, struct str *values, bool *failed)
{
    struct plan_reading reading = {p, s, a};
    struct counting about = {plan_read, &reading, a};
    enum count_match match = count_matches(p, &quota->by, &about);

    *failed = match == COUNT_UNKNOWN;
    if (match == COUNT_YES) {
        *values = count_values(&quota->by, &about);
    }
    return match == COUNT_YES;
}

/* What is local, and of which kind a value of `meta` is, is not part of the text, and may differ
 * after a reload. */
static bool asks_what_may_differ(const struct plan_quota *q)
{
    bool is_meta = false;

    for (size_t i = 0; i < q->settings->key.count; i++) {
        is_meta = is_meta || str_starts(q->settings->key.items[i], STR("meta."));
    }
    return is_meta || str_find_str(q->settings->match.text, STR("meta.")) != STR_NONE ||
           str_find_str(q->settings->match.text, STR("is_local")) != STR_NONE;
}

static bool counts_the_same(const struct plan_quota *a, const struct plan_quota *b)
{
    return str_eq(a->name, b->name) && a->class == b->class && !asks_what_may_differ(a) &&
           a->by.key_count == b->by.key_count &&
           memcmp(a->by.keys, b->by.keys, a->by.key_count) == 0 &&
           str_eq(a->settings->match.text, b->settings->match.text);
}

bool plan_same_quotas(const struct plan *p, const struct plan *other)
{
    for (uint32_t i = 0; i < p->quota_count && p->quota_count == other->quota_count; i++) {
        if (!counts_the_same(&p->quotas[i], &other->quotas[i])) {
            return false;
        }
    }
    return p->quota_count == other->quota_count;
}
