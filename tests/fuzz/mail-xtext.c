/* Both codings: encode then decode gives the same; decode then encode then decode too. */
#include "base/check.h"
#include "mail/xtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str in = {(const char *)bytes, len}, back, again;
    struct arena arena ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0};

    xtext_encode(&out, in);
    must(str_is_ascii(buf_str(&out)));
    must(xtext_decode(buf_str(&out), &arena, &back));
    must(str_eq(back, in));
    xtext_decode(in, &arena, &back);
    for (int raw = 0; raw < 2; raw++) {
        if (utf8_addr_decode(in, raw, &arena, &back)) {
            buf_clear(&out);
            utf8_addr_encode(&out, back, raw);
            must(raw || str_is_ascii(buf_str(&out)));
            must(utf8_addr_decode(buf_str(&out), raw, &arena, &again));
            must(str_eq(back, again));
        }
    }
    return 0;
}
