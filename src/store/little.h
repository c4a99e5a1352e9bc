/*
 * little: numbers as little-endian bytes at any address. Owns nothing, limits nothing.
 */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void put32(char *at, uint32_t n)
{
    n = htole32(n);
    memcpy(at, &n, sizeof n);
}

static inline void put64(char *at, uint64_t n)
{
    n = htole64(n);
    memcpy(at, &n, sizeof n);
}

static inline uint32_t get32(const char *at)
{
    uint32_t n;

    memcpy(&n, at, sizeof n);
    return le32toh(n);
}

static inline uint64_t get64(const char *at)
{
    uint64_t n;

    memcpy(&n, at, sizeof n);
    return le64toh(n);
}
