/*
 * sendmail: the parts of the sendmail command that are worth a test by themselves.
 *
 * Source    The sendmail(1) options that programs use; sendmail.c says what is taken and refused.
 * Owns      Nothing: views of the arguments, or the caller's arena.
 * Errors    sendmail_read: false, and why.
 */
#pragma once

#include "cli/command.h"

struct sendmail {
    struct str config, from, name; /* ptr NULL: not given */
    struct words to;
    bool from_fields, ignore_dots;
};

bool sendmail_read(int argc, char **argv, struct arena *a, struct sendmail *ret, struct buf *why);
/* What stands before a line that is only a dot. */
struct str sendmail_until_dot(struct str text);
/* "ann" as "ann@host"; "<a@b>" as "a@b". */
struct str sendmail_address(struct str word, struct str host, struct arena *a);
/* Adds what is not yet there. */
void sendmail_join(struct words *to, const struct words *more, struct arena *a);
