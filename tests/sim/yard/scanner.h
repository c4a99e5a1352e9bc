/*
 * scanner: scanners of the IETF draft in the simulated world: they are found, registered at, asked
 * and left, in JSON or CBOR, in the words of -01 or -02, and fail in all the ways that scanners
 * have. What they say of mail is the scenario's.
 *
 * Source    draft-degennaro-mta-hooks-01 sections 3 to 7; of -02 that answers are JSON Patches.
 * Judged    A question is sent again only where that may help: after "later" and a connection that
 *           broke, twice at most, not before its pause is over; and under a new registration, once.
 *           Then it is the same byte for byte, unless other properties were agreed on. Each request
 *           is of the agreed format, under a registration that is known and not over, and with what
 *           was agreed on alone. While a registration is renewed the one before is good.
 * Owns      Nothing: struct scanners is the scenario's, scanners_begin starts it anew for a life.
 */
#pragma once

#include "doc/doc.h"
#include "http/fetch.h"
#include "machine.h"

enum {
    SCANNER_ASKED_MAX = 4096,
    SCANNERS_MAX = 2,
    SCANNER_TOKENS_MAX = 40,
    SCANNER_GRANTS = 8 /* the latest are remembered */
};

enum scanner_mood {
    SCANNER_WELL, /* the first */
    SCANNER_SLOW,
    SCANNER_SILENT,
    SCANNER_RESET,
    SCANNER_GARBAGE,
    SCANNER_REFUSING,
    SCANNER_FORGETFUL, /* of registrations */
    SCANNER_MOODS
};

/* What became of a question so far: how it may come again. */
enum scanner_again { AGAIN_NEVER, AGAIN_LATER, AGAIN_REGISTERED };

struct scanner_asked {
    char id[SCANNER_TOKENS_MAX];
    uint64_t hash; /* of its bytes */
    unsigned grant, properties, sends, registrations;
    enum scanner_again again;
    int64_t not_before_ns;
};

struct scanner {
    /* The scenario's. */
    const char *host;                 /* in text: 192.0.2.1 */
    bool is_patch, is_cbor, is_found; /* is_found: by discovery */
    bool blocks;                      /* now and then a registration is refused for good */
    bool is_mute;                     /* registers well, whatever its mood */
    int64_t slow_ms;                  /* no answer takes longer that is one */
    unsigned mood;
    /* Its own. */
    unsigned grants, forgotten;          /* the latest; none up to `forgotten` is known any more */
    int64_t expires_ms[SCANNER_GRANTS];  /* by number; 0: never */
    unsigned properties[SCANNER_GRANTS]; /* which form of them was agreed on */
    bool is_left;                        /* the latest was given back */
    unsigned asked_count;
    struct scanner_asked asked[SCANNER_ASKED_MAX];
};

struct scanners;

struct scanner_question {
    struct scanners *scanners;
    struct scanner *scanner;
    struct arena *arena;
    struct str id, stage;
    struct doc *request;
    struct doc set, add, delete; /* so far; of a patch the first alone */
};

struct scanners {
    struct sim_run *run;
    struct world *world;
    struct scanner *items[SCANNERS_MAX];
    unsigned count;
    /* A question is understood, and about to be answered or not. */
    void (*asked)(struct scanners *all, struct scanner_question *q);
    /* It is answered, now and once: with what is put into q. */
    void (*says)(struct scanners *all, struct scanner_question *q);
    void *ctx;
    struct fetch_sim sim;
};

/* What answers all calls; ctx: the scanners. */
struct err scanners_answer(void *ctx, const struct fetch_request *r, struct arena *a,
                           struct fetch_answer *ret, struct buf *why, struct when by);
/* For machine_options.before. */
void scanners_begin(struct scanners *all, struct machine *m);
/* Lines of the configuration of a hook, from "dialect" on. */
void scanner_config(const struct scanner *s, const char *properties, const char *allow,
                    struct buf *out);

/* Parts of the request; NULL and empty: it is not in there. */
struct doc *scanner_part(const struct scanner_question *q, const char *pointer);
struct str scanner_text(const struct scanner_question *q, const char *pointer);

/* Parts of the answer. */
void scanner_set(struct scanner_question *q, const char *pointer, struct doc value);
void scanner_insert(struct scanner_question *q, const char *list, int64_t index, struct doc value);
void scanner_delete(struct scanner_question *q, const char *pointer);
