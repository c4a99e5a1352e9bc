/*
 * lex: the words of an expression, one at a time. Internal to expr/.
 *
 * Owns      Nothing: tokens are views into the text.
 * Errors    TOKEN_BAD: `error` says why, `suggestion` what to write (or NULL).
 */
#pragma once

#include "expr/value.h"

enum token_type {
    TOKEN_END,
    TOKEN_BAD,
    TOKEN_NAME,
    TOKEN_NUMBER,  /* value */
    TOKEN_TEXT,    /* raw: between the quotes, escapes still in */
    TOKEN_CAPTURE, /* value.num */
    TOKEN_OP,      /* op */
    TOKEN_NOT,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_LIST_OPEN,
    TOKEN_LIST_CLOSE,
    TOKEN_COMMA
};

struct token {
    enum token_type type;
    size_t at, end; /* bytes of the text */
    struct str raw;
    struct value value;
    enum value_op op;
    const char *error, *suggestion;
};

/* The token at or behind byte `at`. */
struct token lex_next(struct str text, size_t at);
/* A text token's content, backslashes resolved: \n \r \t, any other character stands for itself. */
struct str lex_unescape(struct arena *a, struct str raw);
