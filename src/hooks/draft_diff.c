/*
 * What an answer made of the tree, as an outcome: action, reply, fields, message. Whatever differs
 * and has no meaning here makes the answer a wrong one.
 */
#include "base/check.h"
#include "hooks/draft.h"
#include "hooks/policy.h"
#include "mail/utf8.h"

bool draft_same_but(const struct doc *a, const struct doc *b, const char *const *names)
{
    uint32_t count[2] = {0, 0};
    const struct doc *sides[2] = {a, b};

    if (a == NULL || b == NULL || a->kind != DOC_OBJECT || b->kind != DOC_OBJECT) {
        return a != NULL && b != NULL && doc_equal(a, b);
    }
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < sides[side]->count; i++) {
            const struct doc_member *m = &sides[side]->members[i];
            const struct doc *other = doc_at(sides[1 - side], m->key);
            bool is_named = false;

            for (int k = 0; names[k] != NULL; k++) {
                is_named = is_named || str_eq(m->key, str_of(names[k]));
            }
            if (!is_named) {
                count[side]++;
                if (other == NULL || (side == 0 && !doc_equal(&m->value, other))) {
                    return false;
                }
            }
        }
    }
    return count[0] == count[1];
}

static int strength(enum hook_action a)
{
    switch (a) {
    case HOOK_ACCEPT:
    case HOOK_CONTINUE:
        return 0;
    case HOOK_QUARANTINE:
        return 1;
    case HOOK_REJECT:
    case HOOK_DISCARD:
    case HOOK_DISCONNECT:
    case HOOK_CANCEL:
        return 2;
    case HOOK_ACTIONS:
        break;
    }
    never("an action of the table");
}

static struct err diff_action(struct draft *d)
{
    const struct doc *action = doc_get(&d->after, "action");
    struct hook_outcome *o = d->outcome;

    if (action == NULL || !draft_to_action(action, d->view->stage, &o->action)) {
        return draft_wrong(d, "an action that does not exist at this stage");
    }
    if (strength(o->action) < strength(d->view->action) && !d->terms->may_weaken) {
        struct str weak = hook_action_name(o->action), was = hook_action_name(d->view->action);

        hook_note(o, d->a, "%.*s is less than %.*s, which stays", STR_ARG(weak), STR_ARG(was));
        o->action = d->view->action;
    }
    return ERR_OK;
}

static struct err diff_reply(struct draft *d)
{
    const struct doc *was = doc_get(&d->before, "response"), *is = doc_get(&d->after, "response");
    const struct doc *code, *esc, *text;
    struct hook_reply *reply = &d->outcome->reply;

    if (was == NULL && is == NULL) {
        return ERR_OK;
    }
    if (is == NULL || !draft_is_response(is)) {
        return draft_wrong(d, "a response that is none");
    }
    if (is->kind == DOC_NULL || (was != NULL && doc_equal(was, is))) {
        return ERR_OK;
    }
    code = doc_get(is, "code");
    esc = doc_get(is, "enhancedCode");
    text = doc_get(is, "message");
    if (code == NULL) {
        hook_note(d->outcome, d->a, "a response without a code was left out");
        return ERR_OK;
    }
    draft_to_code(code, &reply->code);
    reply->text = text != NULL && text->kind == DOC_TEXT ? text->text : STR_EMPTY;
    /* One that was there before goes with its code. */
    if (esc != NULL && esc->kind == DOC_TEXT && draft_to_enhanced(esc, &reply->esc) &&
        reply->esc.class != reply->code / 100) {
        const struct doc *old = doc_get(was, "enhancedCode");

        if (old == NULL || !doc_equal(old, esc)) {
            hook_note(d->outcome, d->a, "an enhanced code that does not fit %u was left out",
                      reply->code);
        }
        reply->esc = (struct enhanced){0};
    }
    return ERR_OK;
}

/* Fields. */

struct fields {
    struct draft *d;
    const struct doc *was; /* the list of headers; may be NULL */
    struct hook_field *items;
    uint32_t count;
    uint32_t next; /* where the search for bytes that are already there goes on */
    bool is_changed;
};

/* As RFC 8621 has it the value is raw and begins with a blank; as the draft's examples have it not.
 */
