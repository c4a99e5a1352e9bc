/* CBOR: what is read keeps its limits and is, written again, what it was. */
#include "base/check.h"
#include "doc/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct doc_limits limits = {65536, 1000, 32, 64, false};
    static const struct doc_limits wide = {1024 * 1024, 1000, 32, 64, false}; /* half reals grow */
    struct arena arena ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0}, again BUF_LOCAL = {0}, json BUF_LOCAL = {0},
                   why BUF_LOCAL = {0};
    struct doc d, e;
    struct err err = doc_read_cbor((struct str){(const char *)bytes, len}, &limits, &arena, &d,
                                   &why);

    if (err.code != OK) {
        must(err.code == ERR_PROTOCOL || err.code == ERR_LIMIT);
        must(why.len > 0);
        return 0;
    }
    doc_write_cbor(&out, &d);
    must(doc_read_cbor(buf_str(&out), &wide, &arena, &e, &why).code == OK);
    must(doc_equal(&d, &e));
    doc_write_cbor(&again, &e);
    must(str_eq(buf_str(&out), buf_str(&again)));
    doc_write_json(&json, &d);
    must(str_is_utf8(buf_str(&json)));
    return 0;
}
