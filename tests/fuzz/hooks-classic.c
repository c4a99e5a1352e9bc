/* Answers of classic hooks, divided by NUL: what passes the check leaves a message that is one, and
 * an envelope that a client could have sent. */
#include "base/check.h"
#include "hooks/dialect.h"
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
static const struct hook_param params[] = {{STR_INIT("ENVID"), STR_INIT("abc"), true},
                                           {STR_INIT("BODY"), STR_INIT("8BITMIME"), true}};
static const struct hook_rcpt to[] = {{.address = STR_INIT("bo@example.net"), .id = 1},
                                      {.address = STR_INIT("Cy@b\xc3\xbc.example"), .id = 2}};

static struct hook_view view(enum hook_stage stage, bool smtputf8)
{
    struct hook_view v = {.stage = stage,
                          .action = HOOK_ACCEPT,
                          .reply = {.text = STR_EMPTY},
                          .smtputf8 = smtputf8,
                          .has_sender = true,
                          .sender = STR("ann@a.example"),
                          .sender_params = {params, COUNT_OF(params)},
                          .to = to,
                          .to_count = COUNT_OF(to),
                          .has_message = stage == HOOK_DATA,
                          .fields = fields,
                          .field_count = COUNT_OF(fields),
                          .body = {.size = 4, .whole = STR("hi\r\n")},
                          .message_bytes = 2 + 4};

    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        v.message_bytes += fields[i].whole.len;
    }
    return v;
}

static void check_message(const struct hook_view *v)
{
    struct buf section BUF_LOCAL = {0};
    struct header_walk w;
    struct header_field f;
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
    must(v->field_count <= bounds.fields_max);
    w = (struct header_walk){buf_str(&section), 0};
    while (header_next(&w, &f)) {
        must(n < v->field_count);
        must(str_eq(f.name, v->fields[n].name));
        must(str_eq(f.value, v->fields[n].value));
        n++;
    }
    must(n == v->field_count);
    must(w.at == section.len);
}

static void check_envelope(const struct hook_view *v, struct arena *a)
{
    struct path path;

    must(v->to_count > 0);
    must(v->to_count <= bounds.recipients_max);
    must(hook_params_fit(v->sender, &v->sender_params, false, v->smtputf8));
    for (uint32_t i = 0; i < v->to_count; i++) {
        must(path_parse_address(v->to[i].address, true, a, &path) == REFUSAL_NONE);
        must(v->to[i].id == 2 ||
             hook_params_fit(v->to[i].address, &v->to[i].params, true, v->smtputf8));
    }
}

static void check_reply(const struct hook_outcome *o)
{
    const struct hook_reply *r = &o->reply;

    if (r->code == 0) {
        return;
    }
    must(r->code >= 200);
    must(r->code <= 599);
    must((o->action == HOOK_REJECT) == (r->code >= 400));
    must(r->text.len > 0);
    must(r->text.len < 500);
    must(r->esc.class == 0 || r->esc.class == r->code / 100);
    for (size_t i = 0; i < r->text.len; i++) {
        must((unsigned char)r->text.ptr[i] >= ' ');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct hook_terms terms = {.answer_bytes_max = 1 << 16, .has_extensions = true};
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct str rest = {(const char *)bytes, len};
    struct hook_view v = view(len % 8 == 0 ? HOOK_RCPT : HOOK_DATA, len % 2 > 0), after;
    struct hook_pending pending = {0};
    struct hook_outcome o = {0};
    uint32_t next_id = 10;
    bool more = true;

    while (more) {
        struct hook_answer answer = {200, STR_EMPTY, STR_EMPTY};

        more = str_cut(&rest, '\0', &answer.body);
        if (hook_classic.decode(&answer, &v, &terms, &pending, &a, &o, &why).code != OK) {
            must(why.len > 0);
            return 0;
        }
        check_reply(&o);
        more = more && o.action == HOOK_ACCEPT;
    }
    hook_classic.finish(&pending, &v, &a, &o);
    if (hook_outcome_check(&o, &v, &bounds, &a, &why).code != OK) {
        must(why.len > 0);
        return 0;
    }
    hook_view_apply(&v, &o, &next_id, &a, &after);
    check_message(&after);
    check_envelope(&after, &a);
    return 0;
}
