/*
 * where: an operator's expression that chooses among queued recipients.
 *
 * Source    The variables of the schedule strategy (strategy/variables.def), and `meta.NAME` of any
 *           name.
 * Owns      A where owns its program until where_free.
 * Limits    Those of the language. Look-ups are not offered: they would wait once a recipient.
 * Errors    where_compile: ERR_CONFIG, with all mistakes in `why`; where_match: false with a reason
 *           in *failed when an evaluation ran into a limit.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"

#include <stdbool.h>

struct message;
struct recipient;
struct where;

struct err where_compile(struct str text, struct where **ret, struct buf *why);
bool where_match(const struct where *w, const struct message *m, const struct recipient *r,
                 struct date now, struct arena *a, const char **failed);
void where_free(struct where *w); /* NULL is harmless */
