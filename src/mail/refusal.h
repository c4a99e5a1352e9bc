/*
 * refusal: why the argument of MAIL or RCPT is refused, one word for each reason, and what to
 * answer.
 *
 * Source    RFC 5321 section 4.2, RFC 3463, RFC 6531 section 3.5.
 * Owns      Nothing; texts are static.
 * Errors    None.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum refusal {
    REFUSAL_NONE,
#define REFUSAL(name, code, mail, rcpt, text) REFUSAL_##name,
#include "mail/refusals.def"
#undef REFUSAL
    REFUSAL_COUNT
};

struct refusal_reply {
    uint16_t code;
    const char *status; /* "5.1.7" */
    const char *text;
};

/* The answer to a refused RCPT or, when !is_rcpt, MAIL; never of REFUSAL_NONE. */
struct refusal_reply refusal_reply(enum refusal why, bool is_rcpt);
