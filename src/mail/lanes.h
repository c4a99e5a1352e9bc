/*
 * lanes: 16 bytes at a time, for scans in which most bytes are of no interest. GCC's vector
 * extensions: one or two instructions each on any processor with such registers, plain code on
 * others. Comparisons of lanes give -1 where they hold.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef signed char lanes __attribute__((vector_size(16)));
typedef uint64_t lane_halves __attribute__((vector_size(16)));
enum { LANES = 16 };

static inline lanes lanes_at(const char *p)
{
    lanes v;

    memcpy(&v, p, sizeof v);
    return v;
}

static inline bool lanes_any(lanes v)
{
    lane_halves h = (lane_halves)v;

    return (h[0] | h[1]) != 0;
}
