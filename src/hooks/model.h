/*
 * model: what is asked of a filter and what it may answer, in words of mail: a stage, a view of the
 * transaction, an outcome. Inbound and delivery know these and no wire format; a dialect knows
 * these and no socket.
 *
 * Source    Design section 9; the stages and edits of Stalwart's hooks ("classic"), of
 *           draft-degennaro-mta-hooks-01 and -02, and of the milter protocol 6.
 * Owns      Nothing: a view is made by who asks and does not change while it is asked; an outcome
 *           lives in the arena given with it.
 * Limits    Who asks has limited what is in a view; hook_outcome_check bounds what an outcome may
 *           bring (model.c), so that no dialect has to.
 * Errors    An answer that cannot be used is an error of the exchange (ERR_PROTOCOL), never half an
 *           outcome: nothing of it is applied.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "mail/envelope.h"

#include <stdbool.h>
#include <stdint.h>

/* In the order of a message's life. */
enum hook_stage {
    HOOK_CONNECT,
    HOOK_EHLO,
    HOOK_AUTH,
    HOOK_MAIL,
    HOOK_RCPT,
    HOOK_DATA,
    HOOK_ROUTE,
    HOOK_DELIVERY,
    HOOK_DEFER,
    HOOK_DSN,
    HOOK_STAGES
};
struct str hook_stage_name(enum hook_stage s); /* "data" */
bool hook_stage_find(struct str name, enum hook_stage *ret);
static inline bool hook_stage_is_outbound(enum hook_stage s)
{
    return s >= HOOK_ROUTE;
}

/* Inbound in the order of their strength; then the two of outbound. */
enum hook_action {
    HOOK_ACCEPT,
    HOOK_QUARANTINE, /* taken from the client, and held */
    HOOK_REJECT,     /* `reply` says how */
    HOOK_DISCARD,    /* a good reply, and nothing is stored */
    HOOK_DISCONNECT, /* the connection ends */
    HOOK_CONTINUE,
    HOOK_CANCEL, /* what still waits of the message is given up */
    HOOK_ACTIONS
};
struct str hook_action_name(enum hook_action a);
/* Nothing is asked after it. */
static inline bool hook_action_is_last(enum hook_action a)
{
    return a == HOOK_REJECT || a == HOOK_DISCARD || a == HOOK_DISCONNECT || a == HOOK_CANCEL;
}

struct hook_reply {
    uint16_t code;       /* 0: none was given */
    struct enhanced esc; /* class 0: none */
    struct str text;     /* one line; hook_outcome_check has cleaned it */
};

/* One ESMTP parameter, KEY or KEY=VALUE, the value as it stood on the wire. */
struct hook_param {
    struct str key, value;
    bool has_value;
};
struct hook_params {
    const struct hook_param *items;
    uint32_t count;
};

enum hook_rcpt_status {
    HOOK_PENDING, /* not tried yet, or inbound */
    HOOK_DELIVERED,
    HOOK_DEFERRED,
    HOOK_FAILED,
    HOOK_FAILED_SILENT
};

struct hook_rcpt {
    struct str address; /* as the client wrote it, without brackets */
    struct hook_params params;
    uint32_t id; /* the asker's, stable over edits: names it in an outcome */
    /* Outbound. */
    enum hook_rcpt_status status;
    uint32_t attempt;
    struct hook_reply last;
    struct date next_attempt, next_notice; /* 0: none */
    struct str queue;
};

/* A word about queueing: schedule, queue, priority, hold or meta.NAME. */
enum hook_policy_kind { HOOK_POLICY_TEXT, HOOK_POLICY_NUMBER, HOOK_POLICY_YES_NO };
struct hook_policy {
    struct str name, text; /* true and false are texts too */
    enum hook_policy_kind kind;
};

/* A field of the message as it came: the bytes of fields nobody changes stay as they are. */
struct hook_field {
    struct str name, value; /* value: raw, behind the colon, folds inside, without the last CR LF */
    struct str whole; /* the field's own bytes with its end; empty: it is new or changed, which
                       * is so in edits only: hook_view_apply writes it */
};

