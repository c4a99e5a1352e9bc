/*
 * dsn: the text of a delivery status notification about one message, for all its recipients whose
 * sender is owed one.
 *
 * Source    RFC 3464 (status part), RFC 6522 (multipart/report), RFC 3461 sections 5 and 6 (what is
 *           returned), RFC 2852 (Deliver-By-Date, 4.4.7 and 5.4.7), RFC 6533 (SMTPUTF8), RFC 3834
 *           (Auto-Submitted); rules PY-16, PY-34, PY-42.
 * Owns      Nothing; the mail is appended to the caller's buf.
 * Limits    Texts of peers are cut at RESULT_TEXT_BYTES_MAX. A returned header section stops before
 *           the field that would pass whole_bytes_max.
 * Errors    None. What cannot be returned unchanged by DATA is left out: a body of class binary,
 *           header fields with bare CR, LF, NUL or too long lines.
 *
 * What is returned (PY-34): the whole message when some recipient failed, RET=HDRS was not given,
 * the message is small enough and its body is there; in all other cases the complete header
 * section. The report speaks UTF-8 types (RFC 6533) when the message came with SMTPUTF8 or an
 * address needs them, and plain ASCII otherwise.
 */
#pragma once

#include "base/buf.h"
#include "base/date.h"
#include "base/str.h"
#include "mail/envelope.h"

#include <stdbool.h>
#include <stdint.h>

enum { DSN_WHOLE_BYTES_MAX = 64 * 1024 }; /* when the configuration says nothing else */

struct dsn {
    const struct message *message; /* its sender is not null; recipients with state.owed count */
    struct str reporting_mta;
    struct str from_name, from_address; /* ASCII */
    struct str message_id;              /* without brackets */
    struct str boundary;                /* random; at most 40 letters and digits */
    struct date at;
    struct str header;        /* of the message as stored, with the empty line */
    struct str body;          /* what follows it, when has_body */
    bool has_body;            /* the caller read it, as dsn_wants_body asked */
    uint64_t whole_bytes_max; /* larger messages return their header only */
};

/* What the new message is, for its envelope: sender null, recipient the old sender. */
struct dsn_facts {
    uint32_t header_bytes; /* with the empty line */
    enum body_class body;  /* 7bit or 8bit */
    bool smtputf8;         /* its header or recipient is not ASCII: only to be sent with SMTPUTF8 */
    bool returns_whole;
    uint32_t delivered, relayed, delayed, failed; /* recipients told about */
};

/* Whether the body would be returned, so that it need not be read in vain. */
bool dsn_wants_body(const struct message *m, uint64_t whole_bytes_max);

/* At least one recipient must be owed a report. */
void dsn_write(struct buf *out, const struct dsn *d, struct dsn_facts *ret);
