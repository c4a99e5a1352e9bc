/* A reply read byte by byte is the reply read at once, and its text can be shown to people. */
#include "base/check.h"
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str in = {(const char *)bytes, len};
    struct reply_parser whole = {0}, drip = {0};
    struct reply a = {0}, b = {0};
    size_t used, taken = 0, seen = 0;
    enum reply_state want = reply_parse(&whole, in, &used, &a), got = REPLY_PART;

    must(used <= len);
    while (got == REPLY_PART && seen < len) {
        size_t n;

        seen++;
        got = reply_parse(&drip, str_make(in.ptr + taken, seen - taken), &n, &b);
        taken += n;
    }
    must(got == want);
    if (want == REPLY_WHOLE) {
        must(taken == used);
        must(a.code == b.code && a.code >= 200 && a.code <= 599);
        must(str_eq(a.text, b.text));
        must(a.text.len <= REPLY_TEXT_BYTES_MAX);
        for (size_t i = 0; i < a.text.len; i++) {
            must((unsigned char)a.text.ptr[i] >= 0x20 || a.text.ptr[i] == '\n');
        }
    }
    reply_parser_done(&whole);
    reply_parser_done(&drip);
    return 0;
}
