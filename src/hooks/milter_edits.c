/*
 * Edits of a milter, in the order they come, each on what the ones before have left, as Sendmail
 * and Postfix do it:
 *
 *   change header   index counts the fields of that name, from 1; 0 is taken as 1. An empty value
 *                   removes it. Beyond the last: removing does nothing, a value is added at the
 * end. insert header   index counts all fields, with our Received as 0; beyond the last: at the
 * end. replace body    pieces follow one another. A line feed by itself becomes the end of a line.
 *
 * Values come with line feeds between the lines of a fold. Unless the filter asked for the leading
 * blank to be its own, there is one behind the colon.
 */
#include "base/check.h"
#include "hooks/milter_part.h"
#include "mail/text.h"

enum {
    EDITS_MAX = 4096, /* each may move a whole list: what we do for them stays a small thing */
    EDIT_PARAMS_MAX = 32
};

void milter_edits_init(struct milter_edits *e, const struct hook_view *view,
                       const struct milter_terms *terms, struct arena *a)
{
    *e = (struct milter_edits){.view = view, .terms = terms, .a = a, .reason = STR_EMPTY};
}

void milter_edits_done(struct milter_edits *e)
{
    buf_done(&e->body);
}

/* ---- fields ---- */

/* Room for one more in an array of the arena. */
static void *grown(struct arena *a, void *old, uint32_t count, uint32_t *size, size_t bytes)
{
    void *more;

    if (count < *size) {
        return old;
    }
    *size = *size > 0 ? 2 * *size : 16;
    more = arena_array(a, *size, bytes);
    if (count > 0) {
        memcpy(more, old, count * bytes);
    }
    return more;
}

static void own_fields(struct milter_edits *e)
{
    if (e->fields == NULL) {
        e->field_count = e->view->field_count;
        e->field_size = e->field_count + 16;
        e->fields = arena_array(e->a, e->field_size, sizeof *e->fields);
        if (e->field_count > 0) {
            memcpy(e->fields, e->view->fields, e->field_count * sizeof *e->fields);
        }
    }
}

/* Each end of a line, however the filter wrote it, as CR LF. */
static void put_lines(struct buf *out, struct str in, bool *after_cr)
{
    while (in.len > 0) {
        size_t n = str_find(in, '\n');
        struct str run = str_head(in, n);

        buf_put(out, run);
        *after_cr = run.len > 0 ? run.ptr[run.len - 1] == '\r' : *after_cr;
        if (n == STR_NONE) {
            return;
        }
        buf_put(out, *after_cr ? STR("\n") : STR("\r\n"));
        *after_cr = false;
        in = str_skip(in, n + 1);
    }
}

static struct hook_field field_of(struct milter_edits *e, const struct milter_reply *r)
{
    bool has_blank = (e->terms->steps & MILTER_LEADING_SPACE) != 0, after_cr = false;
    struct buf value BUF_LOCAL = {0};

    if (!has_blank) {
        buf_byte(&value, ' ');
    }
    put_lines(&value, r->value, &after_cr);
    return (struct hook_field){.name = arena_dup(e->a, r->name),
                               .value = arena_dup(e->a, buf_str(&value)),
                               .whole = STR_EMPTY};
}

static void insert_field(struct milter_edits *e, uint32_t at, const struct milter_reply *r)
{
    own_fields(e);
    e->fields = grown(e->a, e->fields, e->field_count, &e->field_size, sizeof *e->fields);
    if (at > e->field_count) {
        at = e->field_count;
    }
    memmove(e->fields + at + 1, e->fields + at, (e->field_count - at) * sizeof *e->fields);
    e->fields[at] = field_of(e, r);
    e->field_count++;
}

static void change_field(struct milter_edits *e, const struct milter_reply *r)
{
    uint32_t left = r->index > 0 ? r->index : 1, at;

    own_fields(e);
    for (at = 0; at < e->field_count; at++) {
        left -= str_eq_nocase(e->fields[at].name, r->name);
        if (left == 0) {
            break;
        }
    }
    if (r->value.len > 0 && at == e->field_count) {
        insert_field(e, at, r);
    } else if (r->value.len > 0) {
        e->fields[at] = field_of(e, r);
    } else if (at < e->field_count) {
        e->field_count--;
        memmove(e->fields + at, e->fields + at + 1, (e->field_count - at) * sizeof *e->fields);
    }
}

/* ---- envelope ---- */

static struct str bare(struct str address)
{
    return address.len >= 2 && address.ptr[0] == '<' && str_ends(address, STR(">"))
               ? str_head(str_skip(address, 1), address.len - 2)
               : address;
}

/* Local parts mean what their host says; domains do not know case. */
static bool is_same(struct str a, struct str b)
{
    return str_eq(address_local(a), address_local(b)) &&
           str_eq_nocase(address_domain(a), address_domain(b));
}

static struct milter_rcpt *add_rcpt_edit(struct milter_edits *e)
{
    e->rcpts = grown(e->a, e->rcpts, e->rcpt_count, &e->rcpt_size, sizeof *e->rcpts);
    return &e->rcpts[e->rcpt_count++];
}

static bool is_removed(const struct milter_edits *e, uint32_t id)
{
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        if (e->rcpts[i].is_removal && e->rcpts[i].id == id) {
            return true;
        }
    }
    return false;
}

