/*
 * trace: the fields Postyard writes in front of a message: where it came from, and what a mail
 * should have and did not.
 *
 * Source    RFC 5321 section 4.4 (Received, Return-Path); RFC 3848 and RFC 6531 section 4.3 (the
 *           words after "with"); RFC 5322 section 3.6 (Date, Message-ID); RFC 9228 (Delivered-To).
 * Owns      Nothing; each function appends whole folded lines with CR LF to the caller's buf.
 * Limits    Lines stay under 998 octets for names and addresses of legal size; longer ones are cut.
 * Errors    None: nothing a peer said can leave its place (mail/text.h).
 */
#pragma once

#include "base/addr.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum trace_protocol { TRACE_SMTP, TRACE_ESMTP, TRACE_LMTP };

struct trace {
    struct str helo;        /* as the client said it; empty for mail of our own */
    struct addr client;     /* family 0: none */
    struct str client_name; /* found and confirmed by look-up; empty: none */
    struct str by;          /* our name */
    enum trace_protocol protocol;
    bool is_tls, is_authenticated, is_utf8; /* is_utf8: MAIL said SMTPUTF8 */
    struct str tls_version, tls_cipher;     /* "TLSv1.3"; used when is_tls and not empty */
    uint64_t id;
    struct str recipient; /* only when it is the only one: others must not see each other */
    struct date at;
};

void trace_received(struct buf *out, const struct trace *t);
/* For final delivery only. `utf8`: the address may stand in UTF-8. */
void trace_return_path(struct buf *out, struct str sender, bool utf8);
void trace_delivered_to(struct buf *out, struct str address, bool utf8);
/* What a client's message lacks. The id makes the Message-ID unique. */
void trace_message_id(struct buf *out, uint64_t id, struct str host);
void trace_date(struct buf *out, struct date at);
