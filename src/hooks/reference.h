/*
 * reference: an address as another one's page would give it, made absolute.
 *
 * Source    RFC 3986 section 5.
 * Owns      Nothing; the result lives in the arena given.
 * Errors    false: the base is not absolute. Whether the result is an address to be called,
 *           http/target.h says.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>

bool reference_resolve(struct str base, struct str reference, struct arena *a, struct str *ret);
