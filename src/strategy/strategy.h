/*
 * strategy: which schedule, route, connection and TLS object a recipient gets, and which line of
 * the configuration said so.
 *
 * Source    Design section 8; PY-01, PY-35, PY-45 to PY-47; promises P5 and P8.
 * Owns      A plan owns all it points at, and a reference to its configuration, until its last
 *           reference is given back. It never changes; any thread may use it.
 * Errors    strategy_compile: all faults, then NULL. decide_*: struct decision.
 *
 * Nothing here suspends, looks at a clock or draws a number. A decision that needs a look-up says
 * so: the caller performs it, adds the answer to subject.answers and decides again, so that the
 * answers are part of the decision. ask.h is a caller that does all this.
 */
#pragma once

#include "config/config.h"
#include "expr/expr.h"
#include "mail/envelope.h"
#include "strategy/invocation.h"
#include "strategy/schedule.h"
#include "strategy/settings.h"

enum strategy {
    STRATEGY_SCHEDULE,
    STRATEGY_ROUTE,
    STRATEGY_CONNECTION,
    STRATEGY_TLS,
    STRATEGY_COUNT
};

/* What the rest of the server tells: must live as long as the plan, whose end it hears of. */
struct strategy_services {
    struct expr_services expr;
    bool has_local_domains;
    struct str hostname;                                    /* for EHLO where none is configured */
    bool (*is_own_address)(void *ctx, const struct addr *); /* NULL: not checked */
    bool (*is_program)(void *ctx, struct str path);         /* may be run; NULL: not checked */
    void (*ended)(void *ctx); /* that plan asks no more, on any thread; or NULL */
    void *ctx;
};

struct plan_queue {
    struct str name;
    uint32_t id; /* its index in this plan; the name is what stays over reloads */
    const struct virtual_settings *settings;
    struct position at;
    bool is_builtin;
    const struct plan_choice *fair_by, *weight; /* NULL: not given */
};

struct plan_route {
    struct str name;
    const struct route_settings *settings;
    struct position at;
    uint16_t port;               /* as given, or the protocol's own */
    struct plan_target *targets; /* relay, local by LMTP: by priority */
    size_t target_count;
    bool targets_are_known;    /* none has a name to look up */
    struct invocation command; /* local by pipe */
};

struct plan_target {
    struct str host;
    struct addr ip; /* with its port; family 0: the host is a name */
    uint16_t port;
    uint32_t priority, weight;
};

struct plan_source {
    struct addr ip;
    struct str ehlo_hostname;
    uint32_t weight;
};

struct plan_connection {
    struct str name;
    const struct connection_settings *settings;
    struct position at;
    struct str ehlo_hostname;
    struct plan_source *sources;
    size_t source_count;
};

struct plan_tls {
    struct str name;
    const struct tls_settings *settings;
    struct position at;
};

/* What a limit on leaving mail counts: messages, or connections to hosts. */
enum limiter_class { LIMITER_MESSAGES, LIMITER_HOSTS };

/* What is counted: all that match, apart for each value of the keys. */
enum { COUNT_KEYS_MAX = 9 };

struct plan_count {
    const struct program *match;  /* NULL: all */
    uint8_t keys[COUNT_KEYS_MAX]; /* ids of variables */
    uint32_t key_count;
};

struct plan_limiter {
    struct str name;
    const struct limiter_settings *settings;
    struct position at;
    enum limiter_class class;
    struct plan_count by;
};

/* What a limit on arriving mail counts, and so when it is asked: sessions, at connect;
 * transactions, at MAIL; recipients, at each RCPT. */
enum visitor_class { VISITOR_CLIENTS, VISITOR_SENDERS, VISITOR_RECIPIENTS };

struct plan_visitor_limiter {
    struct str name;
    const struct limiter_settings *settings;
    struct position at;
    enum visitor_class class;
    struct plan_count by;
    bool
        is_once; /* it counts a domain once in a transaction, whatever it has of recipients there */
};

/* For whom a quota holds what counts: the whole message, the recipients of a domain, a recipient.
 */
enum quota_class { QUOTA_SENDERS, QUOTA_DOMAINS, QUOTA_RECIPIENTS };

