/*
 * The quotas that count a recipient: what would be asked of them at the end of data, and told to the
 * client when one of them has no room.
 */
#include "base/check.h"
#include "cli/explain.h"
#include "cli/show.h"
#include "config/units.h"
#include "queue/claims.h"

#include <stdio.h>

/* ---- which ---- */

void explain_answer_line(enum answer_row row, struct buf *out)
{
    struct answer a;
    char room[ANSWER_LINE_BYTES];

    answer_fixed(&a, row);
    buf_put(out, str_trim_ws(answer_line(&a, room)));
}

/* What the message has of a quota for this recipient, or NULL. */
static const struct quota_part *part_for(const struct claim *c, const struct plan_quota *quota,
                                         uint32_t rcpt)
{
    for (uint32_t i = 0; i < c->claim.part_count; i++) {
        if (c->quotas[i] == quota && c->parts[i].is_whole) {
            return &c->parts[i];
        }
    }
    for (uint32_t k = 0; k < c->claim.width; k++) {
        uint32_t part = c->of[(size_t)rcpt * c->claim.width + k];

        if (part != QUOTA_NO_PART && c->quotas[part] == quota) {
            return &c->parts[part];
        }
    }
    return NULL;
}

/* Whether the message would be let in if nothing else waited. */
static bool has_room(const struct claim *c, const struct plan_quota *quota)
{
    const struct quota_rule rule = {quota->name, quota->settings->messages_max,
                                    quota->settings->bytes_max};
    struct quotas *empty = quotas_new(0);
    uint32_t part;
    bool fits;

    quotas_use(empty, &rule, 1);
    fits = quotas_take(empty, &c->claim, &part);
    quotas_free(empty);
    return fits;
}

static void add_for(struct explanation *e, const struct claim *c, uint32_t rcpt)
{
    const struct plan *p = e->plan;
    struct explain_rcpt *r = &e->to[rcpt];
    struct subject s = {
        .message = &e->message, .recipient = &e->message.to[rcpt], .facts.now = e->message.arrived};

    r->quotas = arena_array(e->arena, p->quota_count + 1, sizeof *r->quotas);
    for (uint32_t i = 0; i < p->quota_count; i++) {
        const struct plan_quota *quota = &p->quotas[i];
        const struct quota_part *part = part_for(c, quota, rcpt);
        struct str values;
        bool failed = false;

        if (part != NULL) {
            r->quotas[r->quota_count++] = (struct explain_quota){
                quota, arena_dup(e->arena, part->values), has_room(c, quota)};
        } else if (c->unmatched != NULL) {
            (void)decide_quota(p, quota, &s, e->arena, &values, &failed);
            r->quota_left_out = failed ? quota->name : r->quota_left_out;
        }
    }
}

void explain_quotas(struct explanation *e)
{
    struct claim c;

    claim_make(&c, e->plan, &e->message);
    for (uint32_t i = 0; i < e->message.to_count; i++) {
        add_for(e, &c, i);
    }
    claim_done(&c);
}

/* ---- for people ---- */

static const char *const counts_words[] = {
    [QUOTA_SENDERS] = "message", [QUOTA_DOMAINS] = "domain", [QUOTA_RECIPIENTS] = "recipient"};
static const char *const until_words[] = {
    [QUOTA_SENDERS] = "the message, until its last recipient has ended",
    [QUOTA_DOMAINS] = "the message once for the domain, until its last recipient there has ended",
    [QUOTA_RECIPIENTS] = "the message for this recipient, until that has ended"};

static void put_quota(const struct explain_quota *q, struct buf *out)
{
    const struct quota_settings *set = q->quota->settings;
    struct str values = q->values, value;

    buf_printf(out, "  quota: %.*s  (", STR_ARG(q->quota->name));
    explain_place(q->quota->at, out);
    if (set->messages_max > 0) {
        buf_printf(out, ": messages %llu", (unsigned long long)set->messages_max);
    }
    if (set->bytes_max > 0) {
        buf_put(out, set->messages_max > 0 ? STR(", size ") : STR(": size "));
        size_print(set->bytes_max, out);
    }
    buf_printf(out, "; counts %s", until_words[q->quota->class]);
    for (uint32_t i = 0; i < set->key.count; i++) {
        str_cut(&values, '\0', &value);
        buf_printf(out, "%s%.*s ", i == 0 ? "; by " : ", ", STR_ARG(set->key.items[i]));
        show_text(value, out);
    }
    buf_put(out, STR(")\n"));
    if (!q->has_room) {
        buf_put(out, STR("    has no room for this message even when nothing else waits\n"));
    }
}

void explain_quota_text(const struct explain_rcpt *r, struct buf *out)
{
    for (uint32_t i = 0; i < r->quota_count; i++) {
        put_quota(&r->quotas[i], out);
    }
    if (r->quota_count > 0) {
        buf_put(out, STR("  without room in a quota the end of data is answered "));
        explain_answer_line(ANSWER_QUOTA, out);
        buf_byte(out, '\n');
    } else {
        buf_put(out, STR("  quota: none counts it\n"));
    }
    if (r->quota_left_out.len > 0) {
        buf_printf(out, "    %.*s is left out: its match gives no value\n",
                   STR_ARG(r->quota_left_out));
    }
}

/* ---- JSON ---- */

static void json_quota(const struct explain_quota *q, struct buf *out)
{
    const struct quota_settings *set = q->quota->settings;
    struct buf place BUF_LOCAL = {0}, answer BUF_LOCAL = {0};
    struct str values = q->values, value;

    explain_place(q->quota->at, &place);
    explain_answer_line(ANSWER_QUOTA, &answer);
    json_next(out);
    buf_byte(out, '{');
    json_text(out, "name", q->quota->name);
    json_text(out, "at", buf_str(&place));
    json_text(out, "counts", str_of(counts_words[q->quota->class]));
    if (set->messages_max > 0) {
        json_number(out, "messages", set->messages_max);
    }
    if (set->bytes_max > 0) {
        json_number(out, "size", set->bytes_max);
    }
    json_key(out, "key");
    buf_byte(out, '{');
    for (uint32_t i = 0; i < set->key.count; i++) {
        char name[NAME_BYTES_MAX + 1];

        (void)snprintf(name, sizeof name, "%.*s", STR_ARG(set->key.items[i]));
        str_cut(&values, '\0', &value);
        json_text(out, name, value);
    }
    buf_byte(out, '}');
    json_bool(out, "fits", q->has_room);
    json_text(out, "full", buf_str(&answer));
    buf_byte(out, '}');
}

void explain_quota_json(const struct explain_rcpt *r, struct buf *out)
{
    json_key(out, "quotas");
    buf_byte(out, '[');
    for (uint32_t i = 0; i < r->quota_count; i++) {
        json_quota(&r->quotas[i], out);
    }
    buf_byte(out, ']');
    json_text_if(out, "quota_left_out", r->quota_left_out);
}
