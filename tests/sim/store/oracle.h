/*
 * oracle: what the users of a simulated store were told, and so what it must know after a crash.
 *
 * Owns      Its book, until oracle_done.
 * Judges    oracle_judge compares the book with what a recovered store shows, tells each broken
 *           promise, and takes what is there as the new truth.
 */
#pragma once

#include "../sim.h"
#include "base/map.h"
#include "mail/envelope.h"

#include <stdbool.h>
#include <stdint.h>

enum { ORACLE_RECIPIENTS = 4 };

enum fate {
    FATE_ASKED, /* posted; not answered, or answered that nobody knows */
    FATE_STORED,
    FATE_REFUSED,
    FATE_OVER
};

struct told {
    uint32_t acked, posted; /* versions; posted: perhaps stored */
    bool acked_over, posted_over;
};

struct known {
    uint64_t id, size;
    uint32_t to_count;
    enum fate fate;
    struct told to[ORACLE_RECIPIENTS];
    bool is_seen;
    struct known *twin; /* stored in one commit with a change of this message, not answered */
    uint32_t twin_index, twin_version;
};

struct value_known {
    uint32_t acked, posted; /* counters that were written; 0: removed or never there */
};

enum { ORACLE_VALUES = 16 };

struct oracle {
    struct map by_id;
    struct known **all;
    uint32_t count, size;
    struct value_known values[ORACLE_VALUES];
    uint64_t last_id;
    struct sim_run *run;   /* where a broken promise is told */
    bool forgives_missing; /* bytes were rotten on purpose */
    uint64_t missing;
    uint64_t accepted;
};

struct known *oracle_add(struct oracle *o, uint64_t id, uint32_t to_count, uint64_t size);
void oracle_violated(struct oracle *o, uint64_t id, const char *what);
/* One message of the recovered store; then, when all were shown, the judgement. */
void oracle_found(struct oracle *o, const struct message *m);
void oracle_judge(struct oracle *o);
void oracle_done(struct oracle *o);
