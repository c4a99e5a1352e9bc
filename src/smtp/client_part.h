/*
 * client_part: what the parts of the client (client.c, client_send.c) share; nobody else's.
 *
 * Errors    Those of client.h.
 */
#pragma once

#include "smtp/client.h"

/* The next reply into c->said. Of a 421 the conversation is over. */
struct err client_hear(struct client *c, enum client_stage stage, int64_t within_ms,
                       struct when by);
/* A command line without its end. */
struct err client_say(struct client *c, enum client_stage stage, struct str line, struct when by);
/* Those of the words that name a mechanism we know (client_auth.c). */
void client_mechanisms_add(struct client *c, struct str words);
/* The conversation cannot go on; passes e through. */
struct err client_lost(struct client *c, struct err e);
