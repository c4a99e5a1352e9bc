/*
 * lookup: questions to stores outside of us (files, Redis, SQLite, PostgreSQL) behind one function
 * with a deadline. Their client libraries stay inside this folder.
 *
 * Source    Design sections 4 and 5; the manual's chapter on expressions; PY-46; P7.
 * Owns      Stores belong to the loop that opened them, their home; any loop may ask. A store has
 *           `pool` connections, a cache and a breaker of its own. Answers are copied into the
 *           caller's arena.
 * Cache     Answers to questions that change nothing are kept for cache.ttl, "there is no such key"
 *           for cache.negative-ttl, within cache.entries and cache.size; the longest unused go
 *           first. Equal questions that are asked together are asked once.
 * Breaker   A store that cannot be reached, or answers nobody for its whole time-out, is left alone
 *           for BREAK_FIRST_MS, then twice as long each time, BREAK_MAX_MS at most; meanwhile
 *           questions fail at once. Then one question probes. So a dead store costs one time-out,
 *           not one for each message.
 * Limits    LOOKUP_WAITING_MAX questions wait for one store, more fail; an answer has
 *           LOOKUP_BYTES_MAX bytes and LOOKUP_CELLS_MAX values.
 * Errors    ERR_TIMEOUT and ERR_CANCELLED when `by` or the asker ended the wait; ERR_NOT_FOUND: no
 *           such store; ERR_SYNTAX: the store cannot be asked this, or refuses it (a wrong type, a
 *           statement in error); ERR_LIMIT, ERR_BUSY (left alone), ERR_NETWORK, ERR_DISK and
 *           others: it could not answer now. ret->why says it for people.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "runtime/fiber.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOOKUP_ARGS_MAX = 64,
    LOOKUP_WAITING_MAX = 10000,
    LOOKUP_BYTES_MAX = 256 * 1024,
    LOOKUP_CELLS_MAX = 4096,
    LOOKUP_KEY_BYTES_MAX = 64 * 1024,
};

struct config;
struct lookups;

enum lookup_verb {
    LOOKUP_GET,          /* the value of a key; no rows: there is none */
    LOOKUP_EXISTS,       /* 1 or 0 */
    LOOKUP_SET,          /* 1 */
    LOOKUP_COUNTER,      /* what a counter stands at; 0 when there is none */
    LOOKUP_COUNTER_INCR, /* the new value */
    LOOKUP_SQL           /* rows, or how many were changed */
};

#define LOOKUP_VERB_BIT(verb) (1u << (verb))

enum lookup_type { LOOKUP_TEXT, LOOKUP_INT, LOOKUP_REAL };

struct lookup_cell {
    enum lookup_type type;
    struct str text;
    int64_t num;
    double real;
};

struct lookup_question {
    struct str store; /* lookup.NAME */
    enum lookup_verb verb;
    struct str key;                 /* or the statement */
    struct str value;               /* SET */
    int64_t by;                     /* COUNTER_INCR */
    const struct lookup_cell *args; /* SQL: its parameters */
    size_t arg_count;
};

struct lookup_answer {
    struct lookup_cell *cells; /* row after row */
    size_t rows, columns;
    bool is_count; /* SQL: no rows but one number, of the rows that were changed */
    struct str why;
};

/* What a store has to tell besides answers: it went away, is back; a file was read anew or cannot
 * be read, and its old content stays. Told on the home loop. */
enum lookup_news { LOOKUP_AWAY, LOOKUP_BACK, LOOKUP_FILE_READ, LOOKUP_FILE_BAD };

/* Answers in place of every store, in the home's fibers; may wait. In a simulated world, where the
 * scenario's sim_service("lookup") is one of these, and in tests. Cache, breaker, coalescing and
 * time-outs stay real. */
struct lookup_sim {
    struct err (*ask)(void *ctx, const struct lookup_question *q, struct arena *a,
                      struct lookup_answer *ret, struct when by);
    void *ctx;
};

struct lookup_options {
    struct lookup_sim sim; /* ask NULL: real */
    void (*told)(void *ctx, struct str store, enum lookup_news news, struct str text); /* or NULL */
    void *ctx;
};

/* On the home loop, in a fiber. Takes a reference of the configuration. Never fails: a store that
 * cannot be reached says so when it is asked. Files are read before it returns. */
struct lookups *lookup_open(struct config *cfg, const struct lookup_options *o, struct when by);
/* On the home loop, in a fiber: the stores of a new configuration, with fresh caches; what was
 * asked of the old ones is still answered by them. */
void lookup_use(struct lookups *l, struct config *cfg, struct when by);
/* On the home loop, once nobody asks any more; what is under way is given up. */
void lookup_close(struct lookups *l, struct when by);

struct err lookup_ask(struct lookups *l, const struct lookup_question *q, struct arena *a,
                      struct lookup_answer *ret, struct when by);

const char *lookup_verb_name(enum lookup_verb verb); /* "key_get" */

struct lookup_counts {
    uint64_t asked;
    uint64_t cached;  /* of these, answered from the cache */
    uint64_t joined;  /* answered together with an equal one */
    uint64_t refused; /* by the breaker */
    uint64_t failed;  /* in whichever way, these among them */
};
/* From any thread; not all of one instant. */
struct lookup_counts lookup_counts(const struct lookups *l);
