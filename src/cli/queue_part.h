/*
 * queue_part: what the commands below `postyard queue` share: their options, and the way to the
 * server. For cli/queue*.c only.
 */
#pragma once

#include "admin/request.h"
#include "cli/ask.h"

struct queue_command {
    const char *name; /* for messages: "queue list" */
    struct arena arena;
    struct str config;
    bool json;
    uint64_t limit, page;
    struct words ids;
    struct request ask; /* which, and what to do */
    struct str at, lasts, until;
    struct ask to;
};

typedef int queue_command_fn(struct queue_command *q);

queue_command_fn command_list, command_count, command_show, command_why; /* queue.c */
queue_command_fn command_hold, command_release, command_retry, command_cancel, command_move,
    command_reschedule;
queue_command_fn command_pause, command_resume, command_pauses; /* command_pause.c */

/* Which recipients, as a query: "&queue=remote"; empty when nothing was said. */
struct str queue_query(struct queue_command *q);
/* Reads the ids, who asks, and the dates; false, said. */
bool queue_fill(struct queue_command *q);
int queue_no_sense(const struct queue_command *q); /* of the server's answer; said */
struct str queue_member(const struct view_member *m, size_t count, const char *key);
uint64_t queue_number(const struct view_member *m, size_t count, const char *key);
