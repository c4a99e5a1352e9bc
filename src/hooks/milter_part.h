/*
 * milter_part: what the files of the milter client share; nobody else includes it.
 *
 * milter.c tells a filter what happens; milter_say.c reads the verdicts; milter_talk.c carries
 * packets over the connection; milter_macros.c and milter_edits.c are pure: macros out of a view,
 * edits into an outcome.
 */
#pragma once

#include "hooks/milter.h"

/* ---- macros ---- */

enum { MILTER_MACROS_MAX = 40 };

/* Those of a place that have a value: the filter's choice, or ours. Values live in the arena. */
size_t milter_macros(const struct hook_view *view, enum milter_place place,
                     const struct milter_terms *terms, struct arena *a,
                     struct milter_macro ret[MILTER_MACROS_MAX]);

/* ---- edits ---- */

/* What a filter changes at the end of a message, applied one after the other. */
struct milter_edits {
    const struct hook_view *view;
    const struct milter_terms *terms;
    struct arena *a;
    struct hook_field *fields; /* the list as it stands now, once it is not the view's any more */
    uint32_t field_count, field_size;
    struct buf body;
    bool has_body, body_cr; /* the last piece ended with a CR */
    bool has_sender;
    struct str sender, sender_params;
    struct milter_rcpt {
        struct str address, params;
        bool is_removal, is_void;
        uint32_t id; /* removal */
    } * rcpts;
    uint32_t rcpt_count, rcpt_size, edit_count;
    bool is_quarantined;
    struct str reason;
};

void milter_edits_init(struct milter_edits *e, const struct hook_view *view,
                       const struct milter_terms *terms, struct arena *a);
/* One answer that milter_word_is_edit. ERR_PROTOCOL when the filter has not the right to it,
 * ERR_LIMIT when there are too many. */
struct err milter_edits_add(struct milter_edits *e, const struct milter_reply *r, const char **why);
/* All of them together into *ret. */
struct err milter_edits_finish(struct milter_edits *e, struct hook_outcome *ret, const char **why);
void milter_edits_done(struct milter_edits *e);

/* ---- the connection ---- */

struct milter_session {
    const struct milter *milter;
    struct stream *stream; /* NULL: none */
    struct milter_terms terms;
    struct arena kept; /* what terms and `helo` point to */

    bool is_over;    /* `said` is its verdict on the whole session */
    bool is_settled; /* `said` is its verdict on this transaction */
    bool is_broken;  /* no answer in this transaction any more */
    bool must_abort; /* it is in a transaction that is over */
    bool told_connect, told_helo, told_tls, told_mail;
    uint32_t told_rcpts; /* all below this id */
    struct str helo;
    struct hook_outcome said; /* action and code; the text is in said_text */
    struct buf said_text;
};

/* One question of the engine while it is being answered. */
struct milter_talk {
    struct milter_session *s;
    const struct hook_view *view;
    struct arena *a;
    struct hook_outcome *outcome;
    struct buf *why;
    struct buf out, in; /* the packets being written and read */
    struct milter_reply reply;
    uint64_t heard_bytes, answer_bytes; /* at this stage, and of this answer */
    uint32_t heard_packets;             /* of this answer */
    uint32_t said;                      /* times something was sent that may have one */
    bool is_done;                       /* the outcome is made */
};

/* Connects and negotiates. */
struct err milter_open(struct milter_talk *t, struct when by);
void milter_close(struct milter_session *s);
/* Puts what stands in t->out on the way. */
struct err milter_send(struct milter_talk *t, struct when by);
/* Waits for one reply; that work goes on renews the time. */
struct err milter_hear(struct milter_talk *t, int64_t patience_ms, const char *what,
                       struct when by);
/* A sentence for the log, and the error. */
struct err milter_wrong(struct milter_talk *t, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- commands and verdicts ---- */

enum milter_about { MILTER_ABOUT_SESSION, MILTER_ABOUT_MESSAGE, MILTER_ABOUT_RCPT };

/* Appends the macros of a place. */
void milter_put_macros_at(struct milter_talk *t, const struct hook_view *view,
                          enum milter_place place, enum milter_command command);
/* The answer into t->reply, unless the filter said that it gives none: then "continue". `silent`:
 * the milter_step that says so. */
struct err milter_await(struct milter_talk *t, uint32_t silent, const char *what, struct when by);
/* What t->reply means; t->is_done when nothing more is to be said at this stage. */
struct err milter_judge(struct milter_talk *t, enum milter_about about);
/* A verdict on more than what is at hand is given again whenever it is asked for. */
void milter_settle(struct milter_talk *t, enum milter_about about, const struct hook_outcome *o);
/* Sends what stands in t->out, and sees what it means that this is answered. */
struct err milter_say(struct milter_talk *t, uint32_t silent, enum milter_about about,
                      const char *what, struct when by);
