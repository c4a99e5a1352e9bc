/*
 * settings_part: what the checks of one hook's settings share: settings.c and settings_draft.c.
 */
#pragma once

#include "config/config.h"
#include "config/fault.h"
#include "hooks/settings.h"
#include "http/target.h"

struct hook_checking {
    const struct config *cfg;
    const struct config_object *o;
    const struct hook_settings *s;
    struct fetch_target target;
    bool has_target;
    struct arena arena;
    struct faults *faults;
};

struct position hook_where(const struct hook_checking *c, const char *key);
bool hook_is_given(const struct hook_checking *c, const char *key);

/* The JSON of `filter`. */
struct doc;
bool hook_read_filter(struct str text, struct arena *a, struct doc *ret, struct buf *why);
/* What the draft dialects want, and keys that only they have. */
void hook_check_draft(struct hook_checking *c);
