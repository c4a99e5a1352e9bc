/*
 * Destinations where nobody listens: names, as their servers answer or not; maildirs and programs.
 */
#include "base/check.h"
#include "play/destination_part.h"
#include "play/part.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/process.h"
#include "runtime/random.h"

#include <errno.h>
#include <signal.h>

/* What goes wrong now, by the weather first, or NULL; *until is when that ends. */
static const struct mishap *happens(const struct destinations *all, const struct destination *d,
                                    bool of_names, int64_t *wait_ms, struct when *until)
{
    const struct mishap *shows = NULL, *own;
    int64_t now_ms = destinations_ms(all);

    *until = WHEN_NEVER;
    for (size_t i = 0; i < d->weather_count; i++) {
        const struct weather *w = d->weather[i];
        const struct mishap *one;

        if (!weather_holds(w, now_ms)) {
            continue;
        }
        one = mishap_now(of_names ? &w->names : &w->local, wait_ms, play_dice);
        if (shows == NULL && one != NULL) {
            shows = one;
            *until = w->until_ms < INT64_MAX / NS_PER_MS
                         ? when_add(all->began, w->until_ms * NS_PER_MS)
                         : WHEN_NEVER;
        }
    }
    own = mishap_now(of_names ? &d->names : &d->local, wait_ms, play_dice);
    return shows != NULL ? shows : own;
}

/* ---- names ---- */

/* Whose servers answer for a name: "_25._tcp.a.example" is asked of those of a.example. */
static struct str zone_of(struct str name)
{
    struct str label;

    while (name.len > 0 && name.ptr[0] == '_') {
        str_cut(&name, '.', &label);
    }
    return name;
}

static const struct {
    enum mishap_kind kind;
    enum dns_result result;
    const char *why;
} wrong_answers[] = {{MISHAP_NO_NAME, DNS_NO_NAME, "no such name"},
                     {MISHAP_SERVFAIL, DNS_FAILED, "SERVFAIL"},
                     {MISHAP_BOGUS, DNS_BOGUS, "validation failed"}};

/* Whether the servers of the name do not answer as they should: then *ret is what comes. */
static struct err ask_servers(const struct destinations *all, struct str name, enum dns_type type,
                              struct arena *a, struct dns_answer *ret, bool *is_over,
                              struct when by)
{
    uint32_t number;
    const struct destination *d = scenario_host(all->scenario, zone_of(name), &number);
    int64_t wait_ms = 0;
    struct when until;
    const struct mishap *m = d != NULL ? happens(all, d, true, &wait_ms, &until) : NULL;
    struct err e = ERR_OK;

    if (wait_ms > 0) {
        e = fiber_sleep(when_after(wait_ms), by);
    }
    *is_over = m != NULL;
    if (e.code || m == NULL) {
        return e;
    }
    if (m->kind == MISHAP_SILENT) {
        return fiber_sleep(WHEN_NEVER, by); /* until the resolver gives up */
    }
    for (size_t i = 0; i < COUNT_OF(wrong_answers); i++) {
        if (wrong_answers[i].kind == m->kind) {
            ret->result = wrong_answers[i].result;
            ret->why = arena_printf(a, "%s %.*s: %s", dns_type_name(type), STR_ARG(name),
                                    wrong_answers[i].why);
            return ERR_OK;
        }
    }
    never("other mishaps are not of names");
}

struct err destinations_resolve(void *ctx, struct str name, enum dns_type type, struct arena *a,
                                struct dns_answer *ret, struct when by)
{
    const struct destinations *all = ctx;
    uint32_t number;
    const struct destination *d = scenario_host(all->scenario, name, &number);
    struct addr at;
    bool is_over;
    struct err e = ask_servers(all, name, type, a, ret, &is_over, by);

    if (e.code || is_over) {
        return e;
    }
    if (d == NULL) {
        ret->result = DNS_NO_NAME;
        ret->why = STR("no destination of the scenario has this name");
        return ERR_OK;
    }
    at = destination_addr(d, number);
    at.port = 0;
    if ((type == DNS_A && at.family == 4) || (type == DNS_AAAA && at.family == 6)) {
        ret->records = arena_array(a, 1, sizeof *ret->records);
        ret->records[ret->count++].addr = at;
        ret->ttl_s = 3600;
        return ERR_OK;
    }
    ret->result = DNS_NO_DATA;
    ret->why = STR("no such records");
    return ERR_OK;
}

/* ---- maildirs and programs ---- */

static struct host *behind(struct destinations *all, struct str route)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct destination *d = all->hosts[i].of;

        if (d->kind != DESTINATION_HOSTS && str_eq(d->settings->route, route)) {
            return &all->hosts[i];
        }
    }
    never("scenario_use_plan has seen to each of these routes");
}

static struct err ends(struct host *h, const struct mishap *m, struct process_end *end,
                       struct buf *output)
{
    if (m != NULL) {
        play_count(&h->counts.refusals, 1);
    } else {
        play_count(&h->counts.messages, 1);
    }
    if (end != NULL) {
        *end = (struct process_end){.code = m != NULL && m->kind == MISHAP_EXIT ? m->code : 0,
                                    .signal = m != NULL && m->kind == MISHAP_KILLED ? SIGKILL : 0};
    }
    if (m != NULL && m->kind == MISHAP_EXIT) {
        buf_put(output, m->text);
    }
    if (m != NULL && m->kind == MISHAP_FULL) {
        return err_sys(ERR_FULL, ENOSPC);
    }
    return m != NULL && m->kind == MISHAP_BROKEN ? err_sys(ERR_DISK, EIO) : ERR_OK;
}

struct err destinations_take(void *ctx, struct str route, struct process_end *end,
                             struct buf *output, struct when by)
{
    struct destinations *all = ctx;
    struct host *h = behind(all, route);
    int64_t wait_ms = spread_ms(&h->of->settings->latency, random_u64());
    struct when until;
    const struct mishap *m = happens(all, h->of, false, &wait_ms, &until);
    struct err e;

    play_count(&h->counts.connections, 1);
    play_count(&h->counts.open, 1);
    e = fiber_sleep(when_after(wait_ms), by);
    if (e.code == OK && m != NULL && m->kind == MISHAP_SILENT) {
        e = fiber_sleep(until, by); /* what hung then goes on as if nothing had been */
        m = NULL;
    }
    atomic_fetch_sub_explicit(&h->counts.open, 1, memory_order_relaxed);
    if (e.code) {
        play_count(&h->counts.refusals, 1);
        return e;
    }
    return ends(h, m, end, output);
}
