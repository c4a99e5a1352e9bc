/*
 * The classic dialect: the modifications of one answer, read strictly. A mistake in one spoils the
 * answer, as it does in Stalwart; so does what would become more lines than it says it is.
 */
#include "base/check.h"
#include "hooks/classic_part.h"

/* Each costs time in proportion to the header section; nobody has use for so many. */
enum { MODIFICATIONS_MAX = 1024, PARAMS_MAX = 32 };

enum { HAS_NAME = 1, HAS_VALUE = 2, HAS_INDEX = 4, HAS_PARAMS = 8 };

static const struct {
    struct str word;
    unsigned has;
} types[CLASSIC_TYPES] = {
    [CLASSIC_CHANGE_FROM] = {STR_INIT("changeFrom"), HAS_VALUE | HAS_PARAMS},
    [CLASSIC_ADD_RECIPIENT] = {STR_INIT("addRecipient"), HAS_VALUE | HAS_PARAMS},
    [CLASSIC_DELETE_RECIPIENT] = {STR_INIT("deleteRecipient"), HAS_VALUE},
    [CLASSIC_REPLACE_CONTENTS] = {STR_INIT("replaceContents"), HAS_VALUE},
    [CLASSIC_ADD_HEADER] = {STR_INIT("addHeader"), HAS_NAME | HAS_VALUE},
    [CLASSIC_INSERT_HEADER] = {STR_INIT("insertHeader"), HAS_NAME | HAS_VALUE | HAS_INDEX},
    [CLASSIC_CHANGE_HEADER] = {STR_INIT("changeHeader"), HAS_NAME | HAS_VALUE | HAS_INDEX},
    [CLASSIC_DELETE_HEADER] = {STR_INIT("deleteHeader"), HAS_NAME | HAS_INDEX},
};

static bool wrong(struct buf *why, const char *what)
{
    buf_put(why, str_of(what));
    return false;
}

/* One pair of brackets and what is behind it is cut, as Stalwart does. */
static struct str bare_address(struct str s)
{
    s = str_trim_ws(s);
    if (str_starts(s, STR("<"))) {
        size_t end = str_rfind(s, '>');

        s = str_skip(end == STR_NONE ? s : str_head(s, end), 1);
    }
    return s;
}

static bool param_value(const struct doc *d, struct arena *a, struct hook_param *ret)
{
    struct buf out BUF_LOCAL = {0};

    ret->has_value = d->kind != DOC_NULL;
    ret->value = STR_EMPTY;
    if (d->kind == DOC_LIST || d->kind == DOC_OBJECT) {
        return false;
    }
    if (d->kind == DOC_TEXT) {
        ret->value = d->text;
        ret->has_value = d->text.len > 0; /* so we show flags */
    } else if (ret->has_value) {
        doc_write_json(&out, d);
        ret->value = arena_dup(a, buf_str(&out));
    }
    return true;
}

static bool read_params(const struct doc *d, struct arena *a, struct hook_params *ret)
{
    struct hook_param *list;

    *ret = (struct hook_params){0};
    if (d == NULL || d->kind == DOC_NULL) {
        return true;
    }
    if (d->kind != DOC_OBJECT || d->count > PARAMS_MAX) {
        return false;
    }
    list = arena_array(a, d->count, sizeof(*list));
    for (uint32_t i = 0; i < d->count; i++) {
        list[i].key = d->members[i].key;
        if (!param_value(&d->members[i].value, a, &list[i])) {
            return false;
        }
    }
    *ret = (struct hook_params){list, d->count};
    return true;
}

static bool read_text(const struct doc *d, struct str *ret)
{
    *ret = d != NULL && d->kind == DOC_TEXT ? d->text : STR_EMPTY;
    return d != NULL && d->kind == DOC_TEXT;
}

static bool read_index(const struct doc *d, uint32_t *ret)
{
    if (d == NULL || d->kind != DOC_INT || d->number < 0 || d->number > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)d->number;
    return true;
}

static bool read_one(const struct doc *d, struct arena *a, struct hook_modification *ret,
                     struct buf *why)
{
    struct str type;
    unsigned has;

