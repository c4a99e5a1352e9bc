/*
 * policy: one configuration as inbound/ uses it: settings, directory, certificate,
 * filters and the queue's plan, never changed once made. Sessions take the newest at each MAIL and
 * keep it for the transaction.
 *
 * Source    Design section 10 (reload); RFC 5321 sections 3.6.2, 3.7 and 4.5.1 (relaying,
 *           postmaster).
 * Owns      A policy owns one reference of the snapshot and of the plan, and its directory and
 *           certificate. References are counted, from any thread.
 * Errors    policy_load tells in *faults; NULL then.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "inbound/directory.h"
#include "inbound/settings.h"
#include "mail/path.h"
#include "smtp/answer.h"

#include <stdatomic.h>

struct chain;
struct config;
struct expr_services;
struct plan;
struct tls_server;

struct policy_source {
    struct config *config;            /* one reference is taken */
    struct plan *plan;                /* one reference is taken over, also on failure */
    struct str system_hostname;       /* when server.hostname is not set */
    uint64_t memory_bytes;            /* when server.memory is not set */
    const struct expr_services *expr; /* what expressions of filters may ask; NULL: nothing */
};

struct policy {
    atomic_uint references;
    struct config *config;
    struct plan *plan;
    const struct server_settings *settings;
    struct str hostname;
    uint64_t memory_bytes;
    struct directory *directory;
    struct chain *chain;    /* of filters; NULL: none */
    struct tls_server *tls; /* NULL: none */
    struct arena arena;
};

/* Reads files, so it blocks: call it before the loops run, or through offload. */
struct policy *policy_load(const struct policy_source *source, struct faults *faults);
struct policy *policy_share(struct policy *p);
void policy_drop(struct policy *p); /* NULL is harmless */

bool policy_is_trusted(const struct policy *p, const struct addr *client);

/* Whether mail to this recipient is taken, and for whom it is: *ret lives in `a`. False: *why says
 * the reason. */
bool policy_rcpt(const struct policy *p, bool trusted, const struct path *to, struct arena *a,
                 struct str_list *ret, struct answer *why);
