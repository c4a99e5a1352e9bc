/*
 * filtered: mail through a server that asks two filters, `front` and `back`, and what must have
 * become of it: for scenarios that bring the filters themselves (hooks.c, milters.c).
 *
 * Mail      FILTERED_MAIL messages of mixed sizes, each sent until it is taken or rejected. What the
 *           first filter says of one depends on its number (enum filtered_kind); it adds the field
 *           `X-Front: NUMBER-TRY`. The second adds `X-Back: NUMBER-TRY`, and of those that are
 *           REPLACED "Something else" is the body.
 * Moods     Each filter's mood changes now and then, half of the time to FILTERED_WELL (0); what
 *           the others mean is the scenario's.
 * Owns      Nothing: struct filtered is the scenario's, and machine_options.ctx points to it.
 */
#pragma once

#include "client.h"

enum { FILTERED_MAIL = 36, FILTERED_TRIES = 64, FILTERED_LINES = 3000 /* of a large body */ };
enum { FRONT, BACK, FILTERED_COUNT };
enum { FILTERED_WELL };
enum filtered_kind { LETS_IN, REJECTS, DISCARDS, REPLACES, FILTERED_KINDS };

struct filtered {
    struct sim_run *run;
    unsigned moods;       /* how many there are */
    unsigned reject_code; /* the answer of mail that is rejected */
    int64_t answer_ms;    /* no message takes longer to be answered */
    /* Around the clients, when set: with the world's loop running. */
    void (*begin)(struct machine *m);
    void (*end)(struct machine *m);

    unsigned mood[FILTERED_COUNT];
    unsigned tries[FILTERED_MAIL];                 /* times that the first gave a verdict */
    uint8_t edited[FILTERED_MAIL][FILTERED_TRIES]; /* by the second */
    uint8_t arrived[FILTERED_MAIL][FILTERED_TRIES];
    bool taken[FILTERED_MAIL], settled[FILTERED_MAIL];
    unsigned next;
    bool is_over, has_crashed;
    struct group clients;
};

enum filtered_kind filtered_kind(unsigned n);
/* "s-17@from-1.example": 17; FILTERED_MAIL when there is none. */
unsigned filtered_number(struct str text);
/* The first filter gives a verdict on it: counts the try. False: it has been tried too often. */
bool filtered_try(struct filtered *f, unsigned n);

/* For machine_options. */
void filtered_told(struct machine *m, const char *event, const struct event_field *f, size_t n);
void filtered_took(struct machine *m, struct yard_host *h, const struct play_message *mail);
void filtered_outside(struct machine *m);

/* The whole of a seed: one life, or two with a crash between them, and what is judged after it.
 * `again`, when set, is called between the two. */
void filtered_run(struct filtered *f, const char *config, void (*before)(struct machine *m),
                  void (*told)(struct machine *m, const char *event, const struct event_field *f,
                               size_t n),
                  void (*again)(struct filtered *f));
