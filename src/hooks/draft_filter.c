#include "hooks/draft_filter.h"

#include "base/check.h"
#include "hooks/draft.h"
#include "mime/mime.h"

enum answer { NO, YES, LEFT_OUT };

struct asked {
    const struct hook_view *view;
    struct arena *a;
    struct mime_message message;
    bool is_parsed, is_readable;
};

typedef bool matches_fn(struct asked *q, const struct doc *value);

/* ---- texts ---- */

static bool contains(struct str text, struct str part)
{
    for (size_t at = 0; at + part.len <= text.len; at++) {
        if (bytes_eq_nocase(text.ptr + at, part.ptr, part.len)) {
            return true;
        }
    }
    return false;
}

/* With stars for any characters; case apart, as addresses are compared by people. */
static bool fits(struct str text, struct str pattern)
{
    size_t t = 0, p = 0, star = STR_NONE, mark = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len && byte_lower(pattern.ptr[p]) == byte_lower(text.ptr[t])) {
            p++;
            t++;
        } else if (star != STR_NONE) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

static const struct mime_message *parsed(struct asked *q)
{
    struct buf all BUF_LOCAL = {.max = MIME_BYTES_MAX};

    if (!q->is_parsed) {
        q->is_parsed = true;
        draft_put_headers(&all, q->view);
        if (q->view->body.read == NULL) {
            buf_put(&all, q->view->body.whole);
        }
        q->is_readable = !all.failed && mime_parse(buf_str(&all), q->a, &q->message).code == OK;
    }
    return q->is_readable ? &q->message : NULL;
}

/* ---- conditions ---- */

static bool is_from(struct asked *q, const struct doc *value)
{
    return fits(q->view->sender, value->text);
}

static bool is_to(struct asked *q, const struct doc *value)
{
    const struct hook_view *v = q->view;
    uint32_t first = v->stage == HOOK_RCPT ? v->to_count - 1 : 0;

    for (uint32_t i = first; i < v->to_count; i++) {
        if (fits(v->to[i].address, value->text)) {
            return true;
        }
    }
    return false;
}

static bool is_large(struct asked *q, const struct doc *value)
{
    return q->view->message_bytes >= (uint64_t)value->number;
}

static bool is_small(struct asked *q, const struct doc *value)
{
    return q->view->message_bytes < (uint64_t)value->number;
}

static bool in_addresses(const struct mime_addresses *list, struct str part)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (contains(list->items[i].name, part) || contains(list->items[i].email, part)) {
            return true;
        }
    }
    return false;
}

#define IN_ADDRESSES(name, list)                                                                   \
    static bool name(struct asked *q, const struct doc *value)                                     \
    {                                                                                              \
        const struct mime_message *m = parsed(q);                                                  \
                                                                                                   \
        return m != NULL && in_addresses(&m->list, value->text);                                   \
    }
IN_ADDRESSES(has_from, from)
IN_ADDRESSES(has_to, to)
IN_ADDRESSES(has_cc, cc)
IN_ADDRESSES(has_bcc, bcc)

static bool has_subject(struct asked *q, const struct doc *value)
{
    const struct mime_message *m = parsed(q);

    return m != NULL && contains(m->subject, value->text);
}

static bool in_part(const struct mime_part *p, struct str part)
{
    bool found = p->is_text && contains(p->text, part);

    for (uint32_t i = 0; !found && i < p->part_count; i++) {
        found = in_part(&p->parts[i], part);
    }
    return found;
}

static bool has_body(struct asked *q, const struct doc *value)
{
    const struct mime_message *m = parsed(q);

    return m != NULL && in_part(&m->root, value->text);
}

static bool has_text(struct asked *q, const struct doc *value)
{
    return has_from(q, value) || has_to(q, value) || has_cc(q, value) || has_bcc(q, value) ||
           has_subject(q, value) || has_body(q, value);
}

/* [name] or [name, part of the value] */
static bool has_header(struct asked *q, const struct doc *value)
{
    const struct hook_view *v = q->view;
    struct str name = value->members[0].value.text;
    struct str part = value->count > 1 ? value->members[1].value.text : STR_EMPTY;

    for (uint32_t i = 0; i < v->field_count; i++) {
        if (str_eq_nocase(v->fields[i].name, name) && contains(v->fields[i].value, part)) {
            return true;
        }
    }
    return false;
}

static bool is_attached(const struct mime_part *p)
{
    bool found = str_eq_nocase(p->disposition, STR("attachment"));

    for (uint32_t i = 0; !found && i < p->part_count; i++) {
        found = is_attached(&p->parts[i]);
    }
    return found;
}

static bool has_attachment(struct asked *q, const struct doc *value)
{
    const struct mime_message *m = parsed(q);

    return m != NULL && is_attached(&m->root) == value->yes;
}

enum needs { OF_SENDER, OF_RCPT, OF_MESSAGE, OF_BODY };
enum wants { WANTS_TEXT, WANTS_SIZE, WANTS_BOOL, WANTS_HEADER };

