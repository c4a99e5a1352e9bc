/* Whatever a filter answers: packets are read within their bytes, and what they change is refused
 * or leaves a list of fields that are each one good field once it was checked. */
#include "base/check.h"
#include "hooks/milter_part.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct hook_field fields[] = {
    {STR_INIT("Received"), STR_INIT(" one"), STR_INIT("Received: one\r\n")},
    {STR_INIT("To"), STR_INIT(" a,\r\n b"), STR_INIT("To: a,\r\n b\r\n")},
};
static const struct hook_rcpt people[] = {{.address = STR_INIT("a@x.example"), .id = 1}};
static const struct hook_view view = {.stage = HOOK_DATA,
                                      .server_name = STR_INIT("mx.example.org"),
                                      .has_sender = true,
                                      .sender = STR_INIT("s@x.example"),
                                      .to = people,
                                      .to_count = 1,
                                      .has_message = true,
                                      .fields = fields,
                                      .field_count = 2,
                                      .body = {.size = 3, .whole = STR_INIT("x\r\n")},
                                      .message_bytes = 100};
static const struct hook_bounds bounds = {.fields_max = 1000,
                                          .recipients_max = 100,
                                          .header_bytes_max = 65536,
                                          .message_bytes_max = 1 << 20};

/* The next packet of a stream; false: no whole one. */
static bool next(struct str *in, struct str *ret)
{
    uint32_t n;

    if (in->len < MILTER_HEAD_BYTES || !milter_packet_bytes(in->ptr, &n) ||
        in->len - MILTER_HEAD_BYTES < n) {
        return false;
    }
    *ret = str_make(in->ptr + MILTER_HEAD_BYTES, n);
    *in = str_skip(*in, MILTER_HEAD_BYTES + n);
    return true;
}

static void check_outcome(struct hook_outcome *o, struct arena *a)
{
    struct buf why BUF_LOCAL = {0};
    struct hook_view after;
    uint32_t id = 2;

    if (hook_outcome_check(o, &view, &bounds, a, &why).code == OK) {
        hook_view_apply(&view, o, &id, a, &after);
        for (uint32_t i = 0; i < after.field_count; i++) {
            struct str value = after.fields[i].value;

            must(after.fields[i].whole.len > 0 ||
                 hook_field_is_good(after.fields[i].name, &value, false));
        }
    }
}

static void run_edits(struct str in, const struct milter_terms *terms, struct arena *a)
{
    struct hook_outcome o = {.action = HOOK_ACCEPT};
    struct milter_edits e;
    struct str packet;
    const char *why = NULL;
    struct err r = ERR_OK;

    milter_edits_init(&e, &view, terms, a);
    while (r.code == OK && next(&in, &packet)) {
        struct milter_reply reply;
        struct hook_reply text;
        enum milter_right right;

        r = milter_decode(packet, &reply, &why);
        if (r.code == OK && milter_word_is_edit(reply.word, &right)) {
            r = milter_edits_add(&e, &reply, &why);
        } else if (r.code == OK && reply.word == MILTER_REPLY &&
                   milter_decode_reply(reply.value, a, &text, &why).code == OK) {
            must(text.code >= 400 && text.code <= 599);
            for (size_t i = 0; i < text.text.len; i++) {
                must((unsigned char)text.text.ptr[i] >= 0x20);
            }
        }
        must(r.code == OK || why != NULL);
    }
    if (r.code == OK && milter_edits_finish(&e, &o, &why).code == OK) {
        check_outcome(&o, a);
    }
    milter_edits_done(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena a ARENA_LOCAL = {0};
    struct str in = {(const char *)bytes, len}, packet;
    struct milter_terms offer = milter_offer(MILTER_VERSION), terms;
    struct milter_macro macros[MILTER_MACROS_MAX];
    const char *why = NULL;

    if (!next(&in, &packet)) {
        return 0;
    }
    if (milter_decode_terms(packet, &offer, &a, &terms, &why).code != OK) {
        must(why != NULL);
        return 0;
    }
    for (int place = 0; place < MILTER_PLACES; place++) {
        must(milter_macros(&view, (enum milter_place)place, &terms, &a, macros) <=
             MILTER_MACROS_MAX);
    }
    run_edits(in, &terms, &a);
    return 0;
}
