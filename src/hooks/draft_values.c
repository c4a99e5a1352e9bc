#include "base/base64.h"
#include "hooks/draft.h"
#include "mail/header.h"

static const char *const status_names[] = {
    [HOOK_PENDING] = "pending",
    [HOOK_DELIVERED] = "delivered",
    [HOOK_DEFERRED] = "deferred",
    [HOOK_FAILED] = "failed",
    [HOOK_FAILED_SILENT] = "failed-silent",
};

struct str draft_status_name(enum hook_rcpt_status s)
{
    return str_of(status_names[s]);
}

bool draft_to_status(const struct doc *d, enum hook_rcpt_status *ret)
{
    for (int i = 0; d->kind == DOC_TEXT && i <= HOOK_FAILED_SILENT; i++) {
        if (str_eq(d->text, str_of(status_names[i]))) {
            *ret = (enum hook_rcpt_status)i;
            return true;
        }
    }
    return false;
}

bool draft_to_action(const struct doc *d, enum hook_stage stage, enum hook_action *ret)
{
    for (int i = 0; d->kind == DOC_TEXT && i < HOOK_ACTIONS; i++) {
        bool is_outbound = i == HOOK_CONTINUE || i == HOOK_CANCEL;

        if (!str_eq(d->text, hook_action_name((enum hook_action)i))) {
            continue;
        }
        *ret = (enum hook_action)i;
        if (is_outbound != hook_stage_is_outbound(stage)) {
            return false;
        }
        return stage >= HOOK_MAIL || (i != HOOK_DISCARD && i != HOOK_QUARANTINE);
    }
    return false;
}

bool draft_to_code(const struct doc *d, uint16_t *ret)
{
    if (d->kind != DOC_INT || d->number < 200 || d->number > 599) {
        return false;
    }
    *ret = (uint16_t)d->number;
    return true;
}

bool draft_to_enhanced(const struct doc *d, struct enhanced *ret)
{
    struct str rest = d->text, word;
    uint64_t n[3];

    if (d->kind != DOC_TEXT) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (str_cut(&rest, '.', &word) != (i < 2) || word.len == 0 || word.len > 3 ||
            !str_to_u64(word, &n[i])) {
            return false;
        }
    }
    if (n[0] != 2 && n[0] != 4 && n[0] != 5) {
        return false;
    }
    *ret = (struct enhanced){(uint8_t)n[0], (uint16_t)n[1], (uint16_t)n[2]};
    return true;
}

bool draft_to_date(const struct doc *d, struct date *ret)
{
    *ret = (struct date){0};
    if (d->kind == DOC_NULL) {
        return true;
    }
    return d->kind == DOC_TEXT && str_ends(d->text, STR("Z")) && date_parse_iso(d->text, ret);
}

bool draft_is_params(const struct doc *d)
{
    bool is_good = d->kind == DOC_OBJECT;

    for (uint32_t i = 0; is_good && i < d->count; i++) {
        is_good = d->members[i].key.len > 0 && d->members[i].value.kind == DOC_TEXT;
    }
    return is_good;
}

struct hook_params draft_to_params(const struct doc *d, struct arena *a)
{
    struct hook_param *items;

    if (d == NULL || d->kind != DOC_OBJECT || d->count == 0) {
        return (struct hook_params){0};
    }
    items = arena_array(a, d->count, sizeof(*items));
    for (uint32_t i = 0; i < d->count; i++) {
        struct str value = d->members[i].value.text;

        items[i] = (struct hook_param){d->members[i].key, value, value.len > 0};
    }
    return (struct hook_params){items, d->count};
}

bool draft_is_address(const struct doc *d, bool may_be_null)
{
    const struct doc *address = doc_get(d, "address"), *params = doc_get(d, "parameters");

    if (d->kind != DOC_OBJECT ||
        (params != NULL && params->kind != DOC_NULL && !draft_is_params(params))) {
        return false;
    }
    if (address == NULL || address->kind == DOC_NULL) {
        return may_be_null;
    }
    return address->kind == DOC_TEXT && address->text.len > 0;
}

bool draft_is_header(const struct doc *d)
{
    const struct doc *name = doc_get(d, "name"), *value = doc_get(d, "value");

    return d->kind == DOC_OBJECT && name != NULL && name->kind == DOC_TEXT && value != NULL &&
           value->kind == DOC_TEXT;
}

bool draft_is_response(const struct doc *d)
{
    const struct doc *code = doc_get(d, "code"), *esc = doc_get(d, "enhancedCode");
    const struct doc *message = doc_get(d, "message");
    struct enhanced class;
    uint16_t n;

    if (d->kind == DOC_NULL) {
        return true;
    }
    return d->kind == DOC_OBJECT && (code == NULL || draft_to_code(code, &n)) &&
           (esc == NULL || esc->kind == DOC_NULL || draft_to_enhanced(esc, &class)) &&
           (message == NULL || message->kind == DOC_NULL || message->kind == DOC_TEXT);
}

bool draft_to_message(const struct doc *d, struct arena *a, struct str *ret)
{
    struct buf bytes BUF_LOCAL = {0};
    struct header_walk walk;
    struct header_field field;
    uint32_t fields = 0;

    if (d->kind == DOC_BYTES) {
        *ret = d->text;
    } else if (d->kind == DOC_TEXT && base64_decode(&bytes, d->text)) {
        *ret = arena_dup(a, buf_str(&bytes));
    } else {
        return false;
    }
    walk = (struct header_walk){*ret, 0};
    while (header_next(&walk, &field)) {
        fields++;
    }
    /* Where the section ended with a line that is no field, it has no empty line. */
    return fields > 0 && walk.at >= 4 &&
           str_eq(str_make(ret->ptr + walk.at - 4, 4), STR("\r\n\r\n"));
}
