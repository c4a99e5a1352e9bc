/*
 * simulate: what a simulated run is asked for, and its report: as text, as JSON, and as a page.
 *
 * Owns      Nothing: all goes to the caller's buf.
 * Errors    Said on standard error.
 *
 * A report holds nothing of the real world: the same scenario, configuration and seed give the same
 * bytes.
 */
#pragma once

#include "cli/command.h"
#include "play/tally.h"

struct simulate_given {
    struct str config, scenario, json, html;
    bool has_seed, is_quiet;
    uint64_t seed;
    int64_t duration_ms; /* 0: the scenario's */
};

bool simulate_options(int argc, char **argv, struct arena *a, struct simulate_given *ret,
                      int *exit);
/* Prints the text and writes the files that were asked for; false, said, when that fails. */
bool simulate_report(const struct tally *t, const struct simulate_given *g);

/* Rows added up: of a class or of all (SIMULATE_ALL), in a queue or in all. */
enum { SIMULATE_ALL = 1 << 30 };
struct simulate_sum {
    uint64_t offered, delivered, failed, retries, waiting;
    uint64_t waited_ms[WAIT_COUNT], waited_all_ms;
    int64_t p50_us, p90_us, p99_us, max_us;
};
void simulate_add(const struct tally *t, size_t class, size_t queue, struct simulate_sum *ret);
bool simulate_is_empty(const struct simulate_sum *s);
/* Nobody described this destination, and no mail came there. */
bool simulate_is_unused(const struct tally *t, size_t destination);

void simulate_text(const struct tally *t, struct buf *out);
void simulate_json(const struct tally *t, struct buf *out);
/* One file that needs nothing else: the JSON within, drawn by a script. */
void simulate_page(const struct tally *t, struct buf *out);
