/*
 * explain: a decision looked at from all sides: what each strategy's rules said about a message
 * that need not exist, and what would become of it.
 *
 * Source    Promise P5: the decisions are those of strategy/, seen through struct decision_watch.
 * Owns      Nothing: all lives in the arena and the plan.
 * Limits    EXPLAIN_STEPS_MAX steps of a time line.
 */
#pragma once

#include "admin/json.h"
#include "cli/command.h"
#include "smtp/answer.h"
#include "strategy/course.h"

enum { EXPLAIN_STEPS_MAX = 5000 };

struct explain_read {
    const char *name;
    struct value value;
};

struct explain_rule {
    struct rule_look look;
    struct explain_read *reads;
    size_t read_count;
};

struct explain_decision {
    enum strategy which;
    struct decision decision;
    struct explain_rule *rules;
    size_t rule_count, rule_room;
    bool is_late;              /* decided again for each host */
    unsigned decided_after;    /* schedule: the attempt whose failure it was asked about; or 0 */
    struct position object_at; /* line 0: built in */
    struct str object;         /* what it says, in a few words */
};

/* A limiter that counts the recipient. */
struct explain_limit {
    struct str name;
    const struct limiter_settings *settings;
    struct position at;
    bool arrives;         /* queue.limiter.inbound: it was asked when the mail came */
    const char *counts;   /* "messages" */
    enum answer_row full; /* to a client, when it arrives */
    struct str values;    /* of its keys, each ended by NUL */
    uint32_t unknown;     /* bits of keys whose value is not known here */
    bool is_open;         /* its match reads the host, which is not known: it may not count */
};

/* A quota that counts the message for the recipient. */
struct explain_quota {
    const struct plan_quota *quota;
    struct str values; /* of its keys, each ended by NUL */
    bool has_room;     /* for this message, when nothing else waits */
};

struct explain_rcpt {
    struct str address;
    struct explain_decision decisions[STRATEGY_COUNT];
    struct course_step *steps;
    size_t step_count;
    bool has_more;          /* steps than are kept */
    bool was_over;          /* before the attempt that was asked about */
    struct date attempt_at; /* when that is due */
    struct str queue;       /* in which it waits then, in this lane of that weight */
    struct str lane;
    uint32_t weight;
    struct explain_limit *limits;
    uint32_t limit_count;
    struct str left_out; /* a limiter whose match gives no value; or empty */
    struct explain_quota *quotas;
    uint32_t quota_count;
    struct str quota_left_out; /* likewise */
};

struct explanation {
    struct plan *plan;
    struct message message;
    struct facts facts;
    struct last_result failure;
    uint64_t attempt; /* from 1 */
    struct expr_answers answers;
    struct explain_rcpt *to;
    struct arena *arena;
};

/* Fills e->to for each recipient of e->message. */
void explain_all(struct explanation *e);
void explain_text(const struct explanation *e, struct buf *out);
void explain_json(const struct explanation *e, struct buf *out);
/* Lane and limits of a recipient that waits in r->queue: what it shares with other mail. */
void explain_share(struct explanation *e, struct explain_rcpt *r, const struct recipient *now,
                   struct date at);
void explain_share_text(const struct explanation *e, const struct explain_rcpt *r, struct buf *out);
void explain_share_json(const struct explanation *e, const struct explain_rcpt *r, struct buf *out);
/* The quotas of each recipient: all that is asked when the message comes in, whatever attempt. */
void explain_quotas(struct explanation *e);
void explain_quota_text(const struct explain_rcpt *r, struct buf *out);
void explain_quota_json(const struct explain_rcpt *r, struct buf *out);
void explain_answer_line(enum answer_row row, struct buf *out); /* "452 4.3.1 ...", without end */
void explain_place(struct position at, struct buf *out);        /* "file:line:col" or "built in" */
/* The objects that the strategies choose for a queued recipient, each with the line that says so,
 * as one line of text; nothing when it waits no more. */
struct view_message;
void explain_queued(struct plan *p, const struct view_message *m, size_t at, struct buf *out);
const char *explain_strategy(enum strategy which);
/* One --answer, "key_get('a', 'b')=value"; false: *why. */
bool explain_answer(struct explanation *e, struct str word, struct buf *why);
