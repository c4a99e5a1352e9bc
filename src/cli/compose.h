/*
 * compose: messages made or completed on the command line: line ends, the fields a message must
 * have, and the recipients its fields name.
 *
 * Source    RFC 5322 sections 2.1, 3.4 and 3.6; RFC 2047 (subjects that are not ASCII).
 * Owns      Nothing: output goes to the caller's buf and arena.
 * Limits    None: the message is the user's own, and the server has limits.
 * Errors    None here. Whether an address is one is checked by whoever uses it.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/date.h"

#include <stdbool.h>
#include <stdint.h>

struct words;

struct composition {
    struct str from;      /* the address */
    struct str from_name; /* empty: none */
    struct str host;      /* ours, for Message-ID and addresses without a domain */
    struct date at;
    uint64_t number; /* nobody else's: for Message-ID */
};

/* LF by itself becomes CR LF; all else stays. */
void compose_lines(struct str in, struct buf *out);

/* Whether the text (with CR LF) opens with a header section that says who it is from. */
bool compose_is_message(struct str text);
/* A message of plain text. `to` is a list of addresses. */
void compose_text(const struct composition *c, const struct words *to, struct str subject,
                  struct str body, struct buf *out);
/* A message with the From, Date and Message-ID it may lack, and without Bcc. */
void compose_complete(const struct composition *c, struct str text, struct buf *out);
/* The addresses of To, Cc and Bcc, as sendmail -t takes them; without domain they get c->host. */
void compose_recipients(const struct composition *c, struct str text, struct arena *a,
                        struct words *ret);
