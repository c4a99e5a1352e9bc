/*
 * invocation: the command of a route as arguments, with places for what is known of a recipient.
 *
 * Owns      Nothing: compiled into the plan's arena.
 * Limits    INVOCATION_ARGUMENTS_MAX arguments.
 * Errors    invocation_compile: faults at the list's place, then false.
 *
 * 1. There is no shell: an argument stays one, whatever an address holds.
 * 2. ${name} is replaced; $${ stands for a ${ that is meant. What the text of an address looks like
 *    is never looked at again.
 * 3. An argument that begins with a placeholder never begins with "-" in the end: the program would
 *    take it for an option.
 */
#pragma once

#include "config/config.h"
#include "mail/envelope.h"

enum { INVOCATION_ARGUMENTS_MAX = 100 };

enum placeholder {
    PLACEHOLDER_NONE,
#define PLACEHOLDER(name, key, prose) PLACEHOLDER_##key,
#include "strategy/placeholders.def"
#undef PLACEHOLDER
    PLACEHOLDER_COUNT
};

struct invocation_piece {
    enum placeholder what; /* NONE: text */
    struct str text;
};

struct invocation_argument {
    struct invocation_piece *pieces;
    size_t count;
};

struct invocation {
    struct invocation_argument *arguments; /* [0]: the program's path */
    size_t count;
};

bool invocation_compile(const struct str_list *from, struct arena *a, struct faults *faults,
                        struct position at, struct str route, struct invocation *ret);
/* argv, ended by NULL; NULL: rule 3 forbids it. */
const char *const *invocation_fill(const struct invocation *c, const struct message *m,
                                   const struct recipient *r, struct arena *a);
