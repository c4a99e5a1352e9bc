#include "runtime/sim_part.h"

enum { COUNTS_MAX = 128 };

static struct {
    const char *name;
    uint64_t count;
} counts[COUNTS_MAX];
static unsigned count_count;

EVENT_DECLARE(sim_fault, DEBUG, "")
EVENT_DEFINE(sim_fault, DEBUG, "the simulation does harm")
EVENT_DECLARE(sim_end, DEBUG, "")
EVENT_DEFINE(sim_end, DEBUG, "the simulated world has ended")

/* ---- the log ---- */

static void write_line(struct sim_world *w, const struct event_kind *kind,
                       const struct event_field *fields, size_t count)
{
    if (kind->level >= w->options.least) {
        event_json(&w->log, sim_date(w), kind, fields, count);
        buf_byte(&w->log, '\n');
    }
}

static void note_armed(struct sim_world *w, const char *point)
{
    for (unsigned i = 0; i < w->armed_count; i++) {
        if (w->armed[i].left > 0 && strcmp(w->armed[i].point, point) == 0 &&
            --w->armed[i].left == 0) {
            sim_crash(&w->world);
        }
    }
}

void sim_log_event(const struct event_kind *kind, const struct event_field *fields, size_t count)
{
    struct sim_world *w = sim_here();

    if (!w->dead) {
        write_line(w, kind, fields, count);
        note_armed(w, kind->name);
    }
}

struct str sim_log(const struct world *w)
{
    return buf_str(&CONTAINER_OF((struct world *)(uintptr_t)w, struct sim_world, world)->log);
}

void sim_log_end(struct sim_world *w)
{
    struct event_field fields[3] = {f_count((int64_t)w->turns), f_duration(w->now.ns / 1000),
                                    f_message(w->digest)};

    write_line(w, &ev_sim_end, fields, COUNT_OF(fields));
}

/* ---- points and faults ---- */

void sim_count_up(const char *name)
{
    unsigned i = 0;

    while (i < count_count && strcmp(counts[i].name, name) != 0) {
        i++;
    }
    if (i == count_count) {
        must(count_count < COUNTS_MAX);
        counts[count_count++].name = name;
    }
    counts[i].count++;
}

uint64_t sim_count(const char *name)
{
    for (unsigned i = 0; i < count_count; i++) {
        if (strcmp(counts[i].name, name) == 0) {
            return counts[i].count;
        }
    }
    return 0;
}

void sim_count_each(void (*fn)(void *ctx, const char *name, uint64_t count), void *ctx)
{
    for (unsigned i = 0; i < count_count; i++) {
        fn(ctx, counts[i].name, counts[i].count);
    }
}

void sim_count_forget(void)
{
    for (unsigned i = 0; i < count_count; i++) {
        counts[i].count = 0;
    }
}

void sim_point(struct world *world, const char *name)
{
    struct sim_world *w = sim_of(world);

    if (!w->dead) {
        sim_count_up(name);
        note_armed(w, name);
    }
}

void sim_fault(struct world *world, const char *name)
{
    struct sim_world *w = sim_of(world);
    struct event_field field = f_name(str_of(name));

    if (!w->dead) {
        write_line(w, &ev_sim_fault, &field, 1);
        sim_point(world, name);
    }
}

/* ---- services ---- */

void *sim_service(const char *name)
{
    struct sim_world *w = sim_here();

    for (unsigned i = 0; i < w->service_count; i++) {
        if (strcmp(w->services[i].name, name) == 0) {
            return w->services[i].service;
        }
    }
    return NULL;
}

void sim_service_set(struct world *world, const char *name, void *service)
{
    struct sim_world *w = sim_of(world);
    unsigned i = 0;

    while (i < w->service_count && strcmp(w->services[i].name, name) != 0) {
        i++;
    }
    must(i < SERVICES_MAX);
    w->services[i].name = name;
    w->services[i].service = service;
    w->service_count = i == w->service_count ? i + 1 : w->service_count;
}