struct plan_quota {
    struct str name;
    const struct quota_settings *settings;
    struct position at;
    enum quota_class class;
    struct plan_count by;
};

/* A value that filters may give messages. */
enum { META_NAMES_MAX = 32, META_TEXT_BYTES_MAX = 200 };
struct plan_meta {
    struct str name;
    enum meta_kind kind;
};

struct plan_list;   /* the compiled rules of one strategy */
struct plan_choice; /* the compiled rules of one value */

struct plan {
    const struct config *config;
    uint64_t number; /* the configuration's */
    struct plan_queue *queues;
    struct schedule *schedules;
    struct plan_route *routes;
    struct plan_connection *connections;
    struct plan_tls *tls;
    size_t queue_count, schedule_count, route_count, connection_count, tls_count;
    struct plan_limiter *limiters; /* of leaving mail */
    uint32_t limiter_count;
    uint32_t host_limiter_count;                   /* of those, how many count connections */
    struct plan_visitor_limiter *visitor_limiters; /* of arriving mail: visitors.h */
    uint32_t visitor_limiter_count;
    struct plan_quota *quotas;
    uint32_t quota_count;
    const struct plan_meta *meta;
    uint32_t meta_count;
    const struct expr_variable *variables; /* fixed ones, then those of meta; id: its place */
    uint32_t variable_count;
    struct plan_list *lists; /* STRATEGY_COUNT of them */
    const struct strategy_services *services;
};

/* `cfg` was loaded with all tables of settings.h; a reference to it is taken. NULL when *faults
 * holds an error, old or new: so `check` may go on after config_load has found some. */
struct plan *strategy_compile(struct config *cfg, const struct strategy_services *services,
                              struct faults *faults);
struct plan *plan_take(struct plan *p);
void plan_give(struct plan *p); /* NULL is harmless */

const struct plan_queue *plan_queue(const struct plan *p, struct str name); /* NULL: none */
const struct plan_route *plan_route(const struct plan *p, struct str name);
const struct plan_connection *plan_connection(const struct plan *p, struct str name);
const struct plan_tls *plan_tls(const struct plan *p, struct str name);
const struct schedule *plan_schedule(const struct plan *p, struct str name);

/* An order in which an attempt asks the targets, as their indices: by priority, then by chance as
 * the weights have it. `chance`: a number for each of them. */
void plan_targets_order(const struct plan_route *r, const uint64_t *chance, uint32_t *ret);
/* One of the sources of a family, as the weights have it; NULL: the system chooses. */
const struct plan_source *plan_source_for(const struct plan_connection *c, uint8_t family,
                                          uint64_t chance);

/* The list reads mx, remote_ip or local_ip: decide it again for each host and address. */
bool plan_is_late(const struct plan *p, enum strategy which);

/* The list makes look-ups: deciding it may have to wait for answers (ask.h). */
bool plan_asks(const struct plan *p, enum strategy which);

/* What is known at the moment of a decision. */
struct facts {
    struct date now;
    struct str mx;                   /* empty until a host is chosen */
    struct addr remote_ip, local_ip; /* family 0 until known */
};

/* One rule that was looked at. */
enum rule_result {
    RULE_PASSED, /* its condition does not hold: the next one is asked */
    RULE_CHOSE,
    RULE_STUCK /* it has no value: the decision's status says why */
};
struct rule_look {
    struct position at;
    enum rule_result result;
    struct str condition; /* empty: it always holds */
    struct str value;     /* the expression that computes the name; empty: `use` gives it */
    uint64_t reads;       /* bits of the variables in what was evaluated */
};

/* Somebody who wants to see a decision being made. */
struct decision_watch {
    void (*look)(void *ctx, const struct rule_look *look);
    void *ctx;
};

struct subject {
    const struct message *message;
    const struct recipient *recipient;
    struct facts facts;
    const struct expr_answers *answers; /* or NULL: none yet */
    const struct decision_watch *watch; /* or NULL: nobody looks */
};

enum decision_status {
    DECIDED,
    DECISION_NEEDS, /* perform `lookup`, add the answer, decide again */
    DECISION_FAILED /* route, connection, tls: wait, reason "strategy"; `why` says it */
};

