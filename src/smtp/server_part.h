/*
 * server_part: what the parts of the server (server.c, server_data.c) share; nobody else's.
 *
 * Errors    Those of the stream.
 */
#pragma once

#include "smtp/server.h"

/* Writes the answer, counts it if it is a refusal, and ends the session if it says so. */
struct err server_say(struct server *s, enum command command, const struct answer *a,
                      struct when by);
struct err server_say_row(struct server *s, enum command command, enum answer_row row,
                          struct when by);
/* Forgets the transaction. */
void server_reset(struct server *s);
struct when server_ask_by(const struct server *s, struct when by);

/* DATA and BDAT whose commands were taken from the stream. */
struct err server_data(struct server *s, struct when by);
struct err server_bdat(struct server *s, uint64_t size, bool last, struct when by);