static void remove_rcpt(struct milter_edits *e, struct str address)
{
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        if (!e->rcpts[i].is_removal && is_same(e->rcpts[i].address, address)) {
            e->rcpts[i].is_void = true;
        }
    }
    for (uint32_t i = 0; i < e->view->to_count; i++) {
        if (is_same(e->view->to[i].address, address) && !is_removed(e, e->view->to[i].id)) {
            *add_rcpt_edit(e) = (struct milter_rcpt){
                .address = STR_EMPTY, .is_removal = true, .id = e->view->to[i].id};
        }
    }
}

static bool has_rcpt(const struct milter_edits *e, struct str address)
{
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        if (!e->rcpts[i].is_removal && !e->rcpts[i].is_void &&
            is_same(e->rcpts[i].address, address)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < e->view->to_count; i++) {
        if (is_same(e->view->to[i].address, address) && !is_removed(e, e->view->to[i].id)) {
            return true;
        }
    }
    return false;
}

/* One that is there already stays as it is. */
static void add_rcpt(struct milter_edits *e, const struct milter_reply *r)
{
    struct str address = bare(r->name);

    if (!has_rcpt(e, address)) {
        *add_rcpt_edit(e) = (struct milter_rcpt){.address = arena_dup(e->a, address),
                                                 .params = arena_dup(e->a, r->value)};
    }
}

/* "KEY=VALUE KEY"; false: too many, or an empty key. */
static bool params_of(struct str text, struct arena *a, struct hook_params *ret)
{
    struct hook_param *items = arena_array(a, EDIT_PARAMS_MAX, sizeof *items);
    uint32_t count = 0;

    while (text.len > 0) {
        struct str word, value;

        str_cut(&text, ' ', &word);
        if (word.len == 0) {
            continue;
        }
        if (count == EDIT_PARAMS_MAX) {
            return false;
        }
        value = word;
        items[count].has_value = str_cut(&value, '=', &items[count].key);
        items[count].value = items[count].has_value ? value : STR_EMPTY;
        if (items[count++].key.len == 0) {
            return false;
        }
    }
    *ret = (struct hook_params){items, count};
    return true;
}

/* ---- all ---- */

struct err milter_edits_add(struct milter_edits *e, const struct milter_reply *r, const char **why)
{
    enum milter_right right;

    must(milter_word_is_edit(r->word, &right));
    if ((e->terms->rights & right) == 0) {
        *why = "an edit that was not agreed on";
        return err_of(ERR_PROTOCOL);
    }
    if (r->word != MILTER_REPLACE_BODY && ++e->edit_count > EDITS_MAX) {
        *why = "too many edits";
        return err_of(ERR_LIMIT);
    }
    if (r->word == MILTER_ADD_HEADER) {
        own_fields(e);
        insert_field(e, e->field_count, r);
    } else if (r->word == MILTER_INSERT_HEADER) {
        insert_field(e, r->index > 0 ? r->index - 1 : 0, r);
    } else if (r->word == MILTER_CHANGE_HEADER) {
        change_field(e, r);
    } else if (r->word == MILTER_REPLACE_BODY) {
        put_lines(&e->body, r->value, &e->body_cr);
        e->has_body = true;
    } else if (r->word == MILTER_ADD_RCPT || r->word == MILTER_ADD_RCPT_PARAMS) {
        add_rcpt(e, r);
    } else if (r->word == MILTER_DELETE_RCPT) {
        remove_rcpt(e, bare(r->name));
    } else if (r->word == MILTER_CHANGE_SENDER) {
        e->has_sender = true;
        e->sender = arena_dup(e->a, bare(r->name));
        e->sender_params = arena_dup(e->a, r->value);
    } else {
        e->is_quarantined = true;
        e->reason = arena_dup(e->a, str_head(r->value, RESULT_TEXT_BYTES_MAX));
    }
    return ERR_OK;
}

static bool finish_envelope(struct milter_edits *e, struct hook_outcome *ret)
{
    if (e->has_sender) {
        struct hook_edit *edit = hook_edit_add(ret, e->a, HOOK_EDIT_SENDER);

        edit->text = e->sender;
        edit->has_params = e->sender_params.len > 0;
        if (edit->has_params && !params_of(e->sender_params, e->a, &edit->params)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        const struct milter_rcpt *r = &e->rcpts[i];
        struct hook_edit *edit;

        if (r->is_void) {
            continue;
        }
        edit = hook_edit_add(ret, e->a, r->is_removal ? HOOK_EDIT_RCPT_REMOVE : HOOK_EDIT_RCPT_ADD);
        edit->target = r->id;
        edit->text = r->address;
        edit->has_params = r->params.len > 0;
        if (edit->has_params && !params_of(r->params, e->a, &edit->params)) {
            return false;
        }
    }
    return true;
}

struct err milter_edits_finish(struct milter_edits *e, struct hook_outcome *ret, const char **why)
{
    if (!finish_envelope(e, ret)) {
        *why = "parameters of an address that are none";
        return err_of(ERR_PROTOCOL);
    }
    if (e->fields != NULL) {
        struct hook_edit *edit = hook_edit_add(ret, e->a, HOOK_EDIT_FIELDS);

        edit->fields = e->fields;
        edit->field_count = e->field_count;
        edit->is_exact = true;
    }
    if (e->has_body) {
        hook_edit_add(ret, e->a, HOOK_EDIT_BODY)->text = arena_dup(e->a, buf_str(&e->body));
    }
    if (e->is_quarantined) {
        struct buf reason BUF_LOCAL = {0};

        text_put(&reason, e->reason, e->view->smtputf8);
        ret->action = HOOK_QUARANTINE;
        ret->reason = arena_dup(e->a, buf_str(&reason));
    }
    return ERR_OK;
}
