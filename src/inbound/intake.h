/*
 * intake: one message on its way in, from MAIL to the store's answer: its envelope and its bytes,
 * put where they will stay.
 *
 * Source    RFC 5321 sections 4.1.1.4, 4.4 and 6.3; RFC 6409 section 8 (Date and Message-ID added).
 * Owns      The parcel and the body until queue_accept has them. A zeroed struct intake is ready;
 *           intake_reset gives everything back and makes it ready again.
 * Limits    A header section has at most INTAKE_FIELDS_MAX fields, whatever its size: each of them is
 *           work for every filter and every edit. The parcel's head holds the first PARCEL_HEAD_MAX bytes, what comes after goes to the
 *           store 64 KiB at a time: P7. What is held counts in place->held.
 * Errors    As answers for the client.
 */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "inbound/settings.h"
#include "mail/content.h"
#include "mail/header.h"
#include "mail/params.h"
#include "mail/trace.h"
#include "smtp/answer.h"
#include "store/parcel.h"

#include <stdatomic.h>

struct queue;
struct store;
struct store_body;
struct plan;

/* Where messages go, and what all that are on their way hold. */
struct intake_place {
    struct queue *queue;
    struct store *store;
    atomic_uint_fast64_t held;
};

struct intake {
    struct intake_place *place;
    struct parcel *parcel;
    struct store_body *body; /* NULL: all of it is in the parcel's head so far */
    struct buf piece;        /* of the body, not yet given to the store */
    bool in_body;
    uint64_t body_bytes;
    size_t seen; /* bytes of the current buffer the header scan has seen */
    size_t trace_bytes;
    struct header_scan scan;
    struct recipient *to;
    uint32_t to_count, to_size, commands; /* commands: RCPTs that were taken */
    struct map known;                     /* addresses, when there are many */
    int32_t by_s;
    uint32_t hold_s;
    struct date hold_until;
    struct str for_address; /* of the first RCPT */
    uint64_t held;          /* our part of place->held */
    bool is_discarded;      /* it is checked, and nothing of it is kept */
    struct str held_by, held_why;
    int64_t held_ms; /* how long it is held, a quarantine; 0: it is not */
    bool is_kept;    /* held without an end */
};

void intake_mail(struct intake *t, const struct mail_args *mail);
/* Takes the addresses one RCPT stands for. */
void intake_rcpt(struct intake *t, const struct rcpt_args *rcpt, const struct str_list *addresses,
                 uint32_t recipients_max, struct answer *ret);
/* Content begins; the id and the Received field are made. *trace: what is known of the client. */
struct buf *intake_data(struct intake *t, struct trace *trace);
/* Bytes were appended to the buffer given last; the next one, or NULL: *ret says why. */
struct buf *intake_more(struct intake *t, const struct server_settings *limits,
                        uint64_t memory_bytes, struct answer *ret, struct when by);
/* All is there: whether it may come in, as far as we can say ourselves. */
bool intake_check(struct intake *t, const struct server_settings *limits, struct answer *ret);
/* Adds what a submission lacks, and hands it to the queue. */
void intake_store(struct intake *t, const struct content *content, bool submission,
                  struct str hostname, struct plan *plan, struct answer *ret, struct when by);
void intake_reset(struct intake *t);

/* Between the check and the store, for filters: the client's own bytes. */
uint64_t intake_bytes(const struct intake *t);
/* A run of at least one byte at `offset`, in place or read into `into`. */
struct err intake_read(struct intake *t, uint64_t offset, struct buf *into, struct str *ret,
                       struct when by);
/* Whether so many more addresses may come. */
bool intake_has_room(const struct intake *t, size_t more, uint32_t recipients_max,
                     struct answer *ret);
void intake_forget_rcpts(struct intake *t);
/* No attempt before that time is over; what its sender asked for counts when it is longer. */
void intake_hold_for(struct intake *t, int64_t ms);
/* The answer to a message that is in. */
void intake_say_queued(const struct intake *t, struct answer *ret);
