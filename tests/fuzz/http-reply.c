/* The head of a response, then a line of a chunked body. */
#include "base/check.h"
#include "http/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str all = str_make((const char *)bytes, len);
    size_t size = reply_head_size(all);
    struct reply_head head;
    uint64_t chunk;

    if (size > 0 && reply_head_parse(str_head(all, size), &head).code == OK) {
        must(head.status >= 200 && head.status <= 599);
        must(head.type.len == 0 || (head.type.ptr > all.ptr && head.type.ptr < all.ptr + size));
    }
    (void)reply_chunk_size(str_skip(all, size), &chunk);
    return 0;
}
