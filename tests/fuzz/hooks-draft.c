/* Answers of draft hooks: what passes the check leaves a message that is one and an envelope with
 * somebody in it. The first byte chooses stage, revision and format. */
#include "base/check.h"
#include "hooks/draft.h"
#include "mail/header.h"
#include "mail/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct hook_bounds bounds = {
    .fields_max = 12, .recipients_max = 4, .header_bytes_max = 1000, .message_bytes_max = 3000};

#define FIELD_OF(name, value)                                                                      \
    {                                                                                              \
        STR_INIT(name), STR_INIT(value), STR_INIT(name ":" value "\r\n")                           \
    }
static const struct hook_field fields[] = {
    FIELD_OF("Received", " from a.example\r\n\tby mx.example.net"),
    FIELD_OF("From", " ann@a.example"),
    FIELD_OF("X-Tag", " one"),
    FIELD_OF("Subject", " invoice \xe9"),
    FIELD_OF("X-Tag", ""),
};
static const struct hook_rcpt to[] = {
    {.address = STR_INIT("bo@example.net"), .id = 1, .status = HOOK_DEFERRED},
    {.address = STR_INIT("cy@example.org"), .id = 2, .status = HOOK_FAILED},
};
static const struct str pointers[] = {STR_INIT("/action"),     STR_INIT("/response"),
                                      STR_INIT("/envelope"),   STR_INIT("/message"),
                                      STR_INIT("/rawMessage"), STR_INIT("/ext")};

static struct hook_view view_of(enum hook_stage stage)
{
    struct hook_view v = {.stage = stage,
                          .action = hook_stage_is_outbound(stage) ? HOOK_CONTINUE : HOOK_ACCEPT,
                          .reply = {.text = STR_EMPTY},
                          .at = {1793613600000},
                          .has_sender = true,
                          .sender = STR("ann@a.example"),
                          .to = to,
                          .to_count = COUNT_OF(to),
                          .has_message = true,
                          .fields = fields,
                          .field_count = COUNT_OF(fields),
                          .body = {.size = 4, .whole = STR("hi\r\n")},
                          .message_bytes = 2 + 4};

    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        v.message_bytes += fields[i].whole.len;
    }
    return v;
}

static void check_view(const struct hook_view *v, struct arena *a)
{
    struct buf section BUF_LOCAL = {0};
    struct header_walk w;
    struct header_field f;
    struct path path;
    uint32_t n = 0;

    for (uint32_t i = 0; i < v->field_count; i++) {
        buf_put(&section, v->fields[i].whole);
    }
    if (!v->no_separator) {
        buf_put(&section, STR("\r\n"));
    }
    must(section.len + v->body.size == v->message_bytes);
    must(section.len <= bounds.header_bytes_max);
    must(v->message_bytes <= bounds.message_bytes_max);
    w = (struct header_walk){buf_str(&section), 0};
    while (header_next(&w, &f)) {
        must(n < v->field_count);
        must(str_eq(f.name, v->fields[n].name));
        n++;
    }
    must(n == v->field_count);
    must(w.at == section.len);
    must(v->to_count <= bounds.recipients_max);
    for (uint32_t i = 0; i < v->to_count; i++) {
        must(path_parse_address(v->to[i].address, true, a, &path) == REFUSAL_NONE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const enum hook_stage stages[] = {HOOK_DATA, HOOK_DELIVERY, HOOK_DSN, HOOK_ROUTE};
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct hook_terms terms = {.properties = {pointers, COUNT_OF(pointers)},
                               .updates = {pointers, COUNT_OF(pointers)},
                               .answer_bytes_max = 1 << 16};
    struct hook_outcome o = {0};
    struct hook_answer answer = {.status = 200};
    const struct hook_dialect *dialect;
    struct hook_view v, after;
    uint32_t next_id = 10;
    uint8_t how;

    if (len == 0) {
        return 0;
    }
    how = bytes[0];
    v = view_of(stages[how & 3]);
    dialect = how & 4 ? &hook_draft_02 : &hook_draft_01;
    terms.is_cbor = (how & 8) != 0;
    terms.strict = (how & 16) != 0;
    answer.content_type = terms.is_cbor ? STR("application/cbor") : STR("application/json");
    answer.body = (struct str){(const char *)bytes + 1, len - 1};
    if (dialect->decode(&answer, &v, &terms, NULL, &a, &o, &why).code != OK ||
        hook_outcome_check(&o, &v, &bounds, &a, &why).code != OK) {
        must(why.len > 0);
        return 0;
    }
    must(hook_stage_is_outbound(v.stage) == (o.action == HOOK_CONTINUE || o.action == HOOK_CANCEL));
    hook_view_apply(&v, &o, &next_id, &a, &after);
    check_view(&after, &a);
    return 0;
}