struct decision {
    enum decision_status status;
    struct str name;    /* of the object, or the name that does not exist */
    struct position at; /* of the rule that decided, or failed */
    uint64_t reads;     /* bits of the variables that were read on the way */
    bool is_fallback;   /* schedule only: the built-in `default`, because of `why` */
    struct str wanted;  /* then: the name that does not exist, or empty */
    struct str why;
    struct expr_lookup lookup;
};

/* NULL unless DECIDED. What filters chose for a message (message_policy) stands in the place of the
 * schedule strategy and of its schedule's queue, as long as there is such a schedule and queue.
 * decide_schedule falls back to the built-in schedule `default` rather than
 * fail, since mail must be stored somewhere. Texts of *ret live in `a` or in the plan. */
const struct schedule *decide_schedule(const struct plan *p, const struct subject *s,
                                       struct arena *a, struct decision *ret);
/* What stands in for a schedule that could not be decided. */
const struct schedule *decide_fallback(const struct plan *p, struct decision *ret);
const struct plan_route *decide_route(const struct plan *p, const struct subject *s,
                                      struct arena *a, struct decision *ret);
const struct plan_connection *decide_connection(const struct plan *p, const struct subject *s,
                                                struct arena *a, struct decision *ret);
const struct plan_tls *decide_tls(const struct plan *p, const struct subject *s, struct arena *a,
                                  struct decision *ret);

/* Into which lane of its queue (s->recipient->state.queue) a recipient goes; empty: that without a
 * name, also where fair-by gives no value. In `a`, or in the recipient. */
enum { LANE_BYTES_MAX = 100, LANE_WEIGHT_MAX = 100 };
struct str decide_lane(const struct plan *p, const struct subject *s, struct arena *a);
/* The weight of a lane of this queue: 1 to LANE_WEIGHT_MAX; 1 where it has none. */
uint32_t decide_weight(const struct plan_queue *q, struct str lane);

/* One that counts this recipient, and the values it is counted by, as one text. */
struct limit_use {
    uint32_t limiter; /* its place in the plan */
    struct str values;
};
/* Those of a class, into an array of at least plan->limiter_count; how many. `failed`: one whose
 * match gave no value and which was left out, else NULL. */
uint32_t decide_limits(const struct plan *p, enum limiter_class c, const struct subject *s,
                       bool is_local, struct arena *a, struct limit_use *ret,
                       const struct plan_limiter **failed);

/* Whether a quota counts this recipient (class senders: its message), and by which values. What it
 * reads never changes, so that the answer is the same at any time. *failed: its match gave no
 * value, and so it does not. */
bool decide_quota(const struct plan *p, const struct plan_quota *quota, const struct subject *s,
                  struct arena *a, struct str *values, bool *failed);
/* Whether the quotas of both count the same mail by the same values, whatever they allow of it. */
bool plan_same_quotas(const struct plan *p, const struct plan *other);

/* "mx example.org" for an mx route, else the name of the route: for fairness, limits and rest. */
struct str plan_site(const struct plan_route *r, struct str recipient, struct arena *a);
/* "file:line:col" or "(built in)". */
struct str decision_place(const struct decision *d, struct arena *a);

/* The variables of all strategies, for `explain`: NULL past the last id. */
const char *variable_name(unsigned id);
struct value variable_value(const struct subject *s, unsigned id, struct arena *a);
/* The same with those that this plan declares, `meta.NAME`. */
const char *plan_variable_name(const struct plan *p, unsigned id);
struct value plan_variable(const struct plan *p, const struct subject *s, unsigned id,
                           struct arena *a);
const struct plan_meta *plan_meta(const struct plan *p, struct str name); /* NULL: not declared */
/* What a text (true, false, a whole number) gives; false: it is no value of that kind. */
bool meta_read(const struct plan_meta *declared, struct str text, struct message_meta *ret);
struct str meta_kind_name(enum meta_kind kind); /* "string" */
/* Their scope at one strategy, for expressions elsewhere that speak of queued recipients. */
void strategy_scope(enum strategy which, const struct strategy_services *services,
                    struct expr_scope *ret);
