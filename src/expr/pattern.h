/*
 * pattern: regular expressions, compiled once, run within limits.
 *
 * Source    PCRE2 10.42 (pcre2api, pcre2jit); Perl's syntax, UTF-8, \C refused.
 * Owns      Compiled patterns belong to a struct patterns; equal ones are kept once. patterns_done
 *           frees them all. Patterns are immutable and may run on all threads at once.
 * Limits    PATTERN_GROUPS_MAX groups with the whole; PATTERN_BYTES_MAX of pattern;
 *           PATTERN_STEPS_MAX steps and PATTERN_HEAP_KIB of memory for one match. Memory for
 *           matching is on the heap, not on the caller's (small) stack.
 * Errors    PATTERN_LIMIT when a match ran into one of them: never "no match".
 *
 * Invalid UTF-8 in a subject matches nothing but is no error.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

enum {
    PATTERN_GROUPS_MAX = 32,
    PATTERN_BYTES_MAX = 8192,
    PATTERN_STEPS_MAX = 1000 * 1000,
    PATTERN_HEAP_KIB = 2048
};

struct pattern;

struct patterns { /* a zeroed one is ready */
    struct pattern *first;
};

/* NULL: *error (in `a`) says why and *at where, in bytes. */
const struct pattern *pattern_get(struct patterns *all, struct arena *a, struct str text,
                                  struct str *error, size_t *at);
unsigned pattern_groups(const struct pattern *p); /* without the whole */
void patterns_done(struct patterns *all);

#define PATTERNS_LOCAL __attribute__((cleanup(patterns_done)))

enum pattern_found { PATTERN_NO, PATTERN_YES, PATTERN_LIMIT };

/* Unanchored. On PATTERN_YES caught[0..*count) are views into subject; groups that took no part
 * are empty. */
enum pattern_found pattern_match(const struct pattern *p, struct str subject,
                                 struct str caught[PATTERN_GROUPS_MAX], unsigned *count);
