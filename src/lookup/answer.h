/*
 * answer: answers as they are built, compared and kept.
 *
 * Owns      Nothing: cells and texts live in the arena that is named.
 * Limits    LOOKUP_BYTES_MAX, LOOKUP_CELLS_MAX: beyond either answer_room says no.
 */
#pragma once

#include "lookup/lookup.h"

static inline struct lookup_cell cell_text(struct str s)
{
    return (struct lookup_cell){.type = LOOKUP_TEXT, .text = s};
}

static inline struct lookup_cell cell_int(int64_t n)
{
    return (struct lookup_cell){.type = LOOKUP_INT, .text = STR_EMPTY, .num = n};
}

static inline struct lookup_cell cell_real(double d)
{
    return (struct lookup_cell){.type = LOOKUP_REAL, .text = STR_EMPTY, .real = d};
}

/* An answer of one value. */
void answer_one(struct arena *a, struct lookup_answer *ret, struct lookup_cell cell);
/* Room for rows * columns cells; false: that is more than an answer may have. */
bool answer_room(struct arena *a, struct lookup_answer *ret, size_t rows, size_t columns);
void answer_copy(struct arena *a, struct lookup_answer *ret, const struct lookup_answer *from);
/* What it takes in memory, about. */
size_t answer_bytes(const struct lookup_answer *n);
/* Sets ret->why. Returns e. */
struct err answer_failed(struct arena *a, struct lookup_answer *ret, struct err e,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What a statement said, as an answer to key_get and key_exists: its first value. */
struct err answer_by_key(struct arena *a, const struct lookup_question *q,
                         struct lookup_answer *ret);

/* Bytes that are equal for equal questions to one store. */
struct str question_key(struct arena *a, const struct lookup_question *q);
/* It changes nothing, and may be asked once for many. */
bool question_only_reads(const struct lookup_question *q);
/* Its answer may be kept for a while: all that only reads, but for counters. */
bool question_is_kept(const struct lookup_question *q);
void question_copy(struct arena *a, struct lookup_question *ret,
                   const struct lookup_question *from);
