#include "cli/simulate.h"

#include "base/check.h"
#include "base/mem.h"
#include "config/units.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

bool simulate_options(int argc, char **argv, struct arena *a, struct simulate_given *ret, int *exit)
{
    struct str seed = STR_EMPTY, duration = STR_EMPTY;
    const struct option_row rows[] = {
        {.name = "config",
         .letter = 'c',
         .text = &ret->config,
         .value = "FILE",
         .does = "the server's configuration (what the scenario names)"},
        {.name = "scenario",
         .text = &ret->scenario,
         .value = "FILE",
         .does = "destinations, weather and traffic"},
        {.name = "seed", .text = &seed, .value = "N", .does = "in place of the scenario's"},
        {.name = "duration",
         .text = &duration,
         .value = "TIME",
         .does = "in place of the scenario's"},
        {.name = "json", .text = &ret->json, .value = "FILE", .does = "also write JSON there"},
        {.name = "html",
         .text = &ret->html,
         .value = "FILE",
         .does = "also write a page with plots there"},
        {.name = "quiet", .letter = 'q', .flag = &ret->is_quiet, .does = "no progress"},
    };
    struct words rest;

    if (!cli_options("simulate", rows, COUNT_OF(rows), argc, argv, a, &rest, 0, 0, exit)) {
        return false;
    }
    *exit = EXIT_USAGE;
    if (ret->scenario.len == 0) {
        cli_say("simulate", "what shall be played? give --scenario FILE (docs/simulate.md)");
        return false;
    }
    if (seed.len > 0 && !str_to_u64(seed, &ret->seed)) {
        cli_say("simulate", "--seed takes a whole number, not %.*s", STR_ARG(seed));
        return false;
    }
    if (duration.len > 0 &&
        (duration_parse(duration, &ret->duration_ms) != UNITS_OK || ret->duration_ms < 1000)) {
        cli_say("simulate", "--duration takes a time such as 30m, not %.*s", STR_ARG(duration));
        return false;
    }
    ret->has_seed = seed.len > 0;
    ret->is_quiet = ret->is_quiet || isatty(STDERR_FILENO) == 0;
    return true;
}

static void add_row(const struct tally_row *r, struct simulate_sum *sum)
{
    sum->offered += r->offered;
    sum->delivered += r->delivered;
    sum->failed += r->failed;
    sum->retries += r->retries;
    sum->waiting += r->waiting;
    for (unsigned i = 0; i < WAIT_COUNT; i++) {
        sum->waited_ms[i] += r->waited_ms[i];
        sum->waited_all_ms += r->waited_ms[i];
    }
}

static bool is_of(size_t wanted, size_t at)
{
    return wanted == SIMULATE_ALL || wanted == at;
}

void simulate_add(const struct tally *t, size_t class, size_t queue, struct simulate_sum *ret)
{
    size_t count = 0;
    int64_t *all;

    *ret = (struct simulate_sum){0};
    for (size_t i = 0; i < t->class_count * t->queue_count; i++) {
        if (is_of(class, i / t->queue_count) && is_of(queue, i % t->queue_count)) {
            add_row(&t->rows[i], ret);
            count += t->rows[i].latency_count;
        }
    }
    all = mem_array(count + 1, sizeof *all);
    count = 0;
    for (size_t i = 0; i < t->class_count * t->queue_count; i++) {
        const struct tally_row *r = &t->rows[i];

        if (is_of(class, i / t->queue_count) && is_of(queue, i % t->queue_count) &&
            r->latency_count > 0) {
            memcpy(all + count, r->latency_us, r->latency_count * sizeof *all);
            count += r->latency_count;
        }
    }
    ret->p50_us = tally_percentile(all, count, 500);
    ret->p90_us = tally_percentile(all, count, 900);
    ret->p99_us = tally_percentile(all, count, 990);
    ret->max_us = tally_percentile(all, count, 1000);
    mem_free(all);
}

bool simulate_is_unused(const struct tally *t, size_t destination)
{
    return t->scenario->destinations[destination].is_assumed &&
           t->destinations[destination].connections == 0;
}

bool simulate_is_empty(const struct simulate_sum *s)
{
    return s->offered + s->delivered + s->failed + s->retries + s->waiting == 0;
}

static bool write_file(struct str path, struct str bytes)
{
    struct arena a ARENA_LOCAL = {0};
    FILE *f = fopen(arena_z(&a, path), "we");
    bool is_good = f != NULL && fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len;

    if (f != NULL) {
        is_good = fclose(f) == 0 && is_good;
    }
    if (!is_good) {
        cli_say("simulate", "cannot write %.*s: %s", STR_ARG(path), strerror(errno));
    }
    return is_good;
}

bool simulate_report(const struct tally *t, const struct simulate_given *g)
{
    struct buf text BUF_LOCAL = {0}, json BUF_LOCAL = {0}, page BUF_LOCAL = {0};

    simulate_text(t, &text);
    if (!g->is_quiet) {
        (void)fputs("\r                    \r", stderr);
    }
    if (!cli_out(buf_str(&text))) {
        return false;
    }
    if (g->json.len > 0) {
        simulate_json(t, &json);
        if (!write_file(g->json, buf_str(&json))) {
            return false;
        }
    }
    if (g->html.len > 0) {
        simulate_page(t, &page);
        return write_file(g->html, buf_str(&page));
    }
    return true;
}
