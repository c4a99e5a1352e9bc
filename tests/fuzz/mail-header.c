/* The scan in any chunks and the walk agree about every header section. */
#include "base/check.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct header_scan scan(struct str in, size_t chunk)
{
    struct header_scan h = {0};

    while (in.len > 0) {
        header_scan_add(&h, str_head(in, chunk));
        in = str_skip(in, chunk);
    }
    header_scan_end(&h);
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str in = {(const char *)bytes, len}, section;
    struct header_scan whole = scan(in, len), single = scan(in, 1), cut = scan(in, 7);
    struct header_walk w = {in, 0};
    struct header_field f;
    uint32_t fields = 0;
    size_t next = 0, longest = 0;
    struct buf out BUF_LOCAL = {0};

    must(memcmp(&whole, &single, sizeof whole) == 0);
    must(memcmp(&whole, &cut, sizeof whole) == 0);
    while (header_next(&w, &f)) {
        must(f.at == next);
        next += f.whole.len;
        fields++;
        header_unfold(&out, f.value);
        must(str_find(buf_str(&out), '\n') == STR_NONE);
        buf_clear(&out);
        longest = f.whole.len > longest ? f.whole.len : longest;
    }
    must(fields == whole.fields);
    must(w.at == whole.bytes);
    must(whole.line_bytes_longest <= longest);
    section = str_head(in, whole.bytes);
    must(whole.has_8bit == !str_is_ascii(section));
    must(whole.has_bad_utf8 == !str_is_utf8(section));
    must(whole.has_nul == (str_find(section, '\0') != STR_NONE));
    return 0;
}
