#include "sim.h"

#include "runtime/sim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SWITCHES_MAX = 16, REPLAY_EACH = 17 };

struct options {
    uint64_t first, seeds;
    bool replay, verbose, expect_failure;
    const char *switches[SWITCHES_MAX];
    unsigned switch_count;
};

static const char *program;
static volatile uint64_t running;

/* ---- a seed that takes the process with it is named too ---- */

extern void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void last_words(void)
{
    char line[256];
    int n = snprintf(line, sizeof line, "simulation: seed %llu; again: %s --seed %llu --verbose\n",
                     (unsigned long long)running, program, (unsigned long long)running);

    (void)!write(STDERR_FILENO, line, (size_t)n);
}

static void on_signal(int number)
{
    last_words();
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_for_death(void)
{
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(last_words);
    } else {
        signal(SIGSEGV, on_signal);
    }
}

/* ---- for scenarios ---- */

bool sim_switched(const struct sim_run *r, const char *name)
{
    for (unsigned i = 0; i < r->switch_count; i++) {
        if (strcmp(r->switches[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void sim_fail(struct sim_run *r, const char *format, ...)
{
    va_list args;

    if (!r->failed) {
        r->failed = true;
        va_start(args, format);
        buf_vprintf(&r->why, format, args);
        va_end(args);
    }
}

void sim_record(struct sim_run *r, const struct world *w)
{
    buf_put(&r->record, sim_log(w));
}

/* ---- running ---- */

static bool run_once(const struct sim_scenario *s, const struct options *o, uint64_t seed,
                     struct buf *record)
{
    struct sim_run r = {.seed = seed,
                        .verbose = o->verbose,
                        .switches = o->switches,
                        .switch_count = o->switch_count};

    running = seed;
    s->run(&r);
    if (o->verbose) {
        fwrite(r.record.ptr ? r.record.ptr : "", 1, r.record.len, stdout);
    }
    if (r.failed) {
        fprintf(stderr, "%s: seed %llu failed: %.*s\n  again: %s --seed %llu --verbose\n", s->name,
                (unsigned long long)seed, STR_ARG(buf_str(&r.why)), program,
                (unsigned long long)seed);
    }
    buf_put(record, buf_str(&r.record));
    buf_done(&r.record);
    buf_done(&r.why);
    return !r.failed;
}

static size_t first_difference(struct str a, struct str b)
{
    size_t at = 0;

    while (at < a.len && at < b.len && a.ptr[at] == b.ptr[at]) {
        at++;
    }
    return at;
}

static bool run_seed(const struct sim_scenario *s, const struct options *o, uint64_t seed)
{
    struct buf one BUF_LOCAL = {0}, two BUF_LOCAL = {0};
    struct options quiet = *o;
    bool ok = run_once(s, o, seed, &one);

    if (!o->replay && seed % REPLAY_EACH != 0) {
        return ok;
    }
    quiet.verbose = false;
    ok = run_once(s, &quiet, seed, &two) && ok;
    if (!str_eq(buf_str(&one), buf_str(&two))) {
        size_t at = first_difference(buf_str(&one), buf_str(&two));
        size_t from = at > 200 ? at - 200 : 0;

        fprintf(stderr, "%s: seed %llu did not repeat itself at byte %zu\n  %.*s\n  %.*s\n",
                s->name, (unsigned long long)seed, at,
                STR_ARG(str_head(str_skip(buf_str(&one), from), 400)),
                STR_ARG(str_head(str_skip(buf_str(&two), from), 400)));
        ok = false;
    }
    return ok;
}

static void print_count(void *ctx, const char *name, uint64_t count)
{
    (void)ctx;
    printf("  %-24s %llu\n", name, (unsigned long long)count);
}

static bool needs_met(const struct sim_scenario *s, uint64_t seeds)
{
    bool met = true;

    for (unsigned i = 0; i < s->need_count && seeds >= s->needs_from; i++) {
        if (sim_count(s->needs[i].point) < s->needs[i].times) {
            fprintf(stderr, "%s: %s was met %llu times only, of %llu wanted\n", s->name,
                    s->needs[i].point, (unsigned long long)sim_count(s->needs[i].point),
                    (unsigned long long)s->needs[i].times);
            met = false;
        }
    }
    return met;
}

static bool take_number(int argc, char **argv, int *at, const char *name, uint64_t *ret)
{
    char *end;

    if (strcmp(argv[*at], name) != 0) {
        return false;
    }
    if (*at + 1 == argc) {
        fprintf(stderr, "%s: %s wants a number\n", program, name);
        exit(2);
    }
    *ret = strtoull(argv[++*at], &end, 10);
    if (*end != 0) {
        fprintf(stderr, "%s: %s is no number\n", program, argv[*at]);
        exit(2);
    }
    return true;
}

static void take_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (take_number(argc, argv, &i, "--seeds", &o->seeds) ||
            take_number(argc, argv, &i, "--first", &o->first)) {
            continue;
        }
        if (take_number(argc, argv, &i, "--seed", &o->first)) {
            o->seeds = 1;
        } else if (strcmp(argv[i], "--replay") == 0) {
            o->replay = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
        } else if (strcmp(argv[i], "--expect-failure") == 0) {
            o->expect_failure = true;
        } else if (argv[i][0] != '-' && o->switch_count < SWITCHES_MAX) {
            o->switches[o->switch_count++] = argv[i];
        } else {
            fprintf(stderr, "%s: what is %s?\n", program, argv[i]);
            exit(2);
        }
    }
}

int sim_main(int argc, char **argv, const struct sim_scenario *s)
{
    struct options o = {.first = 1, .seeds = 20};
    uint64_t failed = 0, ran = 0;

    program = argv[0];
    take_options(argc, argv, &o);
    watch_for_death();
    for (; ran < o.seeds && (failed == 0 || !o.expect_failure); ran++) {
        failed += !run_seed(s, &o, o.first + ran);
    }
    printf("%s: %llu seeds from %llu, %llu failed\n", s->name, (unsigned long long)ran,
           (unsigned long long)o.first, (unsigned long long)failed);
    sim_count_each(print_count, NULL);
    if (o.expect_failure) {
        return failed == 0;
    }
    return failed > 0 || !needs_met(s, ran);
}