static struct str raw_value(struct draft *d, struct str value)
{
    bool is_raw = value.len > 0 && strchr(" \t\r", value.ptr[0]) != NULL;

    return is_raw ? value : arena_printf(d->a, " %.*s", STR_ARG(value));
}

static bool is_same_header(const struct doc *a, const struct doc *b)
{
    return str_eq(doc_get(a, "name")->text, doc_get(b, "name")->text) &&
           str_eq(doc_get(a, "value")->text, doc_get(b, "value")->text);
}

/* A header that was written anew with what it had: the one it was keeps its bytes. */
static uint32_t find_same(struct fields *f, const struct doc *header)
{
    enum { STEPS_MAX = 256 };
    const struct hook_view *view = f->d->view;

    for (uint32_t i = f->next; i < view->field_count && i - f->next < STEPS_MAX; i++) {
        if (is_same_header(&f->was->members[i].value, header)) {
            return i + 1;
        }
    }
    return 0;
}

static void put_field(struct fields *f, const struct doc *header)
{
    struct draft *d = f->d;
    const struct hook_view *view = d->view;
    uint32_t tag = header->tag <= view->field_count ? header->tag : 0;
    struct hook_field field = {.name = doc_get(header, "name")->text};
    struct str value = doc_get(header, "value")->text;

    if (tag == 0) {
        tag = find_same(f, header);
    }
    if (tag > 0) {
        const struct doc *was = &f->was->members[tag - 1].value;

        f->next = tag;
        if (is_same_header(was, header)) {
            f->is_changed = f->is_changed || tag != f->count + 1;
            f->items[f->count++] = view->fields[tag - 1];
            return;
        }
        if (str_eq(doc_get(was, "value")->text, value)) {
            field.value = view->fields[tag - 1].value;
        }
    }
    if (field.value.ptr == NULL) {
        field.value = raw_value(d, value);
    }
    f->is_changed = true;
    f->items[f->count++] = field;
}

static void put_subject(struct fields *f, struct str text)
{
    struct draft *d = f->d;
    struct buf value BUF_LOCAL = {0};
    uint32_t i = 0;

    buf_byte(&value, ' ');
    if (d->view->smtputf8) {
        buf_put(&value, text);
    } else {
        utf8_put_encoded_words(&value, text);
    }
    while (i < f->count && !str_eq_nocase(f->items[i].name, STR("Subject"))) {
        i++;
    }
    f->items[i] = (struct hook_field){
        .name = i < f->count ? f->items[i].name : STR("Subject"),
        .value = arena_dup(d->a, buf_str(&value)),
    };
    f->count += i == f->count;
    f->is_changed = true;
}

static bool are_headers(const struct doc *list)
{
    bool is_good = list != NULL && list->kind == DOC_LIST;

    for (uint32_t i = 0; is_good && i < list->count; i++) {
        is_good = draft_is_header(&list->members[i].value);
    }
    return is_good;
}

static struct err diff_fields(struct draft *d, const struct doc *was, const struct doc *is)
{
    static const char *const known[] = {"headers", "subject", NULL};
    const struct doc *list = doc_get(is, "headers");
    const struct doc *old = doc_get(was, "subject"), *subject = doc_get(is, "subject");
    struct fields f = {.d = d, .was = doc_get(was, "headers")};

    if (!draft_same_but(was, is, known)) {
        return draft_wrong(d, "a change of the message in a place that cannot be changed");
    }
    if (!are_headers(list)) {
        return draft_wrong(d, "headers that are none");
    }
    f.items = arena_array(d->a, (size_t)list->count + 1, sizeof(*f.items));
    for (uint32_t i = 0; i < list->count; i++) {
        put_field(&f, &list->members[i].value);
    }
    f.is_changed = f.is_changed || f.count != d->view->field_count;
    if (subject == NULL || old == NULL || !doc_equal(subject, old)) {
        if (subject == NULL || subject->kind != DOC_TEXT) {
            return draft_wrong(d, "a subject that is no text");
        }
        put_subject(&f, subject->text);
    }
    if (f.is_changed) {
        struct hook_edit *edit = hook_edit_add(d->outcome, d->a, HOOK_EDIT_FIELDS);

        edit->fields = f.items;
        edit->field_count = f.count;
    }
    return ERR_OK;
}

