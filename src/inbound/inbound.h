/*
 * inbound: mail comes in. Listeners accept on the home loop; each client's session is a fiber on
 * one of the worker loops, from the greeting to the goodbye.
 *
 * Source    Design sections 2, 5 and 10; RFC 5321.
 * Threads   inbound_use, inbound_bound and inbound_stop are called on the home loop, inbound_serve
 *           on each worker loop. How many sessions there are, and from where, only the home loop
 *           knows: sessions come home when they end.
 * Owns      Listeners, sessions, and the policy in use.
 * Limits    server.limits.*; sessions_max beside it, for what the process may open.
 * Errors    inbound_use: all or nothing, told in *why.
 * Promises  P1 (250 only after queue_accept), P7, P10, P11 (a reload drops no session), P12.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "inbound/policy.h"
#include "runtime/loop.h"

struct engine;
struct inbound;
struct limit_count;
struct queue;
struct store;

struct inbound_options {
    struct loop *home;
    struct loop *const *workers; /* copied */
    unsigned worker_count;
    struct queue *queue;
    struct store *store;
    struct engine *engine; /* of filters */
    uint32_t sessions_max; /* what descriptors allow; 0: no bound of its own */
};

struct inbound *inbound_new(const struct inbound_options *o);
/* After all loops have ended. */
void inbound_free(struct inbound *in);

/* The work of one worker loop, as (part of) its main fiber: returns after inbound_stop, or when
 * cancelled; then its sessions are cut and have ended. */
void inbound_serve(struct inbound *in, unsigned worker);

/* Begins to use this policy, at start and at a reload: opens what is newly bound, tells the
 * workers, closes what is no longer bound. Takes the reference, also when it fails. */
struct err inbound_use(struct inbound *in, struct policy *policy, struct buf *why, struct when by);

/* Where we really listen: for "is this host ourselves", and for tests that bind port 0. */
size_t inbound_bound(const struct inbound *in, struct arena *a, const struct addr **ret);

/* Stops accepting, says 421 to idle sessions, gives transactions `grace_ms`, then cuts all that
 * have not sent the end of their data; returns when no session is left. Cancelling the caller ends
 * the grace. */
void inbound_stop(struct inbound *in, int64_t grace_ms, struct when by);

/* Sessions there are now; on the home loop. */
uint32_t inbound_sessions(const struct inbound *in);

/* How often each limiter of arriving mail has refused; on the home loop, until the next post. */
uint32_t inbound_refusals(const struct inbound *in, const struct limit_count **ret);