/* What follows the header section, or the whole message: in memory, or to be read in pieces. */
struct hook_bytes {
    uint64_t size;
    struct str whole; /* when read is NULL */
    /* A run of at least one byte at `offset`, into `into` or elsewhere. */
    struct err (*read)(void *ctx, uint64_t offset, struct buf *into, struct str *ret,
                       struct when by);
    void *ctx;
};

struct hook_client {
    struct addr addr;
    struct str ptr;  /* empty: unknown */
    struct str helo; /* empty: none yet */
    bool extended;   /* it said EHLO */
    uint32_t connections;
};

struct hook_tls {
    bool active;
    struct str version, cipher;
    uint32_t bits; /* 0: unknown */
    struct str cert_issuer, cert_subject;
};

struct hook_view {
    enum hook_stage stage;
    enum hook_action action;    /* what happens if nobody objects; so far, in a chain */
    struct hook_reply reply;    /* what is about to be said; code 0: the usual */
    struct date at;             /* when the stage began */
    uint64_t session, queue_id; /* queue_id 0: none yet */

    struct str server_name; /* our host name */
    struct addr server;     /* our end of the connection; family 0: outbound */
    struct str listener;
    struct hook_client client;
    struct hook_tls tls;
    struct str login, login_method; /* empty: not authenticated */
    bool smtputf8;

    bool has_sender;   /* from `mail` on */
    struct str sender; /* empty: the null sender */
    struct hook_params sender_params;
    const struct hook_rcpt *to; /* at `rcpt` the one in question is the last */
    uint32_t to_count;

    bool has_message;                /* `data` and outbound */
    const struct hook_field *fields; /* without our trace fields, inbound */
    uint32_t field_count;
    bool no_separator; /* the header section ended without an empty line */
    struct hook_bytes body;
    uint64_t message_bytes; /* header section, separator and body together */
    int8_t priority;
    const struct hook_policy *policy; /* what filters have said of queueing so far */
    uint32_t policy_count;
    struct date expires; /* outbound; 0: unknown */
    uint32_t attempts;
};

/* One change. Texts of edits are not checked by the dialect; hook_outcome_check does it. */
enum hook_edit_kind {
    HOOK_EDIT_SENDER,       /* text, params when has_params: all that are left */
    HOOK_EDIT_RCPT_ADD,     /* text, params */
    HOOK_EDIT_RCPT_REMOVE,  /* target */
    HOOK_EDIT_FIELDS,       /* fields: the complete new list; `whole` kept where nothing changed */
    HOOK_EDIT_BODY,         /* text: all of it */
    HOOK_EDIT_MESSAGE,      /* text: header section and body */
    HOOK_EDIT_RCPT_STATUS,  /* target, status */
    HOOK_EDIT_RCPT_TIMES,   /* target, next_attempt, next_notice as has_ says */
    HOOK_EDIT_RCPT_ROUTE,   /* target, route, connection, tls, queue: names; empty: unchanged */
    HOOK_EDIT_RCPT_VARIANT, /* target, text: its own message */
    HOOK_EDIT_DSN_DROP,
    HOOK_EDIT_POLICY, /* name, text, policy_kind: see struct hook_policy */
    HOOK_EDIT_KINDS
};

struct hook_edit {
    enum hook_edit_kind kind;
    uint32_t target; /* hook_rcpt.id */
    struct str name, text;
    bool has_params, has_attempt, has_notice;
    struct hook_params params;
    enum hook_policy_kind policy_kind;
    const struct hook_field *fields;
    uint32_t field_count;
    bool is_exact; /* values of new fields begin right behind the colon */
    enum hook_rcpt_status status;
    struct date next_attempt, next_notice; /* 0 with has_notice: the notice is called off */
    struct str route, connection, tls, queue;
};

/* What a filter may make of a recipient after an attempt (reference, section 3.16): nothing becomes
 * delivered or pending again, and what has failed waits again only before it expires. */
