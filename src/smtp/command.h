/*
 * command: one line from a client: where it ends, which command it is, what its argument is.
 *
 * Source    RFC 5321 sections 2.3.8, 2.4, 4.1.1 and 4.5.3.1.4.
 * Owns      Nothing: results are parts of the bytes given.
 * Limits    The caller says how long a line may be.
 * Errors    enum line_state and enum answer_row; nothing here waits or allocates.
 *
 * A line ends with CR LF and with nothing else. A bare LF still ends the search, for the client
 * that sends one waits for an answer; but what it ended is refused, never read as a command.
 */
#pragma once

#include "base/str.h"
#include "smtp/answer.h"

enum line_state {
    LINE_PART, /* more bytes are needed */
    LINE_GOOD, /* *ret is the line without its end */
    LINE_BARE, /* it has a bare CR, a bare LF or a NUL */
    LINE_LONG  /* longer than allowed; *used covers what may be thrown away so far */
};

/* *used: how many bytes of `in` the line took with its end; all of them when LINE_LONG found no
 * end, and 0 when LINE_PART. *ended is false only for these two. */
enum line_state line_find(struct str in, size_t bytes_max, struct str *ret, size_t *used,
                          bool *ended);

enum command {
#define COMMAND(name, argument, place) COMMAND_##name,
#include "smtp/commands.def"
#undef COMMAND
    COMMAND_COUNT /* none of them */
};

enum command_place {
    PLACE_ALWAYS,
    PLACE_GREETED,
    PLACE_FRESH,
    PLACE_MAIL,
    PLACE_RCPT,
    PLACE_ABSENT,
    PLACE_FOREIGN
};

struct command_line {
    enum command command;
    enum command_place place;
    struct str arg; /* without blanks around it; for MAIL and RCPT what follows the colon */
};

struct str command_name(enum command c); /* "" for COMMAND_COUNT */

/* Reads a LINE_GOOD. False: *refusal says why; ret->command says which command it was, if any. */
bool command_parse(struct str line, struct command_line *ret, enum answer_row *refusal);

/* "123" or "123 LAST". */
bool bdat_parse(struct str arg, uint64_t *size, bool *last);
