/*
 * view: queued messages as people and programs see them: what the store keeps and what the queue
 * knows, together; written as JSON by the server, and read again by the command line.
 *
 * Source    Promise P4 (one reason, since when, until when); docs/api.md.
 * Owns      All text lives in the caller's arena.
 * Limits    None: HTTP_BODY_MAX or the page's limit bound what is read and written.
 * Errors    view_read: ERR_SYNTAX for what is not such JSON.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct message;
struct job_note;

struct view_rcpt {
    uint64_t index;
    struct str address, orcpt, status;
    struct str queue, lane, site, route; /* route: an operator's */
    uint64_t attempts, notices;
    struct date next, notice, expires;
    bool waits; /* then the next six say why */
    struct str state, reason, says, text, by;
    struct date since, until;
    bool was_tried; /* then the last attempt came to this */
    struct str last_error, last_status, last_text, last_host;
    uint64_t last_code;
    struct date last_at;
};

struct view_message {
    struct str id; /* 16 hexadecimal digits */
    struct date arrived;
    struct str source, sender, envid, client_ip, client_name, listener, authenticated_as;
    uint64_t size;
    int64_t priority;
    bool is_trusted;
    struct str schedule, queue; /* that filters chose for it; empty: none */
    struct view_meta {          /* and the values they gave it */
        struct str name, text;
        int64_t number;
        uint8_t kind; /* enum meta_kind */
    } * meta;
    uint64_t meta_count;
    struct view_rcpt *to;
    uint64_t to_count; /* shown here */
    uint64_t to_all;   /* the message has so many */
};

struct view_page {
    struct view_message *items;
    uint64_t count, total;
    struct str next; /* id to go on after; empty: this is the end */
};

/* `notes` are those of queue_notes for this message. `is_meant`: which recipients are shown, one
 * bool each; NULL: all. */
void view_make(const struct message *m, const struct job_note *notes, uint32_t note_count,
               const bool *is_meant, struct arena *a, struct view_message *ret);
void view_write(const struct view_message *m, struct buf *out);

struct err view_read(struct str json, struct arena *a, struct view_message *ret);
struct err view_read_page(struct str json, struct arena *a, struct view_page *ret);

/* Members of an object that is flat, such as an event or a small answer; other values than texts,
 * numbers, true and false are left out. */
struct view_member {
    struct str key, value;
};
struct err view_read_flat(struct str json, struct arena *a, struct view_member **ret,
                          size_t *count);
/* The same of each object in the list `items`. */
struct view_flat {
    struct view_member *members;
    size_t count;
};
struct err view_read_items(struct str json, struct arena *a, struct view_flat **ret, size_t *count);
