/*
 * condition: what can be said of two conditions from their texts alone.
 *
 * Limits    Only `&&` and `||` (also written `&` and `|`) outside of brackets and quotes are
 *           understood, and parts count as equal when their texts are, but for blanks. So "true" is
 *           certain and "false" says nothing.
 */
#pragma once

#include "base/str.h"

/* Whenever `narrow` holds, `wide` holds too. What counts when it is asked is never the same twice.
 */
bool condition_implies(struct str narrow, struct str wide);
