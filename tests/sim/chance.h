/*
 * chance: the scenarios' own chance (splitmix64), for what is drawn outside of a world, or must not
 * depend on what a world draws. The same state gives the same numbers for ever: a seed is replayed
 * by it.
 */
#pragma once

#include <stdint.h>

static inline uint64_t chance_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t chance_below(uint64_t *state, uint64_t below)
{
    return chance_next(state) % below;
}
