/*
 * opinions: what two scanners of the draft say of leaving mail, by chance: the first wants other
 * times, ends, ways and recipients, and both change notices; the first also drops some. What they
 * say goes into the book of wishes, and what they are shown too.
 *
 * Owns      Nothing: struct opinions is the scenario's, and the ctx of struct scanners.
 */
#pragma once

#include "scanner.h"
#include "wishes.h"

struct opinions {
    struct sim_run *run;
    struct ledger *ledger;
    struct wish_book *wishes;
    unsigned serial;
    uint64_t ids[LEDGER_MAIL_MAX]; /* of messages, as filters are told */
};

/* For struct scanners. */
void opinions_asked(struct scanners *scanners, struct scanner_question *q);
void opinions_say(struct scanners *scanners, struct scanner_question *q);
