/* The report as JSON. */
#include "admin/json.h"
#include "cli/simulate.h"

static void open_list(struct buf *out, const char *key)
{
    json_key(out, key);
    buf_byte(out, '[');
}

static void open_item(struct buf *out)
{
    json_next(out);
    buf_byte(out, '{');
}

static void put_reasons(const struct simulate_sum *s, struct buf *out)
{
    json_key(out, "waited_ms");
    buf_byte(out, '{');
    for (unsigned i = 0; i < WAIT_COUNT; i++) {
        if (s->waited_ms[i] > 0) {
            json_number(out, wait_reason_name((enum wait_reason)i), s->waited_ms[i]);
        }
    }
    buf_byte(out, '}');
}

static void put_sum(const struct simulate_sum *s, struct buf *out)
{
    json_number(out, "offered", s->offered);
    json_number(out, "delivered", s->delivered);
    json_number(out, "failed", s->failed);
    json_number(out, "waiting", s->waiting);
    json_number(out, "retries", s->retries);
    json_number(out, "p50_us", (uint64_t)s->p50_us);
    json_number(out, "p90_us", (uint64_t)s->p90_us);
    json_number(out, "p99_us", (uint64_t)s->p99_us);
    json_number(out, "max_us", (uint64_t)s->max_us);
    put_reasons(s, out);
}

static void put_rows(const struct tally *t, struct buf *out)
{
    struct simulate_sum sum;

    open_list(out, "rows");
    for (size_t c = 0; c < t->class_count; c++) {
        for (size_t q = 0; q < t->queue_count; q++) {
            simulate_add(t, c, q, &sum);
            if (!simulate_is_empty(&sum)) {
                open_item(out);
                json_text(out, "class", tally_class(t, c));
                json_text(out, "queue", t->queues[q]);
                put_sum(&sum, out);
                buf_byte(out, '}');
            }
        }
    }
    buf_byte(out, ']');
}

/* A list of numbers, one a sample, found by a function. */
typedef uint64_t number_fn(const struct tally *t, size_t sample, size_t at);

static void put_series(const struct tally *t, const char *key, number_fn *fn, size_t at,
                       struct buf *out)
{
    open_list(out, key);
    for (size_t s = 0; s < t->sample_count; s++) {
        buf_printf(out, "%s%llu", s > 0 ? "," : "", (unsigned long long)fn(t, s, at));
    }
    buf_byte(out, ']');
}

#define MOMENT(name)                                                                               \
    static uint64_t moment_##name(const struct tally *t, size_t s, size_t c)                       \
    {                                                                                              \
        return (uint64_t)t->moments[s * t->class_count + c].name;                                  \
    }
MOMENT(offered)
MOMENT(delivered)
MOMENT(failed)
MOMENT(waiting)
MOMENT(p50_us)
MOMENT(p99_us)

#define DEPTH(name)                                                                                \
    static uint64_t depth_##name(const struct tally *t, size_t s, size_t q)                        \
    {                                                                                              \
        return t->depths[s * t->queue_count + q].name;                                             \
    }
DEPTH(slots)
DEPTH(running)
DEPTH(waiting)

#define HOST(name)                                                                                 \
    static uint64_t host_##name(const struct tally *t, size_t s, size_t d)                         \
    {                                                                                              \
        return t->hosts[s * t->scenario->destination_count + d].name;                              \
    }
HOST(open)
HOST(messages)

static void put_classes(const struct tally *t, struct buf *out)
{
    struct simulate_sum sum;

    open_list(out, "classes");
    for (size_t c = 0; c < t->class_count; c++) {
        simulate_add(t, c, SIMULATE_ALL, &sum);
        if (simulate_is_empty(&sum)) {
            continue;
        }
        open_item(out);
        json_text(out, "name", tally_class(t, c));
        put_sum(&sum, out);
        json_key(out, "series");
        buf_byte(out, '{');
        put_series(t, "offered", moment_offered, c, out);
        put_series(t, "delivered", moment_delivered, c, out);
        put_series(t, "failed", moment_failed, c, out);
        put_series(t, "waiting", moment_waiting, c, out);
        put_series(t, "p50_us", moment_p50_us, c, out);
        put_series(t, "p99_us", moment_p99_us, c, out);
        buf_put(out, STR("}}"));
    }
    buf_byte(out, ']');
}

static void put_queues(const struct tally *t, struct buf *out)
{
    struct simulate_sum sum;

    open_list(out, "queues");
    for (size_t q = 0; q < t->queue_count; q++) {
        simulate_add(t, SIMULATE_ALL, q, &sum);
        if (simulate_is_empty(&sum)) {
            continue;
        }
        open_item(out);
        json_text(out, "name", t->queues[q]);
        put_sum(&sum, out);
        json_key(out, "series");
        buf_byte(out, '{');
        put_series(t, "slots", depth_slots, q, out);
        put_series(t, "running", depth_running, q, out);
        put_series(t, "waiting", depth_waiting, q, out);
        buf_put(out, STR("}}"));
    }
    buf_byte(out, ']');
}

static void put_destinations(const struct tally *t, struct buf *out)
{
    open_list(out, "destinations");
    for (size_t i = 0; i < t->scenario->destination_count; i++) {
        const struct destination *d = &t->scenario->destinations[i];

        if (simulate_is_unused(t, i)) {
            continue;
        }
        open_item(out);
        json_text(out, "name", d->name);
        json_bool(out, "assumed", d->is_assumed);
        json_number(out, "hosts", d->settings->count);
        json_number(out, "connections", t->destinations[i].connections);
        json_number(out, "messages", t->destinations[i].messages);
        json_number(out, "refusals", t->destinations[i].refusals);
        json_key(out, "series");
        buf_byte(out, '{');
        put_series(t, "connections", host_open, i, out);
        put_series(t, "messages", host_messages, i, out);
        buf_put(out, STR("}}"));
    }
    buf_byte(out, ']');
}

static void put_weather(const struct tally *t, struct buf *out)
{
    open_list(out, "weather");
    for (size_t i = 0; i < t->scenario->weather_count; i++) {
        const struct weather *w = &t->scenario->weather[i];
        int64_t end = t->duration_ms;

        open_item(out);
        json_text(out, "name", w->settings->name);
        json_text(out, "destination", w->settings->destination);
        json_number(out, "from_ms", (uint64_t)w->settings->from_ms);
        json_number(out, "until_ms", (uint64_t)(w->until_ms < end ? w->until_ms : end));
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
}

static struct str base_name(struct str path)
{
    size_t slash = str_rfind(path, '/');

    return slash == STR_NONE ? path : str_skip(path, slash + 1);
}

void simulate_json(const struct tally *t, struct buf *out)
{
    buf_byte(out, '{');
    json_text(out, "scenario", base_name(t->scenario->file));
    json_text(out, "description", t->scenario->settings->description);
    json_number(out, "seed", t->scenario->seed);
    json_number(out, "duration_ms", (uint64_t)t->duration_ms);
    json_number(out, "sample_ms", (uint64_t)t->scenario->sample_ms);
    json_number(out, "reports", t->reports);
    json_number(out, "dropped", t->dropped);
    json_number(out, "refused", t->refused);
    json_number(out, "unstarted", t->unstarted);
    put_weather(t, out);
    put_rows(t, out);
    put_classes(t, out);
    put_queues(t, out);
    put_destinations(t, out);
    buf_put(out, STR("}\n"));
}