bool hook_status_may_become(const struct hook_view *view, enum hook_rcpt_status from,
                            enum hook_rcpt_status to);

struct hook_outcome {
    enum hook_action action;
    bool disconnect;  /* after the reply, whatever the action */
    bool was_unasked; /* beside an error: it was not asked, so that is no failure of the filter's */
    struct hook_reply reply;
    struct str reason; /* of a quarantine, for who looks after it; one line; empty: none */
    struct hook_edit *edits;
    uint32_t edit_count, edit_size;
    struct str_notes {
        struct str *items;
        uint32_t count, size;
    } notes,    /* for the log: what was skipped, and why */
        asides; /* what says nothing at this stage, perhaps for each mail: who looks for it */
};

struct hook_edit *hook_edit_add(struct hook_outcome *o, struct arena *a, enum hook_edit_kind kind);
void hook_note(struct hook_outcome *o, struct arena *a, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void hook_aside(struct hook_outcome *o, struct arena *a, const char *text);

/* A name of one or more of %d33-126 but the colon; a value without NUL and control bytes, CR LF
 * only before a blank, no line of blanks alone, lines of at most 998 octets, UTF-8 only where the
 * message may have it. One CR LF at its very end is borne (and not part of it: *value is cut). */
bool hook_field_is_good(struct str name, struct str *value, bool utf8);
/* The same, whatever bytes beyond ASCII there are. */
bool hook_field_lines_are_good(struct str name, struct str *value);
/* The same as hook_field_is_good, but a value beyond what the message may have becomes words of RFC
 * 2047 where they may stand: in X-..., Subject and Comments; what is no UTF-8 becomes U+FFFD there.
 * Mail with raw 8-bit text in its header is common: a filter that quotes it must not fail. */
bool hook_field_fit(struct str name, struct str *value, bool utf8, struct arena *a);

struct hook_bounds {
    uint32_t fields_max, recipients_max;
    uint64_t header_bytes_max, message_bytes_max;
};
/* The bounds with room for an answer over what came: `bounds` is what we take from a client, and a
 * client that goes right up to it must not thereby keep a filter from saying "hold it, and add this
 * field". Room for 4,096 fields, 64 KiB of header, and content encoded in base64 and 1 MiB. */
struct hook_bounds hook_bounds_over(const struct hook_bounds *bounds, const struct hook_view *view);
/* The reply alone: dropped, with a note, when it does not fit the action and the stage; its text is
 * made one good line. hook_outcome_check does it too: this is for dialects with replies of their
 * own. */
void hook_reply_check(struct hook_outcome *o, const struct hook_view *view, struct arena *a);
/* Whether all of the outcome may be applied to `view`: syntax, sizes, what its stage allows. A
 * reply that does not fit the action is dropped with a note; so are recipients that are there
 * already or one too many, and changes of a recipient's status that cannot be. Addresses come out
 * as the queue keeps them. When nobody is left of who was there, the message is discarded. Anything
 * else that is wrong is ERR_PROTOCOL and `why` says what. Behind an action that is last there are
 * no edits. */
struct err hook_outcome_check(struct hook_outcome *o, const struct hook_view *view,
                              const struct hook_bounds *bounds, struct arena *a, struct buf *why);
/* KEY=VALUE as RFC 5321 section 4.1.2 has it (esmtp-param); bytes over 127 only with `utf8`. */
bool hook_param_is_good(const struct hook_param *p, bool utf8);
/* Whether our parser of MAIL (or RCPT) takes them behind that address. */
bool hook_params_fit(struct str address, const struct hook_params *params, bool is_rcpt, bool utf8);

/* The view after the edits, for the next filter of a chain and for who asked: *ret shares what did
 * not change. Removed recipients are gone, added ones have ids from *next_id on. */
void hook_view_apply(const struct hook_view *view, const struct hook_outcome *o, uint32_t *next_id,
                     struct arena *a, struct hook_view *ret);
