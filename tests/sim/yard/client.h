/*
 * client: somebody who sends mail to the machine, by SMTP over the simulated network, and knows
 * exactly what was answered.
 *
 * Owns      A client owns its stream, until client_close.
 */
#pragma once

#include "machine.h"

enum answered {
    ANSWERED_NOTHING, /* the connection went before the last reply: it may have been taken */
    ANSWERED_TAKEN,   /* 250 after the end of data */
    ANSWERED_REFUSED, /* a reply that is no 250 to the end of data, or one before it */
    UNSENT            /* the end of data was never sent */
};

struct yard_mail {
    const char *from; /* without brackets */
    const char *to;   /* addresses, one blank between */
    struct str content;
    const char *words, *rcpt_words; /* after MAIL and after each RCPT; NULL: none */
};

struct yard_client {
    struct machine *machine;
    struct stream *stream;
    unsigned code; /* of the last reply; 0: none came */
};

/* False: nobody is there, or nobody greets. */
bool client_open(struct yard_client *c, struct machine *m, struct when by);
enum answered client_mail(struct yard_client *c, const struct yard_mail *mail, struct when by);
void client_close(struct yard_client *c, struct when by);
/* All three; a message that is not taken fails the run. */
void client_must_send(struct machine *m, const char *from, const char *to, struct when by);
