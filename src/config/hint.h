/*
 * hint: what to write instead.
 *
 * YAML reads some expressions as something else: one that begins with a quote, '!', '*', '&' or '['
 * and one with a comma inside { }. These functions look at the line of the latest fault and, when
 * it holds an expression, show the line with the expression in quotes.
 */
#pragma once

#include "config/fault.h"

/* The latest fault stands at `at`, in or behind an expression that YAML took for something else. */
void hint_expression_at(struct faults *f, struct position at);
/* The same for a fault of syntax, where the line need not hold an expression at all. */
void hint_syntax_at(struct faults *f, struct position at);

/* s in YAML quotes. */
void hint_quoted(struct str s, struct buf *out);

/* Hints "did you mean" with the word of `words` that is nearest to s, if one is near. */
struct hint_words {
    struct str given, best;
    unsigned distance;
};
void hint_word_try(struct hint_words *w, struct str candidate);
bool hint_word_found(const struct hint_words *w);
