#include "inbound/queueing.h"

#include "base/check.h"
#include "config/units.h"
#include "hooks/model.h"
#include "inbound/events.h"
#include "inbound/part.h"
#include "runtime/log.h"
#include "strategy/strategy.h"

enum { PRIORITY_MAX = 9 };
static const int64_t hold_ms_max = 30LL * 86400 * 1000;

struct taking {
    struct session *s;
    const struct plan *plan;
    struct arena *arena; /* the parcel's */
    struct message_policy *policy;
    struct message_meta *meta;
    struct str by;
};

/* What is wrong with a word; NULL: nothing, and it is taken. */

static const char *take_schedule(struct taking *k, const struct hook_policy *p)
{
    const struct schedule *schedule = plan_schedule(k->plan, p->text);

    if (p->kind != HOOK_POLICY_TEXT || schedule == NULL) {
        return "there is no such schedule";
    }
    k->policy->schedule = arena_dup(k->arena, schedule->name);
    return NULL;
}

static const char *take_queue(struct taking *k, const struct hook_policy *p)
{
    const struct plan_queue *queue = plan_queue(k->plan, p->text);

    if (p->kind != HOOK_POLICY_TEXT || queue == NULL) {
        return "there is no such virtual queue";
    }
    k->policy->queue = arena_dup(k->arena, queue->name);
    return NULL;
}

static const char *take_priority(struct taking *k, const struct hook_policy *p)
{
    int64_t n;

    if (p->kind != HOOK_POLICY_NUMBER || !str_to_i64(p->text, &n) || n < -PRIORITY_MAX ||
        n > PRIORITY_MAX) {
        return "a priority is a number from -9 to 9";
    }
    k->s->intake.parcel->message.priority = (int8_t)n;
    return NULL;
}

/* True: until an operator releases it. For a time: as if its sender had asked for that. */
static const char *take_hold(struct taking *k, const struct hook_policy *p)
{
    struct intake *t = &k->s->intake;
    int64_t ms;

    if (p->kind == HOOK_POLICY_YES_NO) {
        t->is_kept = str_eq(p->text, STR("true"));
        t->held_by = arena_dup(k->arena, k->by);
        t->held_why = STR("a filter asked for it");
        return NULL;
    }
    if (p->kind != HOOK_POLICY_TEXT || duration_parse(p->text, &ms) != UNITS_OK || ms <= 0 ||
        ms > hold_ms_max) {
        return "a hold is true, false or a duration up to 30d";
    }
    intake_hold_for(t, ms);
    return NULL;
}

static const char *take_meta(struct taking *k, const struct hook_policy *p)
{
    static const enum hook_policy_kind kinds[META_KINDS] = {
        [META_STRING] = HOOK_POLICY_TEXT,
        [META_INTEGER] = HOOK_POLICY_NUMBER,
        [META_BOOLEAN] = HOOK_POLICY_YES_NO,
    };
    const struct plan_meta *declared = plan_meta(k->plan, str_skip(p->name, strlen("meta.")));
    struct message_meta *to = &k->meta[k->policy->meta_count];

    if (declared == NULL) {
        return "meta declares no such name";
    }
    if (p->kind != kinds[declared->kind] || !meta_read(declared, p->text, to)) {
        return "its value is not of the type that meta declares, or over 200 bytes";
    }
    to->name = arena_dup(k->arena, to->name);
    to->text = arena_dup(k->arena, to->text);
    k->policy->meta_count++;
    return NULL;
}

static const char *take(struct taking *k, const struct hook_policy *p)
{
    static const struct {
        const char *word;
        const char *(*take)(struct taking *k, const struct hook_policy *p);
    } words[] = {{"schedule", take_schedule},
                 {"queue", take_queue},
                 {"priority", take_priority},
                 {"hold", take_hold}};

    if (str_starts(p->name, STR("meta."))) {
        return take_meta(k, p);
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_eq(p->name, str_of(words[i].word))) {
            return words[i].take(k, p);
        }
    }
    return "this is no word of queueing";
}

void queueing_take(struct session *s, const struct hook_view *view, struct str by)
{
    struct message *m = &s->intake.parcel->message;
    struct taking k = {
        .s = s, .plan = s->policy->plan, .arena = &s->intake.parcel->arena, .by = by};

    k.policy = ARENA_NEW(k.arena, struct message_policy);
    *k.policy = (struct message_policy){.schedule = STR_EMPTY, .queue = STR_EMPTY};
    k.policy->meta = k.meta = arena_array(k.arena, view->policy_count, sizeof *k.meta);
    for (uint32_t i = 0; i < view->policy_count; i++) {
        const struct hook_policy *p = &view->policy[i];
        const char *why = take(&k, p);

        if (why != NULL) {
            event_raise(&ev_filter_policy_refused, f_session(s->id), f_message(m->id), f_name(by),
                        f_sender(m->sender), f_type(p->name), f_text(str_of(why)));
        }
    }
    if (k.policy->schedule.len > 0 || k.policy->queue.len > 0 || k.policy->meta_count > 0) {
        m->policy = k.policy;
    }
}
