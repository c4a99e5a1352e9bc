#include "hooks/engine.h"

#include "base/mem.h"
#include "hooks/events.h"
#include "mail/content.h"
#include "runtime/clock.h"
#include "runtime/log.h"

/* Ids of recipients that edits have added; those of the asker are below. */
enum { ADDED_IDS = 1 << 30 };

struct talk {
    struct engine *engine;
    struct chain *chain;
    struct hook_pending pending; /* of the classic hooks of one stage */
    void *sessions[];            /* of each filter */
};

struct asking {
    struct talk *talk;
    const struct engine_question *q;
    struct hook_bounds bounds; /* of answers, over what came */
    struct arena *a;
    struct verdict *ret;
    struct hook_view work; /* what the next one sees */
    uint32_t next_id;
    struct when stage_by;
    const struct chain_item *collected; /* the latest with edits that wait */
};

enum next { GO_ON, STOP, CANCELLED };

/* ---- talks ---- */

static bool is_collected(const struct chain_item *item)
{
    return item->dialect != NULL && item->dialect->is_collected;
}

struct talk *talk_new(struct engine *e, struct chain *c, const struct hook_view *view)
{
    struct talk *t = mem_alloc(sizeof *t + c->count * sizeof t->sessions[0]);

    t->engine = e;
    t->chain = chain_share(c);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct chain_item *item = &c->items[i];

        t->sessions[i] = is_collected(item) ? &t->pending : item->kind->begin(item->filter, view);
    }
    return t;
}

const struct chain *talk_chain(const struct talk *t)
{
    return t->chain;
}

void talk_reset(struct talk *t)
{
    for (uint32_t i = 0; i < t->chain->count; i++) {
        const struct chain_item *item = &t->chain->items[i];

        if (!is_collected(item)) {
            item->kind->reset(item->filter, t->sessions[i]);
        }
    }
}

void talk_free(struct talk *t)
{
    if (t == NULL) {
        return;
    }
    for (uint32_t i = 0; i < t->chain->count; i++) {
        const struct chain_item *item = &t->chain->items[i];

        if (!is_collected(item)) {
            item->kind->end(item->filter, t->sessions[i]);
        }
    }
    chain_drop(t->chain);
    mem_free(t);
}

/* ---- what is told ---- */

static struct event_field f_whom(const struct chain_item *item)
{
    return f_name(item->name);
}

#define ABOUT(k, item)                                                                             \
    f_session((k)->work.session), f_message((k)->work.queue_id), f_whom(item),                     \
        f_stage(hook_stage_name((k)->work.stage))

static void tell_notes(const struct asking *k, const struct chain_item *item,
                       const struct hook_outcome *o)
{
    for (uint32_t i = 0; i < o->notes.count; i++) {
        event_raise(&ev_filter_note, ABOUT(k, item), f_text(o->notes.items[i]));
    }
    for (uint32_t i = 0; i < o->asides.count; i++) {
        event_raise(&ev_filter_aside, ABOUT(k, item), f_text(o->asides.items[i]));
    }
}

static void tell_answer(const struct asking *k, const struct chain_item *item,
                        const struct hook_outcome *o, int64_t us)
{
    bool goes_on = o->action == HOOK_ACCEPT || o->action == HOOK_CONTINUE;
    const struct event_kind *kind = goes_on && !o->disconnect ? &ev_filter_answered
                                                              : &ev_filter_acted;

    event_raise(kind, ABOUT(k, item), f_action(hook_action_name(o->action)), f_duration(us),
                f_count(o->edit_count), f_code(o->reply.code),
                f_text(item->shadow ? STR("in shadow: not obeyed") : STR_EMPTY));
    tell_notes(k, item, o);
}

