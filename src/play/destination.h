/*
 * destination: the hosts of a scenario in a simulated world: names that lead to them, listeners,
 * tempers that change with the weather; and what stands for maildirs and programs.
 *
 * Life      destinations_new -> destinations_network before the world runs -> destinations_open on
 *           each outside loop (hosts are dealt out among them) -> destinations_begin when the run's
 *           time starts to count -> the loops' groups are cancelled -> destinations_free.
 * Owns      Its hosts. Not the scenario.
 */
#pragma once

#include "dns/dns.h"
#include "play/scenario.h"
#include "play/server.h"

struct buf;
struct destinations;
struct process_end;
struct world;

struct destinations *destinations_new(const struct scenario *s);
void destinations_free(struct destinations *d);
/* How the network to them is to begin with. */
void destinations_network(const struct destinations *d, struct world *w);
/* Opens every `shares`-th host from `share` on, in fibers of `g` on the running loop. */
void destinations_open(struct destinations *d, unsigned share, unsigned shares, struct group *g);
/* The run begins now; what weather does to the network is done by a fiber of `g`. */
void destinations_begin(struct destinations *d, struct world *w, struct group *g);
/* Answers for names; a dns_answer_fn. */
struct err destinations_resolve(void *d, struct str name, enum dns_type type, struct arena *a,
                                struct dns_answer *ret, struct when by);

/* One recipient of a maildir or of a program; a delivery_take_fn (delivery/delivery.h). */
struct err destinations_take(void *d, struct str route, struct process_end *end, struct buf *output,
                             struct when by);

struct destination_counts {
    uint64_t connections, open, messages, refusals;
};
/* Of all hosts of one kind. */
struct destination_counts destinations_counts(const struct destinations *d, unsigned number);
