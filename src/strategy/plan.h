/*
 * plan: the inside of a plan, shared by rules.c, plan.c and decide.c. Nobody else includes this.
 */
#pragma once

#include "base/map.h"
#include "strategy/strategy.h"

#include <stdatomic.h>

struct plan_rule {
    struct position at;
    const struct program *condition; /* NULL: always */
    const struct program *value;     /* NULL: `use` */
    struct str use;
    const void *object; /* what `use` names; set once the objects stand */
};

struct plan_list {
    struct plan_rule *rules;
    size_t count;
    bool is_late, asks;
    bool names_are_known; /* no rule computes a name that the load cannot list */
    struct map objects;   /* name -> object */
    struct map named;     /* while compiling: the objects that a rule names */
    const struct setting_table *table;
};

struct plan_full {
    struct plan plan;
    struct plan_list lists[STRATEGY_COUNT];
    struct arena arena;
    struct patterns patterns;
    struct config *config;
    const struct strategy_services *services;
    struct faults *faults; /* while compiling */
    _Atomic uint64_t references;
};

/* Where a key of an object stands; whether it is given at all. */
struct position plan_where(const struct plan_full *p, const void *settings, const char *key);
bool plan_given(const struct plan_full *p, const void *settings, const char *key);
/* The objects of routes.c and connections.c. */
void plan_add_routes(struct plan_full *p);
void plan_add_connections(struct plan_full *p);
void plan_add_limiters(struct plan_full *p);         /* limiters.c */
void plan_add_visitor_limiters(struct plan_full *p); /* visitors.c */
void plan_add_quotas(struct plan_full *p);           /* quotas.c */
void plan_add_meta(struct plan_full *p);             /* meta.c: before what compiles expressions */
void plan_scope(const struct plan_full *p, enum strategy which, struct expr_scope *ret);
/* The fault "limits nothing", if so. */
void plan_check_limits(struct plan_full *p, const struct setting_table *table, struct str name,
                       struct position at, const struct limiter_settings *set);
/* Compiles the rules of one list and checks every name it can know (rules.c). */
void plan_compile_list(struct plan_full *p, enum strategy which, const struct rules *rules);
/* Compiles the rules of one value of `settings`, the row `key` of queue.virtual.NAME; NULL when the
 * row was not given or is wrong (fair.c). */
struct plan_choice *plan_compile_choice(struct plan_full *p, const struct rules *rules,
                                        const struct expr_scope *scope, enum expr_wants wants);
void plan_compile_fairness(struct plan_full *p, struct plan_queue *q);
/* Compiles one expression and tells its faults (rules.c). *groups: the highest $n that a pattern
 * before may have set, -1: none. */
const struct program *plan_compile_expression(struct plan_full *p, const struct expr_scope *scope,
                                              const struct expression *e, enum expr_wants wants,
                                              int *groups);
/* counts.c: the words of `key` that a kind of limiter or quota knows, each with a class of its own;
 * `mail`: whose. */
struct count_word {
    const char *name;
    uint8_t class;
};
struct count_kind {
    const struct setting_table *table;
    const struct count_word *words;
    size_t word_count;
    const char *mail;
};
struct count_source {
    struct str name;
    const void *settings;
    const struct str_list *key;
    const struct expression *match;
};
/* The greatest class of its keys. Place and services of the scope are filled in. */
uint8_t plan_add_count(struct plan_full *p, const struct count_kind *kind,
                       const struct count_source *from, struct expr_scope *scope,
                       struct plan_count *ret);
uint64_t count_reads(const struct plan_count *c); /* bits of the variables in its match */

/* What expressions about queued mail read: `plan_read` with one of these. */
struct plan_reading {
    const struct plan *plan;
    const struct subject *subject;
    struct arena *arena;
};
struct value plan_read(void *reading, unsigned id);

struct counting {
    struct value (*get)(void *ctx, unsigned id);
    void *ctx;
    struct arena *arena;
};
enum count_match { COUNT_NO, COUNT_YES, COUNT_UNKNOWN };
enum count_match count_matches(const struct plan *p, const struct plan_count *c,
                               const struct counting *about);
/* The values of its keys, as one text. */
struct str count_values(const struct plan_count *c, const struct counting *about);

/* The fault "no such route", with what was meant. */
void plan_no_object(struct plan_full *p, const struct setting_table *table, struct str name,
                    struct position at, const char *where);