/* Which parts of the mail it changed, and how often; what it put in is content and stays out. */
static void tell_edits(const struct asking *k, const struct chain_item *item,
                       const struct hook_outcome *o)
{
    static const char *const words[HOOK_EDIT_KINDS] = {
        [HOOK_EDIT_SENDER] = "sender",
        [HOOK_EDIT_RCPT_ADD] = "recipient added",
        [HOOK_EDIT_RCPT_REMOVE] = "recipient removed",
        [HOOK_EDIT_FIELDS] = "header",
        [HOOK_EDIT_BODY] = "body",
        [HOOK_EDIT_MESSAGE] = "message",
        [HOOK_EDIT_RCPT_STATUS] = "recipient's status",
        [HOOK_EDIT_RCPT_TIMES] = "recipient's times",
        [HOOK_EDIT_RCPT_ROUTE] = "recipient's route",
        [HOOK_EDIT_RCPT_VARIANT] = "recipient's own message",
        [HOOK_EDIT_DSN_DROP] = "notice dropped",
        [HOOK_EDIT_POLICY] = "policy",
    };
    unsigned counts[HOOK_EDIT_KINDS] = {0};
    struct buf text BUF_LOCAL = {0};

    for (uint32_t i = 0; i < o->edit_count; i++) {
        counts[o->edits[i].kind]++;
    }
    for (unsigned kind = 0; kind < HOOK_EDIT_KINDS; kind++) {
        if (counts[kind] > 0 && words[kind] != NULL) {
            buf_printf(&text, "%s%s", text.len > 0 ? ", " : "", words[kind]);
        }
        if (counts[kind] > 1) {
            buf_printf(&text, " (%u)", counts[kind]);
        }
    }
    event_raise(&ev_filter_edited, ABOUT(k, item), f_count(o->edit_count), f_text(buf_str(&text)));
}

/* ---- failures ---- */

static const struct hook_reply failed_for_now = {
    451, {4, 3, 5}, STR_INIT("Unable to accept message at this time")};
static const struct hook_reply failed_for_good = {
    550, {5, 3, 5}, STR_INIT("Unable to accept message")};

static enum next failed(struct asking *k, const struct chain_item *item, struct err e,
                        struct str why, int64_t us)
{
    static const char *const words[] = {[FAILURE_UNSAID] = "",
                                        [FAILURE_ACCEPT] = "accept",
                                        [FAILURE_TEMPFAIL] = "tempfail",
                                        [FAILURE_REJECT] = "reject",
                                        [FAILURE_QUARANTINE] = "quarantine"};
    bool goes_on = hook_stage_is_outbound(k->work.stage) ||
                   (e.code == ERR_PROTOCOL && item->bears_malformed);
    enum filter_failure policy = goes_on ? FAILURE_ACCEPT : item->on_failure[k->work.stage];

    event_raise(&ev_filter_failed, ABOUT(k, item), f_duration(us),
                f_reason(str_of(err_name(e.code))), f_text(why),
                f_action(item->shadow ? STR("accept") : str_of(words[policy])));
    if (item->shadow || policy == FAILURE_ACCEPT) {
        return GO_ON;
    }
    k->ret->is_failure = true;
    k->ret->by = item->name;
    if (policy == FAILURE_QUARANTINE) {
        k->work.action = k->work.action > HOOK_QUARANTINE ? k->work.action : HOOK_QUARANTINE;
        return GO_ON;
    }
    k->work.action = HOOK_REJECT;
    k->work.reply = policy == FAILURE_REJECT ? failed_for_good : failed_for_now;
    return STOP;
}

/* ---- edits ---- */

/* A body that can no longer travel as it is: nobody asked for that, so the answer is no good. */
static bool is_bad_content(const struct asking *k, const struct hook_outcome *o)
{
    for (uint32_t i = 0; i < o->edit_count && !k->q->may_be_binary; i++) {
        struct content c = {0};

        if (o->edits[i].kind == HOOK_EDIT_BODY || o->edits[i].kind == HOOK_EDIT_MESSAGE) {
            content_add(&c, o->edits[i].text);
            if (content_class(&c) == BODY_BINARY) {
                return true;
            }
        }
    }
    return false;
}

static struct err check(struct asking *k, struct hook_outcome *o, struct buf *why)
{
    struct err e = hook_outcome_check(o, &k->work, &k->bounds, k->a, why);

    if (e.code == OK && is_bad_content(k, o)) {
        buf_put(why, STR("the new content has a bare CR or LF, a NUL, or a line over 998 octets"));
        e = err_of(ERR_PROTOCOL);
    }
    return e;
}

static void note_edit(struct asking *k, const struct hook_edit *edit, struct str by)
{
    struct verdict *v = k->ret;

    if (v->edit_count == v->edit_size) {
        struct verdict_edit *more;

        v->edit_size = v->edit_size == 0 ? 8 : v->edit_size * 2;
        more = arena_array(k->a, v->edit_size, sizeof *more);
        if (v->edit_count > 0) {
            memcpy(more, v->edits, v->edit_count * sizeof *more);
        }
        v->edits = more;
    }
    v->edits[v->edit_count++] = (struct verdict_edit){edit, by};
}

