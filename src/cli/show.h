/*
 * show: queued messages as text for people.
 *
 * Source    Promise P4. Dates are UTC; how far away they are is said beside them.
 * Owns      Nothing: all goes to the caller's buf.
 * Errors    None. Control bytes that strangers sent are shown as '?'.
 */
#pragma once

#include "admin/view.h"

/* A line for the message, then one for each recipient shown. */
void show_row(const struct view_message *m, struct date now, struct buf *out);
void show_all(const struct view_message *m, struct date now, struct buf *out);
/* For each recipient why it waits, since when and until when. */
void show_why(const struct view_message *m, struct date now, struct buf *out);

void show_text(struct str s, struct buf *out);
/* "2026-03-03 10:07:00 (in 4m)" */
void show_date(struct date d, struct date now, struct buf *out);
