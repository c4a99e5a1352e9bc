/* JSON of strangers: what is read lies within the limits, is written again, and is the same value
 * when it is read once more. */
#include "base/check.h"
#include "doc/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { NODES_MAX = 1000, DEPTH_MAX = 20, KEY_MAX = 100 };

static uint32_t measure(const struct doc *d, uint32_t depth)
{
    uint32_t nodes = 1;

    if (d->kind == DOC_TEXT) {
        must(str_is_utf8(d->text));
    }
    if (d->kind == DOC_LIST || d->kind == DOC_OBJECT) {
        must(depth < DEPTH_MAX);
        for (uint32_t i = 0; i < d->count; i++) {
            must(d->members[i].key.len <= KEY_MAX);
            must(d->kind == DOC_LIST || doc_at(d, d->members[i].key) == &d->members[i].value);
            nodes += measure(&d->members[i].value, depth + 1);
        }
    }
    return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    /* Written, a text may be longer; a number too, which a key never is. */
    const struct doc_limits limits = {.bytes_max = 1 << 16,
                                      .nodes_max = NODES_MAX,
                                      .depth_max = DEPTH_MAX,
                                      .key_bytes_max = KEY_MAX,
                                      .bears_nul = len > 0 && bytes[0] % 2 > 0};
    struct doc_limits wide = limits;
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0}, out BUF_LOCAL = {0};
    struct doc d, again, copy;
    struct err e = doc_read_json(str_make((const char *)bytes, len), &limits, &a, &d, &why);

    if (e.code != OK) {
        must(e.code == ERR_PROTOCOL || e.code == ERR_LIMIT);
        must(why.len > 0);
        must(str_is_ascii(buf_str(&why)));
        return 0;
    }
    must(why.len == 0);
    must(measure(&d, 0) <= NODES_MAX);
    doc_write_json(&out, &d);
    wide.bytes_max = out.len;
    wide.key_bytes_max = 6 * KEY_MAX;
    must(doc_read_json(buf_str(&out), &wide, &a, &again, &why).code == OK);
    must(doc_equal(&d, &again));
    copy = doc_copy(&again, &a);
    must(doc_equal(&copy, &d));
    return 0;
}
