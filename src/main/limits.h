/*
 * limits: what this process may use: descriptors and memory.
 */
#pragma once

#include <stdint.h>

/* Raises the soft limit of descriptors to the hard one; how many there may be. */
uint64_t descriptors_raise(void);
/* Half of what the machine has, or of what its control group allows when that is less. */
uint64_t memory_half(void);
/* Processors this process may run on. */
unsigned processors(void);
