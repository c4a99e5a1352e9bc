/*
 * random: numbers nobody can guess, from the system; in a simulation from its seed, per loop.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t random_u64(void);
/* 0 to below - 1, each as likely as the others; below > 0. */
uint64_t random_below(uint64_t below);
