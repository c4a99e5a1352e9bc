/*
 * params_part: what the parts of params (params.c, params_when.c) share; nobody else's.
 *
 * Owns      Nothing.
 * Errors    Those of params.h.
 */
#pragma once

#include "mail/params.h"

/* What a parameter's function may look at and fill. */
struct target {
    struct arena *arena;
    struct mail_args *mail; /* one of the two */
    struct rcpt_args *rcpt;
    unsigned offered;
    bool raw; /* values may hold UTF-8 */
};

/* params_when.c: the parameters of MAIL that speak of time and rank. */
enum refusal param_hold_for(struct target *t, struct str value, bool has_value);
enum refusal param_hold_until(struct target *t, struct str value, bool has_value);
enum refusal param_by(struct target *t, struct str value, bool has_value);
enum refusal param_priority(struct target *t, struct str value, bool has_value);
