/*
 * part: one part of a message as GMime has read it, into our struct; for mime.c alone.
 */
#pragma once

#include "mime/mime.h"

#include <gmime/gmime.h>

struct take {
    struct arena *a;
    uint32_t leaves, depth, headers;
    uint64_t content_bytes;
    bool is_beyond; /* a limit was passed: what was taken counts for nothing */
};

/* A text of GMime's, which may be NULL, as ours. */
struct str mime_text(struct take *t, const char *text);
void mime_take_part(struct take *t, GMimeObject *from, struct mime_part *ret);
