/* A scanner that answers registrations as told, and the simulated world in which stories of them are
 * told: who takes one, who asks whether there is one, and rest. */
#pragma once

#include "../unit.h"
#include "base/check.h"
#include "hooks/registry.h"
#include "runtime/clock.h"
#include "runtime/sim.h"

static const struct str offered[] = {STR_INIT("/stage"), STR_INIT("/action")};
static const struct fetch_field credentials[] = {
    {STR_INIT("Authorization"), STR_INIT("Bearer 0123456789")}};

/* What the scanner does, and what it has seen. */
static struct {
    int status; /* of registrations; 201: they are granted */
    const char *retry_after;
    int64_t life_s, latency_ms;
    bool is_suspended, discovers;
    const char *said; /* of the status page */
    int delete_status;

    int discoveries, posts, polls, deletes, naked; /* naked: without credentials */
    int64_t post_at_s[16], ended_at_s;
    char deleted[64]; /* the path */
} scanner;

static void prepare(void)
{
    memset(&scanner, 0, sizeof(scanner));
    scanner.status = 201;
    scanner.latency_ms = 10;
    scanner.delete_status = 200;
    scanner.said = "active";
}

static struct date began;

static int64_t seconds(void)
{
    return (clock_date().ms - began.ms) / 1000;
}

static bool has_field(const struct fetch_request *r, const char *name)
{
    for (size_t i = 0; i < r->field_count; i++) {
        if (str_eq_nocase(r->fields[i].name, str_of(name))) {
            return true;
        }
    }
    return false;
}

static void grant(struct arena *a, struct fetch_answer *ret)
{
    char at[DATE_ISO_BYTES];
    struct str expires = STR("null");

    if (scanner.life_s > 0) {
        expires = arena_printf(
            a, "\"%.*s\"", STR_ARG(date_iso(date_add(clock_date(), scanner.life_s * 1000), at)));
    }
    ret->body = arena_printf(
        a,
        "{\"registrationId\":\"r-%d\",\"status\":\"%s\",\"createdAt\":null,\"expiresAt\":%.*s,"
        "\"hookEndpoint\":\"/invoke/%d\",\"endpoints\":{\"status\":\"/status\"%s},\"negotiated\":"
        "{\"serialization\":\"json\",\"inbound\":{\"stages\":[\"data\"],\"properties\":"
        "[\"/stage\",\"/action\"]}}}",
        scanner.posts, scanner.is_suspended ? "suspended" : "active", STR_ARG(expires),
        scanner.posts, scanner.discovers ? "" : ",\"deregistration\":\"/reg/x\"");
}

static struct err answer(void *ctx, const struct fetch_request *r, struct arena *a,
                         struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct err e;

    (void)ctx;
    *ret = (struct fetch_answer){.status = 200, .content_type = STR("application/json")};
    if (!has_field(r, "Authorization")) {
        scanner.naked++;
    }
    if (str_eq(r->target->path, STR("/.well-known/mta-hooks"))) {
        scanner.discoveries++;
        ret->body = STR(
            "{\"version\":\"1.0\",\"endpoints\":{\"registration\":\"/reg\","
            "\"deregistration\":\"/reg/{registration_id}\"},"
            "\"serialization\":[\"json\"],\"capabilities\":{\"inbound\":{"
            "\"stages\":[\"data\"],\"fetchProperties\":[\"/stage\",\"/action\"],"
            "\"updateProperties\":[\"/action\"]}},\"limits\":{\"maxMessageSize\":1000}}");
    } else if (str_eq(r->method, STR("POST"))) {
        scanner.post_at_s[scanner.posts++ % 16] = seconds();
        ret->status = scanner.status;
        ret->retry_after = str_of(scanner.retry_after);
        grant(a, ret);
    } else if (str_eq(r->method, STR("DELETE"))) {
        must(has_field(r, "X-MTA-Hooks-Registration"));
        scanner.deletes++;
        snprintf(scanner.deleted, sizeof(scanner.deleted), "%.*s", STR_ARG(r->target->path));
        ret->status = scanner.delete_status;
    } else {
        scanner.polls++;
        ret->body = arena_printf(a, "{\"registrationId\":\"r-%d\",\"status\":\"%s\"}",
                                 scanner.posts, scanner.said);
    }
    e = fiber_sleep(when_after(scanner.latency_ms), by);
    if (e.code) {
        buf_put(why, STR("no answer"));
    }
    return e;
}

/* ---- the world ---- */

typedef void story_fn(struct registries *all, struct registry *r);

static struct story {
    story_fn *tell;
    struct loop *home;
} story;

static struct registry *take_of(struct registries *all, const char *key)
{
    struct registry_options o = {
        .name = STR("scan"),
        .key = str_of(key),
        .url = STR("https://192.0.2.9/reg"),
        .discovers = scanner.discovers,
        .offer = {.name = STR("mx"),
                  .version = STR("1"),
                  .timeout_ms = 30000,
                  .needs_all_stages = true,
                  .stages = 1u << HOOK_DATA,
                  .properties = {{offered, COUNT_OF(offered)}}},
        .fields = credentials,
        .field_count = 1,
        .pool = {.connections_max = 2, .sim = {answer, NULL}},
        .timeout_ms = 30000,
    };

    return registries_take(all, &o);
}

static struct registry *take(struct registries *all)
{
    return take_of(all, "one");
}

static void home_main(void *arg)
{
    struct registries *all = registries_new(loop_self(), NULL, NULL);
    struct registry *r;

    (void)arg;
    began = clock_date();
    registries_begin(all);
    r = take(all);
    story.tell(all, r);
    registries_stop(all, WHEN_NEVER);
    registry_drop(r);
    scanner.ended_at_s = seconds();
    registries_free(all);
}

static void tell(story_fn *fn)
{
    struct world *w = sim_world(NULL);

    story = (struct story){.tell = fn, .home = world_loop(w, "home")};
    loop_main(story.home, home_main, NULL);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}

static void rest(int64_t ms)
{
    must(fiber_sleep(when_after(ms), WHEN_NEVER).code == OK);
}

static enum err_code enter(struct registry *r, const char *lost, char id[32], int64_t ms)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct registry_pass pass;
    struct err e = registry_enter(r, str_of(lost), &a, &pass, &why, when_after(ms));

    id[0] = '\0';
    if (!e.code) {
        snprintf(id, 32, "%.*s", STR_ARG(pass.grant.id));
    } else {
        must(why.len > 0);
    }
    return e.code;
}

#define EXPECT_ID(r, id)                                                                           \
    do {                                                                                           \
        char got_[32];                                                                             \
        assert_int_equal(enter((r), "", got_, 100), OK);                                           \
        assert_string_equal(got_, (id));                                                           \
    } while (0)
#define EXPECT_NONE(r)                                                                             \
    do {                                                                                           \
        char got_[32];                                                                             \
        assert_int_equal(enter((r), "", got_, 100), ERR_BUSY);                                     \
    } while (0)
