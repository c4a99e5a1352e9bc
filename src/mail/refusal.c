#include "mail/refusal.h"

#include "base/check.h"

struct refusal_reply refusal_reply(enum refusal why, bool is_rcpt)
{
    static const struct {
        uint16_t code;
        const char *mail, *rcpt, *text;
    } rows[REFUSAL_COUNT] = {
#define REFUSAL(name, code, mail, rcpt, text) [REFUSAL_##name] = {code, mail, rcpt, text},
#include "mail/refusals.def"
#undef REFUSAL
    };

    must(why > REFUSAL_NONE);
    must(why < REFUSAL_COUNT);
    return (struct refusal_reply){rows[why].code, is_rcpt ? rows[why].rcpt : rows[why].mail,
                                  rows[why].text};
}