static bool is_gone(const struct doc *d)
{
    return d == NULL || d->kind == DOC_NULL;
}

static struct err diff_message(struct draft *d)
{
    const struct doc *was = doc_get(&d->before, "message"), *is = doc_get(&d->after, "message");
    const struct doc *raw = doc_get(&d->after, "rawMessage");
    struct str bytes;

    if (!d->view->has_message) {
        return is_gone(is) && is_gone(raw)
                   ? ERR_OK
                   : draft_wrong(d, "a change of a message that is not there yet");
    }
    if (is_gone(is) || raw == NULL) {
        if (d->view->stage != HOOK_DSN) {
            return draft_wrong(d, "a message cannot be taken away at this stage");
        }
        hook_edit_add(d->outcome, d->a, HOOK_EDIT_DSN_DROP);
        return ERR_OK;
    }
    if (raw->kind != DOC_NULL) {
        struct hook_edit *edit;

        if (!draft_to_message(raw, d->a, &bytes)) {
            return draft_wrong(d, "a rawMessage that is no message");
        }
        edit = hook_edit_add(d->outcome, d->a, HOOK_EDIT_MESSAGE);
        edit->text = bytes;
        if (!doc_equal(was, is)) {
            hook_note(d->outcome, d->a,
                      "skipped: changes of message, since rawMessage replaces it");
        }
        return ERR_OK;
    }
    return diff_fields(d, was, is);
}

/* A refusal is told in the draft's words where the scanner has none that fit. */
static void complete_reply(struct draft *d)
{
    static const struct hook_reply refused = {550, {5, 7, 1}, STR_INIT("Refused by policy")};
    static const struct hook_reply turned_away = {554, {5, 7, 1}, STR_INIT("Refused by policy")};
    static const struct hook_reply closed = {421, {4, 7, 0}, STR_INIT("Closing connection")};
    struct hook_outcome *o = d->outcome;

    hook_reply_check(o, d->view, d->a);
    if (o->reply.code == 0 && o->action == HOOK_REJECT) {
        o->reply = d->view->stage == HOOK_CONNECT ? turned_away : refused;
    } else if (o->reply.code == 0 && o->action == HOOK_DISCONNECT) {
        o->reply = closed;
    }
}

/* What is said about queueing. */
static struct err diff_policy(struct draft *d)
{
    const struct doc *was = doc_at(doc_get(&d->before, "ext"), STR(POLICY_NAMESPACE));
    const struct doc *ext = doc_get(&d->after, "ext");
    const struct doc *is = ext != NULL ? doc_at(ext, STR(POLICY_NAMESPACE)) : NULL;
    struct doc changes;

    if (was == NULL || (is != NULL && doc_equal(was, is))) {
        return ERR_OK;
    }
    if (!hook_policy_changes(was, is, d->a, &changes)) {
        return draft_wrong(d, "what was said about queueing cannot be taken back");
    }
    hook_policy_read(&changes, d->a, d->outcome);
    return ERR_OK;
}

struct err draft_diff(struct draft *d)
{
    static const char *const known[] = {"action",     "response", "envelope", "message",
                                        "rawMessage", "ext",      NULL};
    struct err e = diff_action(d);

    if (!e.code && !draft_same_but(&d->before, &d->after, known)) {
        e = draft_wrong(d, "a change in a place that cannot be changed");
    }
    if (!e.code) {
        e = diff_reply(d);
    }
    if (!e.code) {
        e = draft_diff_envelope(d);
    }
    if (!e.code) {
        e = diff_message(d);
    }
    if (!e.code) {
        e = diff_policy(d);
    }
    if (!e.code) {
        complete_reply(d);
    }
    /* To cancel a notice is to drop it: the message it speaks of is another. */
    if (!e.code && d->view->stage == HOOK_DSN && d->outcome->action == HOOK_CANCEL) {
        d->outcome->action = HOOK_CONTINUE;
        hook_edit_add(d->outcome, d->a, HOOK_EDIT_DSN_DROP);
    }
    return e;
}