    *ret = (struct hook_modification){.name = STR_EMPTY, .value = STR_EMPTY};
    if (!read_text(doc_get(d, "type"), &type)) {
        return wrong(why, "a modification has no type");
    }
    while (ret->type < CLASSIC_TYPES && !str_eq(types[ret->type].word, type)) {
        ret->type++;
    }
    if (ret->type == CLASSIC_TYPES) {
        return wrong(why, "a modification has an unknown type");
    }
    has = types[ret->type].has;
    if ((has & HAS_VALUE) && !read_text(doc_get(d, "value"), &ret->value)) {
        return wrong(why, "a modification has no value that is a text");
    }
    if ((has & HAS_NAME) && !read_text(doc_get(d, "name"), &ret->name)) {
        return wrong(why, "a modification has no name that is a text");
    }
    if ((has & HAS_INDEX) && !read_index(doc_get(d, "index"), &ret->index)) {
        return wrong(why, "a modification has no index that is a whole number");
    }
    if ((has & HAS_PARAMS) && !read_params(doc_get(d, "parameters"), a, &ret->params)) {
        return wrong(why, "a modification has parameters that are none");
    }
    return true;
}

bool classic_modifications_read(const struct doc *list, struct arena *a, struct hook_pending *ret,
                                struct buf *why)
{
    if (list->kind != DOC_LIST) {
        return wrong(why, "modifications is not a list");
    }
    if (list->count > MODIFICATIONS_MAX) {
        return wrong(why, "there are more modifications than we take");
    }
    ret->items = arena_array(a, list->count, sizeof(*ret->items));
    ret->size = list->count;
    while (ret->count < list->count) {
        if (!read_one(&list->members[ret->count].value, a, &ret->items[ret->count], why)) {
            return false;
        }
        ret->count++;
    }
    return true;
}

/* ---- what may not stand where it goes ---- */

static bool check_address(struct hook_modification *m, bool utf8, struct buf *why)
{
    m->value = bare_address(m->value);
    for (size_t i = 0; i < m->value.len; i++) {
        if ((unsigned char)m->value.ptr[i] < 0x20 || m->value.ptr[i] == 0x7f) {
            return wrong(why, "an address has control characters");
        }
    }
    for (uint32_t i = 0; i < m->params.count; i++) {
        if (!hook_param_is_good(&m->params.items[i], utf8)) {
            return wrong(why, "a parameter is not one KEY=VALUE");
        }
    }
    return true;
}

/* To change a field to nothing is to delete it: that is said before a CR LF is cut. Whether one that
 * is changed may have bytes beyond ASCII hangs on what it had: the check of all fields says it. */
static bool check_field(struct hook_modification *m, bool utf8, struct arena *a, struct buf *why)
{
    bool is_good;

    if (m->type == CLASSIC_CHANGE_HEADER && m->value.len == 0) {
        m->type = CLASSIC_DELETE_HEADER;
    }
    is_good = m->type == CLASSIC_CHANGE_HEADER ? hook_field_is_good(m->name, &m->value, true)
                                               : hook_field_fit(m->name, &m->value, utf8, a);
    return is_good || wrong(why, "a header field is not one good field");
}

bool classic_modifications_check(struct hook_pending *p, const struct hook_view *view,
                                 struct arena *a, struct buf *why)
{
    bool is_good = true;

    for (uint32_t i = 0; i < p->count && is_good; i++) {
        struct hook_modification *m = &p->items[i];

        switch (m->type) {
        case CLASSIC_CHANGE_FROM:
        case CLASSIC_ADD_RECIPIENT:
        case CLASSIC_DELETE_RECIPIENT:
            is_good = check_address(m, view->smtputf8, why);
            break;
        case CLASSIC_ADD_HEADER:
        case CLASSIC_INSERT_HEADER:
        case CLASSIC_CHANGE_HEADER:
        case CLASSIC_DELETE_HEADER:
            is_good = check_field(m, view->smtputf8, a, why);
            break;
        case CLASSIC_REPLACE_CONTENTS:
        case CLASSIC_TYPES:
            break;
        }
    }
    return is_good;
}
