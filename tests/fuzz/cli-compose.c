/* What programs give to sendmail: it always becomes a message with one header section, without Bcc.
 */
#include "base/check.h"
#include "cli/command.h"
#include "cli/compose.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct composition us = {.from = STR_INIT("ann@here.example"),
                                          .host = STR_INIT("here.example"),
                                          .at = {1772532000000}};
    struct str in = {(const char *)bytes, len};
    struct arena a ARENA_LOCAL = {0};
    struct buf lines BUF_LOCAL = {0}, out BUF_LOCAL = {0};
    struct header_scan h = {0};
    struct header_field f;
    struct words to;

    compose_lines(in, &lines);
    compose_complete(&us, buf_str(&lines), &out);
    must(header_scan_add(&h, buf_str(&out)));
    must(h.end == HEADER_EMPTY_LINE);
    must(header_find(str_head(buf_str(&out), (size_t)h.bytes), STR("From"), &f));
    must(!header_find(str_head(buf_str(&out), (size_t)h.bytes), STR("Bcc"), &f));
    compose_recipients(&us, buf_str(&lines), &a, &to);
    for (size_t i = 0; i < to.count; i++) {
        must(str_rfind(to.items[i], '@') != STR_NONE);
    }
    return 0;
}
