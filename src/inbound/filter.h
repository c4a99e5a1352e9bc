/*
 * filter: the filters (hooks, milters) of a session: when they are asked, what they are shown, and
 * what their words come to.
 *
 * Source    Design section 9; P9; reference of MTA Hooks, sections 2.8 and 2.13 (Q2 to Q5, Q10,
 *           Q11, Q20, Q21).
 * Rules     1. Our own checks come first: filters see only what we would take, and cannot take what
 *              we refuse.
 *           2. A recipient that a filter adds is judged like one the client named.
 *           3. A message or recipient that is discarded gets the answers of one that was taken; of
 *              it no filter is asked any more.
 *           4. Bytes that no filter changed stay as they came (P12); our trace block stays above.
 * Owns      What it keeps of a transaction until filter_reset, and the talk until filter_done. A
 *           zeroed struct filter is ready.
 * Cost      Without filters in the configuration one comparison at each stage.
 * Errors    As answers for the client.
 */
#pragma once

#include "base/arena.h"
#include "config/setting.h"
#include "hooks/model.h"
#include "mail/params.h"
#include "smtp/answer.h"

struct content;
struct session;
struct talk;

/* One RCPT that was taken. */
struct filter_rcpt {
    struct rcpt_args args;
    struct hook_params params;
    struct str_list stands_for; /* what it is to us */
    bool is_discarded;
};

struct filter {
    struct talk *talk;   /* NULL: nobody is asked */
    struct arena arena;  /* of the transaction */
    bool is_discarded;   /* all of it */
    bool is_held;        /* in quarantine */
    bool is_held_always; /* and all that come */
    struct str held_by, held_why;
    struct hook_params params; /* of MAIL */
    struct filter_rcpt *to;
    uint32_t to_count, to_size;
};

/* Each changes *ret when a filter says something else than yes. */
void filter_connect(struct session *s, struct answer *ret, struct when by);
void filter_helo(struct session *s, struct str name, bool extended, struct answer *ret,
                 struct when by);
/* False: it is refused. */
bool filter_mail(struct session *s, const struct mail_args *mail, struct answer *ret,
                 struct when by);
/* `addresses`: what it stands for. False: the intake shall not have it; *ret may still be good. */
bool filter_rcpt(struct session *s, const struct rcpt_args *rcpt, const struct str_list *addresses,
                 struct answer *ret, struct when by);
/* Content begins. */
void filter_data(struct session *s);
/* Its end; the intake has been checked. False: nothing is to be stored, and *ret says what is
 * answered. Else the intake is as the filters want it, and *content is of what it holds. */
bool filter_end(struct session *s, struct content *content, struct answer *ret, struct when by);
void filter_reset(struct session *s);
void filter_done(struct session *s);

/* view.c: what a filter is shown. Texts live in `a`, or as long as the session. */
void view_session(const struct session *s, enum hook_stage stage, struct hook_view *ret);
/* With the sender and the recipients that were taken. */
void view_envelope(const struct session *s, enum hook_stage stage, struct arena *a,
                   struct hook_view *ret);
/* With the message, too. The store's error when its header section could not be read again. */
struct err view_message(struct session *s, struct arena *a, struct hook_view *ret, struct when by);
void view_mail_params(const struct mail_args *mail, struct arena *a, struct hook_params *ret);
void view_rcpt_params(const struct rcpt_args *rcpt, bool smtputf8, struct arena *a,
                      struct hook_params *ret);
