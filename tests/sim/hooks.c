/*
 * Two hooks that answer, take their time, answer nonsense, break off or say nothing for minutes, as
 * the seed has it, while mail of all sizes comes in; and in some seeds a crash in the middle.
 *
 * Fenced    What a hook that is asked first says and does decides: what it rejected or discarded
 *           never arrives, and while it fails its mail is put off (P9). The second is passed over
 *           when it fails.
 * Edits     Each message arrives with each edit of its own attempt once, and with no other (P12).
 * Kept      What was answered 250 and not discarded arrives; without a crash, once (P1).
 * Exact     From the moment that a hook is shunned until its pause is over nobody asks it, and then
 *           one does, alone, until it has an answer. No more ask one hook at a time than may.
 * In time   No reply waits for longer than the time-outs of the hooks allow.
 *
 * Switches  twice: the first hook adds its field twice. early: the pause is shorter than what is
 *           looked for. crowd: one more may ask at a time. again: discarded mail is looked for.
 */
#include "http/fetch.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "yard/filtered.h"

#include <stdio.h>

enum {
    PAUSE_MS = 20 * 1000,
    AT_A_TIME = 3,
    TIMEOUT_MS = 2000,
    ANSWER_MS = 2 * (3 * TIMEOUT_MS + 4000), /* with the store's own time */
};

enum mood { WELL = FILTERED_WELL, SLOW, SILENT, BROKEN, REFUSING, BABBLING, MOODS };

struct hook_now {
    unsigned asking;
    int64_t shut_until_ns; /* nobody asks before */
    bool probing, is_shut;
};

struct hooks_run {
    struct filtered mail; /* the first: machine_options.ctx */
    struct hook_now hooks[FILTERED_COUNT];
    unsigned shunned, back;
};

static struct hooks_run *run_of(void *ctx)
{
    return CONTAINER_OF(ctx, struct hooks_run, mail);
}

/* ---- the scanners ---- */

static bool is_at(struct str body, const char *stage)
{
    char word[32];

    snprintf(word, sizeof word, "\"stage\":\"%s\"", stage);
    return str_find_str(body, str_of(word)) != STR_NONE;
}

static struct str front_says(struct filtered *w, struct str body, struct arena *a)
{
    unsigned n = filtered_number(body), count = sim_switched(w->run, "twice") ? 2 : 1;
    struct buf out BUF_LOCAL = {0};

    if (!is_at(body, "data") || n == FILTERED_MAIL) {
        return STR("{\"action\":\"accept\"}");
    }
    if (!filtered_try(w, n) || filtered_kind(n) == REJECTS) {
        return STR("{\"action\":\"reject\"}");
    }
    if (filtered_kind(n) == DISCARDS) {
        return STR("{\"action\":\"discard\"}");
    }
    buf_put(&out, STR("{\"action\":\"accept\",\"modifications\":["));
    for (unsigned i = 0; i < count; i++) {
        buf_printf(&out, "%s{\"type\":\"addHeader\",\"name\":\"X-Front\",\"value\":\"%u-%u\"}",
                   i > 0 ? "," : "", n, w->tries[n]);
    }
    buf_put(&out, STR("]}"));
    return arena_dup(a, buf_str(&out));
}

static struct str back_says(struct filtered *w, struct str body, struct arena *a)
{
    unsigned n = filtered_number(body);
    struct buf out BUF_LOCAL = {0};

    w->edited[n][w->tries[n]] = 1;
    buf_printf(&out,
               "{\"action\":\"accept\",\"modifications\":[{\"type\":\"insertHeader\",\"index\":0,"
               "\"name\":\"X-Back\",\"value\":\"%u-%u\"}",
               n, w->tries[n]);
    if (filtered_kind(n) == REPLACES) {
        buf_put(&out, STR(",{\"type\":\"replaceContents\",\"value\":\""));
        for (unsigned i = 0; i < (n % 3 == 0 ? FILTERED_LINES : 1); i++) {
            buf_put(&out, STR("Something else in its place.\\r\\n"));
        }
        buf_put(&out, STR("\"}"));
    }
    buf_put(&out, STR("]}"));
    return arena_dup(a, buf_str(&out));
}

static struct err mood_acts(enum mood mood, struct fetch_answer *ret, struct buf *why,
                            struct when by)
{
    struct err e = fiber_sleep(when_after((int64_t)random_below(mood == SLOW ? 1500 : 30)), by);

    if (e.code != OK) {
        return e;
    }
    switch (mood) {
    case SILENT:
        return fiber_sleep(WHEN_NEVER, by);
    case BROKEN:
        buf_put(why, STR("the connection ended before the answer was whole"));
        return err_of(ERR_CLOSED);
    case REFUSING:
        ret->status = 500 + (int)random_below(4);
        return ERR_OK;
    case BABBLING:
        ret->body = random_below(2) == 0 ? STR("{\"action\":\"accept\"")
                                         : STR("{\"action\":\"yes\"}");
        return ERR_OK;
    case WELL:
    case SLOW:
    case MOODS:
        break;
    }
    return ERR_OK;
}

