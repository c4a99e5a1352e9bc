/*
 * json: writing objects member by member; the comma comes by itself.
 *
 * Owns      Nothing: all goes to the caller's buf. Texts are made valid by json_str (base/event.h).
 * Errors    None; the buf has its own.
 */
#pragma once

#include "base/buf.h"
#include "base/date.h"

#include <stdbool.h>
#include <stdint.h>

/* A comma when something stands before, in the object or list that was opened last. */
void json_next(struct buf *out);
void json_key(struct buf *out, const char *key);
void json_text(struct buf *out, const char *key, struct str s);
void json_text_if(struct buf *out, const char *key, struct str s); /* nothing when it is empty */
void json_number(struct buf *out, const char *key, uint64_t n);
void json_bool(struct buf *out, const char *key, bool b);
void json_date(struct buf *out, const char *key, struct date d); /* null when it is 0 or never */
void json_date_if(struct buf *out, const char *key, struct date d);
void json_id(struct buf *out, const char *key, uint64_t id);