static void apply(struct asking *k, const struct chain_item *item, const struct hook_outcome *o)
{
    enum hook_action action = k->work.action;
    struct hook_reply reply = k->work.reply;
    struct hook_view now;

    for (uint32_t i = 0; i < o->edit_count; i++) {
        k->ret->changed |= 1U << o->edits[i].kind;
        if (hook_stage_is_outbound(k->work.stage)) {
            note_edit(k, &o->edits[i], item->name);
        }
    }
    if (o->edit_count > 0) {
        hook_view_apply(&k->work, o, &k->next_id, k->a, &now);
        k->work = now;
        k->work.action = action;
        k->work.reply = reply;
    }
}

static void note_edits(struct asking *k, const struct chain_item *item, uint32_t count)
{
    k->ret->edited_by = item->name;
    state_add(item->state, edits, count);
}

/* The edits that classic hooks have left so far, as one outcome. */
static struct err gather(struct asking *k, const struct chain_item *item, struct hook_outcome *ret,
                         struct buf *why)
{
    *ret = (struct hook_outcome){.action = HOOK_ACCEPT, .reply = {.text = STR_EMPTY}};
    item->dialect->finish(&k->talk->pending, &k->work, k->a, ret);
    return check(k, ret, why);
}

/* They were good when the last of them came in, and the mail is still as it was. */
static void fold(struct asking *k)
{
    const struct chain_item *item = k->collected;
    struct buf why BUF_LOCAL = {0};
    struct hook_outcome o;

    if (item == NULL) {
        return;
    }
    must(gather(k, item, &o, &why).code == OK);
    tell_notes(k, item, &o);
    apply(k, item, &o);
    if (o.action > k->work.action) { /* nobody is left to whom it could go */
        k->work.action = o.action;
        k->ret->by = item->name;
    }
    k->talk->pending = (struct hook_pending){0};
    k->collected = NULL;
}

/* ---- one filter ---- */

/* The strongest word so far stands, and of equal ones the latest. */
static void take_action(struct asking *k, const struct chain_item *item,
                        const struct hook_outcome *o)
{
    bool has_word = o->action != HOOK_ACCEPT || o->reply.code != 0;

    k->ret->disconnect |= o->disconnect;
    if (item->may_weaken && o->action < k->work.action) {
        k->ret->by = o->action > HOOK_ACCEPT ? item->name : STR_EMPTY;
        k->work.action = o->action;
        k->work.reply = o->reply;
        return;
    }
    /* A filter that sees the word so far in its question, and leaves it, has said nothing. */
    if (o->action == k->work.action && o->reply.code == 0 && !is_collected(item)) {
        return;
    }
    if (o->action < k->work.action || !has_word) {
        return;
    }
    if (o->action > HOOK_ACCEPT) {
        k->ret->by = item->name;
        k->ret->reason = o->reason;
        k->ret->is_failure = false;
        state_add(item->state, acted, 1);
    }
    k->work.action = o->action;
    k->work.reply = o->reply;
}

static void take_outbound_action(struct asking *k, const struct chain_item *item,
                                 const struct hook_outcome *o)
{
    if (o->action == HOOK_CANCEL) {
        k->ret->by = item->name;
        k->work.action = HOOK_CANCEL;
        state_add(item->state, acted, 1);
    }
}

/* Its answer is a due one: what follows. `before`: what stood in `pending` before it. */
static enum next obey(struct asking *k, const struct chain_item *item, struct hook_outcome *o,
                      const struct hook_pending *before, int64_t us)
{
    struct buf why BUF_LOCAL = {0};
    struct err e = check(k, o, &why);
    bool has_new = is_collected(item) && k->talk->pending.count > before->count;

    if (e.code == OK && has_new) {
        struct hook_outcome all;

        e = gather(k, item, &all, &why);
    }
    if (e.code != OK) {
        k->talk->pending = *before;
        state_add(item->state, failed, 1);
        return failed(k, item, e, buf_str(&why), us);
    }
    tell_answer(k, item, o, us);
    if (item->shadow) {
        state_add(item->state, shadowed, 1);
        k->talk->pending = *before;
        return GO_ON;
    }
    if (has_new) {
        uint32_t count = k->talk->pending.count - before->count;

        k->collected = item;
        note_edits(k, item, count);
        event_raise(&ev_filter_edited, ABOUT(k, item), f_count(count),
                    f_text(STR("modifications")));
    }
    if (hook_stage_is_outbound(k->work.stage)) {
        take_outbound_action(k, item, o);
    } else {
        take_action(k, item, o);
    }
    if (hook_action_is_last(k->work.action)) {
        return STOP;
    }
    if ((k->work.stage == HOOK_DATA || hook_stage_is_outbound(k->work.stage)) &&
        o->edit_count > 0) {
        note_edits(k, item, o->edit_count);
        tell_edits(k, item, o);
        apply(k, item, o);
    }
    return is_collected(item) && o->action == HOOK_QUARANTINE ? STOP : GO_ON;
}

