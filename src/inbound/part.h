/*
 * part: what the parts of inbound/ (inbound.c, listener.c, session.c) share; nobody else's.
 *
 * A session's way: listener.c admits it on the home loop and posts it to a worker, session.c lives
 * there, inbound.c joins its fiber and posts it home, where it is counted out and freed.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "inbound/filter.h"
#include "inbound/inbound.h"
#include "inbound/intake.h"
#include "inbound/policy.h"
#include "limit/limits.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "smtp/server.h"

/* A word from home to a worker; it is taken back only by having run. */
struct order {
    struct post post;
    struct worker *worker;
};

struct worker {
    struct inbound *in;
    struct order stop, cut, end; /* one each in a life */
    struct loop *loop;
    struct policy *policy;         /* the newest taken up */
    _Atomic(struct policy *) next; /* a newer one from home, or NULL */
    struct list sessions;          /* their fibers run */
    struct list ended;             /* their fibers are about to return */
    struct signal changed;         /* something for inbound_serve */
    struct when unmatched_told;    /* arrival_unmatched is not raised again before */
    bool stopping, finish;         /* say 421 where idle; return when empty */
    bool closed;                   /* inbound_serve has returned */
    uint32_t count;                /* the home loop's: sessions given to this worker */
};

/* One address we listen on; the home loop's. */
struct door {
    struct link link;
    struct inbound *in;
    struct listener *listener;
    struct group group; /* its accepting fiber */
    struct addr bind;   /* as configured */
    char name[NAME_BYTES_MAX + 1];
    enum submission submission;
    struct wishes wishes;
    bool starttls;
    bool wanted; /* by the configuration that is being taken up */
};

struct client_count {
    struct addr client; /* the key */
    uint32_t count;
};

struct inbound {
    struct loop *home;
    struct worker *workers;
    unsigned worker_count;
    uint32_t sessions_cap;
    struct intake_place place;
    struct engine *engine; /* NULL: filters are not offered */

    /* The home loop's. */
    struct policy *policy;
    struct list doors;
    struct list all;    /* sessions, wherever they are */
    struct map clients; /* -> struct client_count */
    uint32_t sessions;
    uint64_t sessions_ever;
    bool stopping;
    struct limits *limits; /* queue.limiter.inbound; NULL: there were none yet */
    struct signal came_home;
};

/* What a session, or its transaction, has of limits; zeroed: nothing. */
struct held {
    struct limit_key *keys;
    uint32_t count, size;
    struct arena arena; /* of their texts */
};

struct session {
    struct post post; /* its way to the worker and home */
    struct link all;  /* the home loop's */
    struct link link; /* in its worker's lists */
    struct group group;
    struct worker *worker;
    struct guest *guest; /* until its fiber runs */
    struct addr remote;
    uint32_t connections; /* of its client, when it came */
    char remote_at[ADDR_BYTES], ip_at[ADDR_BYTES];
    struct str remote_text, ip_text; /* remote, printed once */
    uint64_t id;
    char listener[NAME_BYTES_MAX + 1];
    enum submission submission;
    struct wishes wishes;
    bool starttls, counted;

    struct stream *stream;
    struct server server;
    struct policy *policy; /* of the transaction, or the last one */
    bool trusted;
    struct intake intake;
    struct filter filter;
    struct held session_held, transaction_held; /* limits.c */
    struct str asked_rcpt;                      /* of the RCPT being answered; for the log */
    uint64_t messages;
    struct when began;
};

/* Whether there is anybody to be asked, now or at the stages before: looked at before any of
 * filter.h is called. */
static inline bool has_filters(const struct session *s)
{
    return s->policy->chain != NULL || s->filter.talk != NULL;
}

/* session.c: takes up a session on its worker's loop; run as a post. */
void session_arrive(struct post *post);
/* Its post home; run there (inbound.c). */
void session_come_home(struct post *post);
/* On its loop: end it now if it is idle, else as soon as no transaction is open. */
void session_stop(struct session *s);

/* The newest policy, on the worker's loop; the worker's reference. */
struct policy *worker_policy(struct worker *w);

/* limits.c: queue.limiter.inbound. Each asks the home loop, if the plan has any for it, and answers
 * for the client: false, and *ret says so. `mail`, `rcpt`: the addresses. */
bool visitor_connects(struct session *s, struct answer *ret, struct when by);
bool visitor_sends(struct session *s, const struct mail_args *mail, struct answer *ret,
                   struct when by);
bool visitor_names(struct session *s, struct str rcpt, struct answer *ret, struct when by);
/* The transaction is over: what it had is given back. Without one it does nothing. */
void visitor_resets(struct session *s);
/* On the home loop: the session is over; those of this plan hold from now on. */
void visitor_leaves(struct inbound *in, struct session *s);
void visitors_use_plan(struct inbound *in, const struct plan *plan);

/* listener.c */
struct err doors_use(struct inbound *in, const struct policy *policy, struct buf *why);
void doors_close_unwanted(struct inbound *in, struct when by);
/* Counts a client out again. */
void client_left(struct inbound *in, const struct session *s);
void clients_free(struct inbound *in);