static const struct condition {
    const char *name;
    enum needs needs;
    enum wants wants;
    matches_fn *matches;
} conditions[] = {
    {"envelopeFrom", OF_SENDER, WANTS_TEXT, is_from},
    {"envelopeTo", OF_RCPT, WANTS_TEXT, is_to},
    {"minSize", OF_MESSAGE, WANTS_SIZE, is_large},
    {"maxSize", OF_MESSAGE, WANTS_SIZE, is_small},
    {"from", OF_MESSAGE, WANTS_TEXT, has_from},
    {"to", OF_MESSAGE, WANTS_TEXT, has_to},
    {"cc", OF_MESSAGE, WANTS_TEXT, has_cc},
    {"bcc", OF_MESSAGE, WANTS_TEXT, has_bcc},
    {"subject", OF_MESSAGE, WANTS_TEXT, has_subject},
    {"header", OF_MESSAGE, WANTS_HEADER, has_header},
    {"body", OF_BODY, WANTS_TEXT, has_body},
    {"text", OF_BODY, WANTS_TEXT, has_text},
    {"hasAttachment", OF_BODY, WANTS_BOOL, has_attachment},
};

static const struct condition *find(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(conditions); i++) {
        if (str_eq(name, str_of(conditions[i].name))) {
            return &conditions[i];
        }
    }
    return NULL;
}

static bool is_value(enum wants wants, const struct doc *v)
{
    switch (wants) {
    case WANTS_TEXT:
        return v->kind == DOC_TEXT;
    case WANTS_SIZE:
        return v->kind == DOC_INT && v->number >= 0;
    case WANTS_BOOL:
        return v->kind == DOC_BOOL;
    case WANTS_HEADER:
        break;
    }
    return v->kind == DOC_LIST && (v->count == 1 || v->count == 2) &&
           v->members[0].value.kind == DOC_TEXT &&
           (v->count == 1 || v->members[1].value.kind == DOC_TEXT);
}

/* ---- filters ---- */

static bool check(const struct doc *f, unsigned depth, struct buf *why)
{
    const struct doc *name = doc_get(f, "operator"), *list = doc_get(f, "conditions");

    if (f->kind != DOC_OBJECT || f->count == 0) {
        buf_put(why, STR("a filter is an object with an operator or with conditions"));
        return false;
    }
    if (depth > DRAFT_FILTER_DEPTH_MAX) {
        buf_put(why, STR("operators are nested too deep"));
        return false;
    }
    if (name == NULL) {
        for (uint32_t i = 0; i < f->count; i++) {
            const struct condition *c = find(f->members[i].key);

            if (c == NULL || !is_value(c->wants, &f->members[i].value)) {
                buf_printf(why,
                           c == NULL ? "there is no condition \"%.*s\""
                                     : "\"%.*s\" has a value of the wrong type",
                           STR_ARG(str_head(f->members[i].key, 64)));
                return false;
            }
        }
        return true;
    }
    if (name->kind != DOC_TEXT ||
        (!str_eq(name->text, STR("AND")) && !str_eq(name->text, STR("OR")) &&
         !str_eq(name->text, STR("NOT")))) {
        buf_put(why, STR("an operator is AND, OR or NOT"));
        return false;
    }
    if (list == NULL || list->kind != DOC_LIST || list->count == 0 || f->count != 2) {
        buf_put(why, STR("an operator has a list of conditions, and nothing else"));
        return false;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (!check(&list->members[i].value, depth + 1, why)) {
            return false;
        }
    }
    return true;
}

bool draft_filter_check(const struct doc *filter, struct buf *why)
{
    return check(filter, 1, why);
}

bool draft_filter_wants_body(const struct doc *filter)
{
    const struct doc *list = doc_get(filter, "conditions");

    if (list == NULL) {
        for (uint32_t i = 0; i < filter->count; i++) {
            if (find(filter->members[i].key)->needs == OF_BODY) {
                return true;
            }
        }
        return false;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (draft_filter_wants_body(&list->members[i].value)) {
            return true;
        }
    }
    return false;
}

static bool is_known(const struct hook_view *v, enum needs needs)
{
    switch (needs) {
    case OF_SENDER:
        return v->has_sender;
    case OF_RCPT:
        return v->to_count > 0;
    case OF_MESSAGE:
    case OF_BODY:
        break;
    }
    return v->has_message;
}

static enum answer look(struct asked *q, const struct doc *f);

static enum answer look_all(struct asked *q, const struct doc *f)
{
    enum answer answer = LEFT_OUT;

    for (uint32_t i = 0; i < f->count; i++) {
        const struct condition *c = find(f->members[i].key);

        if (is_known(q->view, c->needs)) {
            if (!c->matches(q, &f->members[i].value)) {
                return NO;
            }
            answer = YES;
        }
    }
    return answer;
}

static enum answer look(struct asked *q, const struct doc *f)
{
    const struct doc *name = doc_get(f, "operator"), *list = doc_get(f, "conditions");
    bool has[3] = {false, false, false};

    if (name == NULL) {
        return look_all(q, f);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        has[look(q, &list->members[i].value)] = true;
    }
    if (!has[NO] && !has[YES]) {
        return LEFT_OUT;
    }
    if (str_eq(name->text, STR("AND"))) {
        return has[NO] ? NO : YES;
    }
    return has[YES] == str_eq(name->text, STR("OR")) ? YES : NO;
}

bool draft_filter_matches(const struct doc *filter, const struct hook_view *view, struct arena *a)
{
    struct asked q = {.view = view, .a = a};

    return look(&q, filter) != NO;
}
