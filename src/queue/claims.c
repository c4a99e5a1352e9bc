#include "queue/claims.h"

#include "base/map.h"
#include "base/mem.h"
#include "runtime/random.h"

/* Reports are let through: they are few, and nobody would hear of what they are about. */
static bool is_counted(const struct message *m)
{
    return m->source != SOURCE_DSN && m->source != SOURCE_REPORT;
}

void claim_done(struct claim *c)
{
    mem_free(c->parts);
    mem_free(c->quotas);
    mem_free(c->of);
    arena_done(&c->arena);
    arena_done(&c->scratch);
}

static uint32_t add_part(struct claim *c, const struct plan_quota *quota, struct str values)
{
    uint32_t at = c->claim.part_count++;

    if (at == c->size) {
        c->size = c->size == 0 ? 4 : c->size * 2;
        c->parts = mem_grow(c->parts, c->size, sizeof *c->parts);
        c->quotas = mem_grow(c->quotas, c->size, sizeof(const struct plan_quota *));
    }
    c->quotas[at] = quota;
    c->parts[at] = (struct quota_part){.rule = quota->name,
                                       .values = arena_dup(&c->arena, values),
                                       .is_whole = quota->class == QUOTA_SENDERS};
    return at;
}

/* The part for this recipient, or QUOTA_NO_PART. */
static uint32_t decide(struct claim *c, const struct plan *p, const struct plan_quota *quota,
                       const struct message *m, uint32_t index)
{
    struct subject s = {.message = m, .recipient = &m->to[index], .facts.now = m->arrived};
    struct str values;
    bool failed;

    arena_reset(&c->scratch);
    if (decide_quota(p, quota, &s, &c->scratch, &values, &failed)) {
        return add_part(c, quota, values);
    }
    c->unmatched = failed ? quota : c->unmatched;
    return QUOTA_NO_PART;
}

static struct str domain_of(const struct recipient *to, struct arena *a)
{
    struct str domain = address_domain(to->address);
    char *bytes = arena_alloc(a, domain.len + 1);

    for (size_t i = 0; i < domain.len; i++) {
        bytes[i] = byte_lower(domain.ptr[i]);
    }
    return str_make(bytes, domain.len);
}

/* One part for each domain that waits: known by its number plus one. */
static void claim_domains(struct claim *c, const struct plan *p, const struct plan_quota *quota,
                          const struct message *m, uint32_t column)
{
    struct map known = {.seed = random_u64()};

    for (uint32_t i = 0; i < m->to_count; i++) {
        struct str domain;
        uintptr_t part;

        if (m->to[i].state.status != RCPT_WAITING) {
            continue;
        }
        domain = domain_of(&m->to[i], &c->arena);
        part = (uintptr_t)map_get(&known, domain);
        if (part == 0) {
            part = (uintptr_t)decide(c, p, quota, m, i) + 1;
            map_put(&known, domain, (void *)part);
        }
        c->of[(size_t)i * c->claim.width + column] = (uint32_t)(part - 1);
    }
    map_done(&known);
}

static void claim_recipients(struct claim *c, const struct plan *p, const struct plan_quota *quota,
                             const struct message *m, uint32_t column)
{
    for (uint32_t i = 0; i < m->to_count; i++) {
        if (m->to[i].state.status == RCPT_WAITING) {
            c->of[(size_t)i * c->claim.width + column] = decide(c, p, quota, m, i);
        }
    }
}

static bool waits(const struct message *m)
{
    for (uint32_t i = 0; i < m->to_count; i++) {
        if (m->to[i].state.status == RCPT_WAITING) {
            return true;
        }
    }
    return false;
}

void claim_make(struct claim *c, const struct plan *p, const struct message *m)
{
    bool counts = is_counted(m) && waits(m);
    uint32_t column = 0;

    *c = (struct claim){.claim = {.message = m->id, .bytes = m->size, .to_count = m->to_count}};
    for (uint32_t i = 0; i < p->quota_count; i++) {
        c->claim.width += p->quotas[i].class != QUOTA_SENDERS;
    }
    c->of = mem_array((size_t)m->to_count * c->claim.width + 1, sizeof *c->of);
    memset(c->of, 0xff, (size_t)m->to_count * c->claim.width * sizeof *c->of);
    for (uint32_t i = 0; i < p->quota_count && counts; i++) {
        const struct plan_quota *quota = &p->quotas[i];

        switch (quota->class) {
        case QUOTA_SENDERS:
            (void)decide(c, p, quota, m, 0);
            break;
        case QUOTA_DOMAINS:
            claim_domains(c, p, quota, m, column++);
            break;
        case QUOTA_RECIPIENTS:
            claim_recipients(c, p, quota, m, column++);
            break;
        }
    }
    c->claim.parts = c->parts;
    c->claim.of = c->of;
}
