/*
 * part: what the files of the interface share; nobody else includes it.
 */
#pragma once

#include "admin/admin.h"
#include "base/event.h"
#include "base/list.h"
#include "http/serve.h"
#include "runtime/loop.h"

#include <stdatomic.h>

enum { LOOPS_SHOWN_MAX = 256, COUNTERS_MAX = 512 };

/* How often each kind of event was raised; kinds come in as they happen. */
struct event_counter {
    _Atomic(const struct event_kind *) kind;
    atomic_uint_fast64_t count;
};

struct admin {
    struct admin_options options;
    struct loop *loops[LOOPS_SHOWN_MAX];
    struct loop *home;
    struct arena arena;
    struct admin_settings settings; /* as at the start: a reload does not touch them */
    struct http_server *server;
    struct event_counter counters[COUNTERS_MAX];
    atomic_uint follower_count; /* while there is one, events are brought home */
    struct list followers;
    bool is_closing;
};

enum admin_right { ADMIN_READS, ADMIN_CHANGES };

/* The admin, or NULL when the request may not do that: then it is answered. */
struct admin *admin_enter(const struct http_request *r, struct http_answer *answer,
                          enum admin_right right);
/* Whether a request from `remote` with these fields may; *why is for the one who asked. */
bool admin_may(const struct admin_settings *s, enum admin_right right, const struct addr *remote,
               struct str authorization, struct str host, const char **why);

/* Handlers. */
http_handler_fn admin_health, admin_metrics, admin_fibers, admin_events, admin_reload;
http_handler_fn admin_own_mail;
http_handler_fn admin_queue_list, admin_queue_count, admin_queue_show, admin_queue_change,
    admin_queue_pause, admin_queue_resume, admin_queue_pauses;

void admin_count(struct admin *ad, const struct event_kind *kind);
/* From any thread: brings an event to those who follow. */
void admin_tell(struct admin *ad, const struct event_kind *kind, const struct event_field *fields,
                size_t count);

/* metrics.c: one row of the page, of a uint64_t in some struct; and what stands before its values.
 */
struct metric {
    const char *name, *type, *help;
    size_t offset;
};
void metrics_head(struct buf *out, const char *name, const char *type, const char *help);
struct engine;
void metrics_filters(struct buf *out, const struct engine *engine); /* metrics_filters.c */
