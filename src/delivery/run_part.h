/*
 * run_part: what the parts of a slot's time (run.c, transact.c) share; nobody else's.
 *
 * Errors    None: outcomes of recipients.
 */
#pragma once

#include "delivery/peer.h"

struct run {
    struct job *j;
    struct delivery_loop *l;
    struct peer_link *link; /* at hand from the job before; NULL: none */
    struct buf content;     /* what the store read, when it did not lie in memory */
    bool *skip;             /* recipients that this host has answered or cannot serve */
    bool *tried;            /* at this address */
    bool is_accepted;       /* a peer said something to a transaction but 421 */
    struct str why;         /* the latest failure of a connection */
    struct vigil vigil;
};

void run_fill_mail(struct run *r, struct client_mail *m);
void run_fill_rcpt(const struct recipient *from, struct client_rcpt *to);
/* What this host can never do for a recipient is an outcome before a word is said: true then. */
bool run_is_lacking(struct run *r, struct client_mail *m, uint32_t at, struct client_rcpt *one);

/* limits.c: whether the limits on connections let one be opened for recipient `to`. False: the job
 * remembers until when. What they counted is in *ret, and given back when the connection ends. */
bool limits_let_connect(struct run *r, const struct peer *key, uint32_t to, struct link_limits *ret,
                        struct when by);

enum spoken { SPOKEN, SPOKEN_TO_THE_DEAD };

/* `at`: positions in the job of the mail's recipients. */
enum spoken run_transact(struct run *r, struct client_mail *m, const uint32_t *at, struct when by);
