/*
 * select: which queued recipients an operator means: by queue, site, sender, recipient, or any
 * expression. All that is said must hold.
 *
 * Source    docs/api.md, "Which recipients"; PY-25 (an address means exactly that address).
 * Owns      A selection owns its compiled expression until select_done; texts are the caller's and
 *           must live as long.
 * Limits    Those of the expression language.
 * Errors    select_compile: ERR_CONFIG and why. select_match: false with a reason in *failed when
 *           an evaluation ran into a limit.
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

struct selection {
    struct str queue;
    struct str site;   /* "mx a.example", or the next hop alone */
    struct str sender; /* an address, "@domain", or "<>" for the null sender */
    struct str rcpt;   /* an address, or "@domain" */
    struct str text;   /* an expression */
    bool held;         /* only what is held */
    struct where *where;
};

/* Compiles the expression, if there is one. */
struct err select_compile(struct selection *s, struct buf *why);
bool select_match(const struct selection *s, const struct message *m, const struct recipient *r,
                  struct date now, struct arena *a, const char **failed);
void select_done(struct selection *s);

/* The parts, for whoever knows only them. */
bool select_site(struct str wanted, struct str site);
bool select_address(struct str wanted, struct str address);