/* What a sender brings about, with mail that a filter is never shown, shuns it for nobody else. */
static enum breaker_result result_of(struct err e, const struct hook_outcome *o)
{
    bool is_given_up = o->was_unasked || (e.code == ERR_CANCELLED && fiber_is_cancelled());

    return e.code == OK ? BREAKER_GOOD : is_given_up ? BREAKER_GIVEN_UP : BREAKER_FAILED;
}

static enum next ask_one(struct asking *k, const struct chain_item *item, void *session,
                         struct when by)
{
    struct hook_pending before = k->talk->pending;
    struct hook_outcome o = {.action = hook_stage_is_outbound(k->work.stage) ? HOOK_CONTINUE
                                                                             : HOOK_ACCEPT,
                             .reply = {.text = STR_EMPTY}};
    struct buf why BUF_LOCAL = {0};
    struct when began = clock_read();
    struct pass *pass;
    struct err e = by.ns > began.ns ? state_enter(item->state, &pass, &why, by)
                                    : err_of(ERR_TIMEOUT);
    int64_t us;

    if (e.code == OK) {
        e = item->kind->ask(item->filter, session, &k->work, k->a, &o, &why, by);
        state_leave(pass, result_of(e, &o));
        state_add(item->state, asked, o.was_unasked ? 0 : 1);
        state_add(item->state, unasked, o.was_unasked ? 1 : 0);
        state_add(item->state, timed_out, e.code == ERR_TIMEOUT ? 1 : 0);
    } else if (why.len == 0) {
        buf_put(&why, STR("the filters before it have used up the time of this stage"));
    }
    us = (clock_read().ns - began.ns) / 1000;
    if (e.code == ERR_CANCELLED && fiber_is_cancelled()) {
        return CANCELLED;
    }
    if (!o.was_unasked) {
        state_count_latency(item->state, us);
    }
    if (e.code != OK) {
        k->talk->pending = before;
        state_add(item->state, failed, o.was_unasked ? 0 : 1);
        return failed(k, item, e, buf_str(&why), us);
    }
    state_add(item->state, answered, 1);
    return obey(k, item, &o, &before, us);
}

static bool is_enabled(struct asking *k, const struct chain_item *item)
{
    struct enable_facts facts = {&k->work, k->q->is_trusted};
    const char *why = "";
    bool yes = true;

    if (item->enable == NULL) {
        return true;
    }
    if (!enable_is_true(k->talk->chain, item->enable, &facts, k->a, &yes, &why)) {
        event_raise(&ev_filter_enable, ABOUT(k, item), f_text(str_of(why)));
        return true;
    }
    if (!yes) {
        state_add(item->state, skipped, 1);
    }
    return yes;
}

struct err engine_ask(struct talk *t, const struct engine_question *q, struct arena *a,
                      struct verdict *ret, struct when by)
{
    enum hook_stage stage = q->view->stage;
    struct asking k = {.talk = t,
                       .q = q,
                       .a = a,
                       .ret = ret,
                       .work = *q->view,
                       .next_id = ADDED_IDS,
                       .bounds = hook_bounds_over(&q->bounds, q->view)};
    enum next next = GO_ON;

    *ret = (struct verdict){.by = STR_EMPTY, .edited_by = STR_EMPTY, .reason = STR_EMPTY};
    k.stage_by = when_within(by, stage == HOOK_DATA ? STAGE_DATA_MS : STAGE_EARLY_MS);
    t->pending = (struct hook_pending){0};
    for (uint32_t i = 0; i < t->chain->count && next == GO_ON; i++) {
        const struct chain_item *item = &t->chain->items[i];

        if ((item->stages >> stage & 1) == 0 || !is_enabled(&k, item)) {
            continue;
        }
        if (!is_collected(item)) {
            fold(&k);
        }
        if (hook_action_is_last(k.work.action)) {
            break;
        }
        next = ask_one(&k, item, t->sessions[i], when_within(k.stage_by, item->timeout_ms));
    }
    if (next == CANCELLED) {
        return err_of(ERR_CANCELLED);
    }
    if (!hook_action_is_last(k.work.action)) {
        fold(&k);
    }
    if (hook_action_is_last(k.work.action)) {
        ret->changed = 0; /* nothing is left that they could be seen in */
        ret->edit_count = 0;
    }
    ret->action = k.work.action;
    ret->reply = k.work.reply;
    ret->view = k.work;
    return ERR_OK;
}
