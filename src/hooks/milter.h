/*
 * milter: a filter that speaks Sendmail's milter protocol, as a struct filter_kind.
 *
 * Source    The milter protocol, versions 2 and 6 (milter_wire.h); what MTAs do with its answers
 *           where the protocol is silent: Postfix's MILTER_README.
 * Owns      A session owns its connection, which opens when first asked and stays over
 *           transactions. A struct milter borrows settings and resolver.
 * Limits    Four time-outs and response-size-max of the settings; a packet is at most 1 MiB.
 * Errors    As filter.h: whatever a filter does wrong is ERR_PROTOCOL, ERR_LIMIT or what the stream
 *           said, with a sentence. The connection is then closed, and the rest of the transaction
 *           has no answer either; the next one begins anew.
 *
 * A filter learns everything in its order, whichever stages it is asked at: what it was not told
 * when it happened, it is told at the next stage. Refusing a recipient too late refuses what is at
 * hand. Sent is only what was negotiated, with the macros of its place, or those the filter listed.
 *
 * Fields are counted as Postfix counts them: for a change among those of their name as the client
 * sent them, for an insertion among all, with our own Received as number 0. Nothing of ours is
 * above that, so an insertion at 0 lands where one at 1 does.
 */
#pragma once

#include "hooks/filter.h"
#include "hooks/milter_settings.h"
#include "hooks/milter_wire.h"

struct dns;

struct milter_address {
    struct str path; /* of a local socket; empty: host */
    struct str host; /* a name or an address */
    uint16_t port;
    bool is_ipv6; /* only such addresses of the name */
};

/* inet:HOST:PORT, inet6:HOST:PORT, inet:[IP]:PORT, unix:PATH, local:PATH. *why: a literal. */
bool milter_address_parse(struct str text, struct milter_address *ret, const char **why);

struct milter { /* what filter_milter calls `filter` */
    const struct milter_settings *settings;
    struct milter_address address;
    struct dns *dns; /* NULL: only addresses can be reached, not names */
};

/* What is wrong with an address the settings' check has told; none is asked then. The resolver
 * comes with `attach`. */
void milter_make(const struct milter_settings *settings, struct milter *ret);

extern const struct filter_kind filter_milter;
