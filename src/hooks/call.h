/*
 * call: a hook over HTTP as a filter: the view goes there in its dialect, the message piece by
 * piece, and the answer comes back.
 *
 * Source    Reference of MTA Hooks, sections 2.2 and 2.13 (Q16, Q17, Q22).
 * Owns      A struct hook lives in its chain's arena, and keeps what it trusts and its registry
 *           until the chain is dropped. The files of tls.* are read when it is compiled and never
 *           again: what the loops do reads none.
 * Limits    A request's length is computed before it is sent, and said. Answers of response_max
 *           bytes. Over BIG_BYTES (call.c) what is matched, written or parsed is dealt with on a
 *           thread of its own: the loop has other sessions.
 * Errors    Those of fetch, and ERR_PROTOCOL for a status or an answer that is no good.
 */
#pragma once

#include "hooks/chain.h"
#include "hooks/registry.h"
#include "http/fetch.h"

struct tls_trust;

/* Those that the hooks of one configuration have loaded so far: the newest, to be shared. */
struct hook_trusts {
    const struct hook *latest;
};

/* Who is shown each exchange of a hook when it is over; `answer` NULL: there was none. */
struct hook_watch {
    void (*told)(void *ctx, const struct fetch_request *r, const struct fetch_answer *answer,
                 struct when by);
    void *ctx;
};

struct hook {
    const struct hook_settings *settings;
    const struct hook_dialect *dialect;
    struct hook_terms terms;
    struct fetch_target target;
    struct fetch_field *fields; /* as configured, and Authorization; room for one more in front */
    size_t field_count;
    size_t response_max;
    struct fetch_pool_options pool;
    struct str pool_key;
    struct tls_trust *trust;    /* NULL: it is not asked over TLS */
    const struct hook *has_too; /* another of the configuration with a trust */
    const struct filter_world *world;
    struct hook_watch watch; /* told NULL: nobody watches */

    /* Of the draft dialects. */
    struct str_set allow;                        /* what it may change, as configured */
    const struct doc *filter;                    /* NULL: none */
    const struct registry_options *registration; /* NULL: there is none to be had */
    struct registry *registry;
};

extern const struct filter_kind hook_kind;
