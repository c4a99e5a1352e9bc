/*
 * params: the arguments of MAIL and RCPT: a path, then ESMTP parameters.
 *
 * Source    RFC 5321 sections 4.1.1.2, 4.1.1.3 and 4.1.2; RFC 1870 (SIZE), RFC 6152 and 3030
 *           (BODY), RFC 6531 (SMTPUTF8), RFC 3461 section 4 and RFC 6533 (RET, ENVID, NOTIFY,
 *           ORCPT), RFC 4954 section 5 (AUTH), RFC 4865 (HOLDFOR, HOLDUNTIL), RFC 2852 (BY), RFC
 *           6710 (MT-PRIORITY); rules PY-17, PY-18.
 * Owns      Nothing. Decoded text lives in the caller's arena; `culprit` is part of the argument.
 * Limits    ENVID 100 octets decoded, ORCPT 500 octets (RFC 3461 section 4.2 and 4.4).
 * Errors    enum refusal. *ret holds an answer only on REFUSAL_NONE; on any other, `culprit` names
 *           the parameter at fault, or is empty when the path was.
 *
 * Strict where the peer can be told: a space after the colon is refused, for the grammar has none
 * and programs that write one are programs that guess. Spaces between parameters may be several and
 * may end the line, which RFC 5321 section 4.1.1 asks receivers to bear. A parameter of an
 * extension we did not offer is unknown, whatever we could make of it.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "mail/envelope.h"
#include "mail/path.h"
#include "mail/refusal.h"

#include <stdbool.h>
#include <stdint.h>

/* What the server offered in this session. */
enum {
    OFFER_SIZE = 1,
    OFFER_8BITMIME = 2,
    OFFER_BINARYMIME = 4,
    OFFER_SMTPUTF8 = 8,
    OFFER_DSN = 16,
    OFFER_AUTH = 32,
    OFFER_FUTURERELEASE = 64,
    OFFER_DELIVERBY = 128,
    OFFER_MT_PRIORITY = 256
};

enum { ENVID_BYTES_MAX = 100, ORCPT_BYTES_MAX = 500 };
enum { PARAM_SECONDS_MAX = 999999999 }; /* nine digits: RFC 4865 section 4, RFC 2852 section 4 */

struct mail_args {
    struct path from;
    bool has_size, has_body, has_auth;
    uint64_t size;        /* UINT64_MAX when larger than that */
    enum body_class body; /* what the client claims; 7BIT without BODY= */
    bool smtputf8;
    enum dsn_ret ret;
    struct str envid;       /* decoded; empty: none */
    struct str auth;        /* decoded; empty for AUTH=<> */
    uint32_t hold_s;        /* HOLDFOR; 0: none */
    struct date hold_until; /* HOLDUNTIL; 0: none. Never both */
    enum by_mode by;
    int32_t by_s; /* at least 1 for BY_RETURN */
    bool by_trace;
    int8_t priority;
    struct str culprit;
};

struct rcpt_args {
    struct path to;
    uint8_t notify;   /* NOTIFY_*; 0: none given */
    struct str orcpt; /* decoded "type;address"; empty: none */
    struct str culprit;
};

/* arg is what follows "MAIL FROM:" or "RCPT TO:", up to and without the end of the line. */
enum refusal mail_args_parse(struct str arg, unsigned offered, struct arena *a,
                             struct mail_args *ret);
/* smtputf8: what the MAIL of this transaction said. */
enum refusal rcpt_args_parse(struct str arg, unsigned offered, bool smtputf8, struct arena *a,
                             struct rcpt_args *ret);

/* "rfc822;x@y" and the like, encoded again for ORCPT=; raw: the peer was told SMTPUTF8. Of the
 * type utf-8 the address must be well-formed UTF-8, as rcpt_args_parse leaves it. */
void orcpt_write(struct buf *out, struct str orcpt, bool raw);
/* "SUCCESS,FAILURE" of a set that is not empty. */
void notify_write(struct buf *out, uint8_t notify);
