/*
 * pause: standing rules that stop attempts: of a queue, a destination, a sender, or whatever an
 * expression chooses; each with a name, a reason and maybe an end. Clocks go on.
 *
 * Source    Design section 7, "Operator actions"; PY-26.
 * Stored    All of them as one named value of the store ("pauses"), in tag-length-value.
 * Owns      A set never changes; it lives while somebody has a reference. Any thread may use it.
 * Limits    PAUSES_MAX pauses; PAUSE_NAME_MAX bytes a name.
 * Errors    pauses_decode: ERR_CORRUPT. An expression that this version can no longer read makes
 *           its pause cover everything, and says so: mail waits rather than goes.
 *
 * A pause that names one queue, one destination, or all, is *wide*: the queue knows whom it covers.
 * The others are *narrow*: they are asked with the envelope, when mail is prepared.
 */
#pragma once

#include "base/buf.h"
#include "queue/select.h"

#include <stdatomic.h>
#include <stdint.h>

enum { PAUSES_MAX = 100, PAUSE_NAME_MAX = 32 };

#define PAUSES_VALUE STR("pauses")

struct pause {
    struct str name;
    struct selection which;
    bool all;
    struct str who, why;
    struct date since, until; /* until: DATE_NEVER for no end */
    bool is_broken;           /* its expression cannot be read: it covers everything */
};

struct pauses {
    struct arena arena;
    struct pause *items;
    uint32_t count;
    bool has_narrow;
    _Atomic uint32_t references;
};

bool pause_is_wide(const struct pause *p);

/* What `old` (may be NULL) holds at `now`, without the one of that name, and with `add` (may be
 * NULL), as bytes for the store. */
void pauses_encode(const struct pauses *old, struct str without, const struct pause *add,
                   struct date now, struct buf *out);
struct err pauses_decode(struct str bytes, struct pauses **ret);
struct pauses *pauses_take(struct pauses *p); /* NULL is harmless in these two */
void pauses_give(struct pauses *p);

const struct pause *pauses_find(const struct pauses *p, struct str name);
/* The first wide pause that covers this queue, or this site; NULL: none. */
const struct pause *pauses_queue(const struct pauses *p, struct str queue, struct date now);
const struct pause *pauses_site(const struct pauses *p, struct str site, struct date now);
/* The first narrow one that covers the recipient. */
const struct pause *pauses_match(const struct pauses *p, const struct message *m,
                                 const struct recipient *r, struct date now, struct arena *a);
/* When the first of them ends. */
struct date pauses_end(const struct pauses *p);
/* "NAME: why, or what it covers" */
struct str pause_text(const struct pause *p, struct arena *a);
