/*
 * reply: the head of an HTTP/1.1 response, and the sizes of a chunked body. Pure.
 *
 * Source    RFC 9112 sections 4, 5, 6 and 7.1.
 * Owns      Nothing: views into the bytes given.
 * Limits    REPLY_HEAD_MAX bytes of head, REPLY_FIELDS_MAX fields.
 * Errors    ERR_PROTOCOL for anything that is not strictly a response: bare LF, folded fields,
 *           both lengths at once, lengths that differ, codings we did not ask for.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { REPLY_HEAD_MAX = 16 * 1024, REPLY_FIELDS_MAX = 64, REPLY_SIZE_LINE_MAX = 18 };

enum reply_body { REPLY_NO_BODY, REPLY_LENGTH, REPLY_CHUNKED, REPLY_UNTIL_CLOSE };

struct reply_head {
    int status;
    enum reply_body body;
    uint64_t length;
    struct str type; /* Content-Type */
};

/* How many bytes the head takes, its blank line included; 0: not all is there; above
 * REPLY_HEAD_MAX it never will be. */
size_t reply_head_size(struct str bytes);
/* `head` is just those bytes. */
struct err reply_head_parse(struct str head, struct reply_head *ret);
/* One line without its CRLF: hexadecimal digits, no extensions. */
bool reply_chunk_size(struct str line, uint64_t *ret);
