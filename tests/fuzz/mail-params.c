/* Arguments of MAIL and RCPT: what is taken is printable and survives being sent on. */
#include "base/check.h"
#include "mail/params.h"
#include "mail/xtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str in = {(const char *)bytes, len};
    struct arena arena ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0};
    struct mail_args mail;
    struct rcpt_args rcpt, again;

    if (mail_args_parse(in, ~0u, &arena, &mail) == REFUSAL_NONE) {
        must(mail.smtputf8 || !mail.from.is_utf8);
        must(text_is_printable(mail.envid, false));
        must(mail.envid.len <= ENVID_BYTES_MAX);
        must(mail.hold_s == 0 || mail.hold_until.ms == 0);
        must(mail.hold_s <= PARAM_SECONDS_MAX);
        must(mail.hold_until.ms >= 0);
        must(mail.by_s <= PARAM_SECONDS_MAX);
        must(mail.by_s >= -PARAM_SECONDS_MAX);
        must(mail.by != BY_RETURN || mail.by_s > 0);
        must(mail.priority >= -9);
        must(mail.priority <= 9);
    }
    for (int utf8 = 0; utf8 < 2; utf8++) {
        if (rcpt_args_parse(in, ~0u, utf8, &arena, &rcpt) != REFUSAL_NONE || rcpt.orcpt.len == 0) {
            continue;
        }
        must(text_is_printable(rcpt.orcpt, true));
        buf_clear(&out);
        buf_put(&out, STR("<a@b> ORCPT="));
        orcpt_write(&out, rcpt.orcpt, utf8);
        if (out.len <= ORCPT_BYTES_MAX) {
            must(rcpt_args_parse(buf_str(&out), ~0u, utf8, &arena, &again) == REFUSAL_NONE);
            must(str_eq(again.orcpt, rcpt.orcpt));
        }
    }
    return 0;
}