/* Nobody is to come while it is shunned, and then one alone. */
static void watch(struct hooks_run *w, unsigned which)
{
    struct hook_now *h = &w->hooks[which];
    struct sim_run *run = w->mail.run;

    if (h->is_shut && clock_now().ns < h->shut_until_ns) {
        sim_fail(run, "hook %u was asked %lld ns before its pause was over", which,
                 (long long)(h->shut_until_ns - clock_now().ns));
    }
    if (h->is_shut && h->probing) {
        sim_fail(run, "hook %u was asked by a second one while it was tried", which);
    }
    h->probing = h->is_shut;
    if (++h->asking > AT_A_TIME) {
        sim_fail(run, "%u asked hook %u at a time", h->asking, which);
    }
}

static struct err answer(void *ctx, const struct fetch_request *r, struct arena *a,
                         struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct hooks_run *w = run_of(ctx);
    unsigned which = str_eq(r->target->path, STR("/front")) ? FRONT : BACK;
    struct hook_now *h = &w->hooks[which];
    bool was_shut = h->is_shut;
    struct str body;
    struct err e;

    watch(w, which);
    *ret = (struct fetch_answer){.status = 200, .content_type = STR("application/json")};
    e = fetch_request_body(r, a, &body, by);
    if (e.code == OK) {
        e = mood_acts((enum mood)w->mail.mood[which], ret, why, by);
    }
    if (e.code == OK && ret->status == 200 && ret->body.len == 0) {
        ret->body = which == FRONT ? front_says(&w->mail, body, a) : back_says(&w->mail, body, a);
    }
    h->asking--;
    if (was_shut) {
        enum mood now = (enum mood)w->mail.mood[which];

        /* a probe that failed shuts it from now on, at home a moment later */
        h->probing = false;
        h->shut_until_ns = clock_now().ns + PAUSE_MS * NS_PER_MS;
        h->is_shut = !(e.code == OK && (now == WELL || now == SLOW));
    }
    return e;
}

/* ---- what is heard ---- */

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct hooks_run *w = run_of(m->options.ctx);
    struct hook_now *h = &w->hooks[str_eq(field_str(f, n, "name"), STR("front")) ? FRONT : BACK];

    if (strcmp(event, "filter_shunned") == 0) {
        h->is_shut = true;
        h->probing = false;
        h->shut_until_ns = clock_now().ns + PAUSE_MS * NS_PER_MS;
        w->shunned++;
    } else if (strcmp(event, "filter_back") == 0) {
        h->is_shut = h->probing = false;
        w->back++;
    } else {
        filtered_told(m, event, f, n);
    }
}

static void before(struct machine *m)
{
    static struct fetch_sim scanners;

    scanners = (struct fetch_sim){answer, m->options.ctx};
    sim_service_set(m->world, "fetch", &scanners);
    yard_weather(m, 1, NET_OPEN);
}

/* ---- the run ---- */

static void forget(struct filtered *f)
{
    struct hooks_run *w = run_of(f);

    memset(w->hooks, 0, sizeof w->hooks);
    memset(f->mood, 0, sizeof f->mood);
}

static void run(struct sim_run *r)
{
    static struct hooks_run w;
    struct buf config BUF_LOCAL = {0};

    w = (struct hooks_run){
        .mail = {.run = r, .moods = MOODS, .reject_code = 503, .answer_ms = ANSWER_MS}};
    buf_printf(&config,
               "server: { hostname: mx.here.example }\n"
               "queue:\n"
               "  schedule: { remote: { queue-name: remote, retry: [5s], expire: 1d } }\n"
               "  route: { out: { type: relay, address: relay-1.example } }\n"
               "  strategy: { route: [ { use: out } ], schedule: [ { use: remote } ] }\n"
               "hooks:\n"
               "  - { name: front, url: \"http://192.0.2.1/front\", stages: [mail, rcpt, data], "
               "timeout: 2s, concurrency: %d, breaker: { failures: 4, pause: %ds } }\n"
               "  - { name: back, url: \"http://192.0.2.1/back\", stages: [data], timeout: 2s, "
               "tempfail-on-error: false, concurrency: %d, breaker: { failures: 4, pause: %ds } "
               "}\n",
               sim_switched(r, "crowd") ? AT_A_TIME + 1 : AT_A_TIME,
               sim_switched(r, "early") ? PAUSE_MS / 1000 - 1 : PAUSE_MS / 1000, AT_A_TIME,
               PAUSE_MS / 1000);
    buf_byte(&config, '\0');
    filtered_run(&w.mail, config.ptr, before, told, forget);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"hooks", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
