/*
 * filters: the filters of a configuration are asked about leaving mail: after an attempt (stages
 * delivery and defer), about a notice (dsn), and before a job's way is chosen (route).
 *
 * Source    Design sections 6 and 9; P9; reference of MTA Hooks, section 3.16.
 * Rules     1. Results are on stable storage before anybody is asked about them. A crash between
 *              them and the answer loses what the filter wanted, and nothing else.
 *           2. Who asks holds no slot. What a filter wants of a recipient is made only while its
 *              state is the one that the filter was shown: a result that came meanwhile stands.
 *           3. Whatever a filter does, mail goes on: no answer means that nothing is changed.
 *           4. Not more than FILTERS_ASKING_MAX attempts of a loop are asked about at a time; of
 *              others no filter hears (filters_unasked).
 *           5. An added recipient is judged as if the sender had named it, and gets a message of
 *              its own, to which no filter may add.
 * Owns      The filters of a configuration have counted references, from any thread.
 * Cost      Without filters for these stages: one comparison at each place.
 */
#pragma once

#include "delivery/part.h"
#include "hooks/engine.h"

#include <stdatomic.h>

enum { FILTERS_ASKING_MAX = 64 };

struct filters {
    atomic_uint references;
    struct delivery_filters f;
};

struct filters *filters_new(const struct delivery_filters *f); /* one reference */
struct filters *filters_share(struct filters *f);
void filters_drop(struct filters *f); /* NULL is harmless */

static inline bool filters_ask_at(const struct delivery_loop *l, enum hook_stage s)
{
    return l->filters != NULL && chain_asks(l->filters->f.chain, s);
}

/* Somebody wants to hear what came of attempts. */
static inline bool filters_hear(const struct delivery_loop *l)
{
    return filters_ask_at(l, HOOK_DELIVERY) || filters_ask_at(l, HOOK_DEFER);
}

/* One question; false: the fiber was cancelled. */
bool filters_ask(const struct filters *f, const struct hook_view *view, bool is_trusted,
                 struct arena *a, struct verdict *ret, struct when by);

/* filters_view.c. What is shown of a message: its bytes are read from the store while they are
 * sent; where its header section cannot be read there is no message in the view. `states`: one for
 * each of `to`. The reader must live as long as the view; so must all that it shows. */
struct filters_reader {
    struct store *store;
    const struct parcel *parcel;
};
void filters_view(struct delivery_loop *l, enum hook_stage stage, struct filters_reader *reader,
                  const uint32_t *to, const struct rcpt_state *states, uint32_t count,
                  struct arena *a, struct hook_view *ret, struct when by);
/* A message in memory. */
void filters_view_text(struct str text, uint64_t header_bytes, struct arena *a,
                       struct hook_view *ret);

/* filters_after.c: a recorded job, as its fiber; and without one, at the bound. */
void filters_after_fiber(void *job);
void filters_left_out(struct job *j);

/* filters_route.c: what filters have chosen for one recipient of an attempt; NULL and empty: the
 * strategies choose. */
struct pick {
    const struct plan_route *route;
    const struct plan_connection *connection;
    const struct plan_tls *tls; /* obeyed where it is not weaker than what the strategy asks for */
    struct str by;
};
/* Asks before the way of a job is chosen. False: the job was answered, since recipients of it are
 * given up, put off, or moved to another queue; the others are asked about again. */
bool filters_route(struct job *j, struct when by);

/* filters_add.c: a recipient that a filter wants for the message. */
void filters_add(struct delivery_loop *l, const struct filters *f, const struct parcel *p,
                 const struct hook_edit *edit, struct str filter, struct when by);
