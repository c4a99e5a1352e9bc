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
#include "yard/client.h"

#include <stdio.h>

enum {
    MAIL = 36,
    TRIES = 64,
    CLIENTS = 4,
    HOOKS = 2,
    PAUSE_MS = 20 * 1000,
    AT_A_TIME = 3,
    TIMEOUT_MS = 2000,
    ANSWER_MS = 3 * TIMEOUT_MS + 4000, /* one reply, with the store's own time */
    LARGE_LINES = 3000,
};

enum { FRONT, BACK };
enum mood { WELL, SLOW, SILENT, BROKEN, REFUSING, BABBLING, MOODS };
enum kind { LETS_IN, REJECTS, DISCARDS, REPLACES, KINDS };

struct hook_now {
    enum mood mood;
    unsigned asking;
    int64_t shut_until_ns; /* nobody asks before */
    bool probing, is_shut;
};

struct hooks_run {
    struct sim_run *run;
    struct hook_now hooks[HOOKS];
    unsigned tries[MAIL];        /* times that the first hook let it in, or did not */
    uint8_t edited[MAIL][TRIES]; /* by the second */
    uint8_t arrived[MAIL][TRIES];
    bool taken[MAIL], settled[MAIL];
    unsigned next, shunned, back;
    bool is_over, has_crashed;
    struct group clients;
};

static enum kind kind_of(unsigned n)
{
    return (enum kind)(n % KINDS);
}

/* ---- the scanners ---- */

/* "s-17@from-1.example": 17. */
static unsigned number_in(struct str text)
{
    size_t at = str_find_str(text, STR("s-"));
    struct str rest = str_skip(text, at == STR_NONE ? text.len : at + 2), digits;
    uint64_t n = MAIL;

    str_cut(&rest, '@', &digits);
    return str_to_u64(digits, &n) && n < MAIL ? (unsigned)n : MAIL;
}

static bool is_at(struct str body, const char *stage)
{
    char word[32];

    snprintf(word, sizeof word, "\"stage\":\"%s\"", stage);
    return str_find_str(body, str_of(word)) != STR_NONE;
}

static struct str front_says(struct hooks_run *w, struct str body, struct arena *a)
{
    unsigned n = number_in(body), count = sim_switched(w->run, "twice") ? 2 : 1;
    struct buf out BUF_LOCAL = {0};

    if (!is_at(body, "data") || n == MAIL) {
        return STR("{\"action\":\"accept\"}");
    }
    if (w->tries[n] + 1 == TRIES) {
        sim_fail(w->run, "message %u was tried too often", n);
        return STR("{\"action\":\"reject\"}");
    }
    w->tries[n]++;
    if (kind_of(n) == REJECTS) {
        return STR("{\"action\":\"reject\"}");
    }
    if (kind_of(n) == DISCARDS) {
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

static struct str back_says(struct hooks_run *w, struct str body, struct arena *a)
{
    unsigned n = number_in(body);
    struct buf out BUF_LOCAL = {0};

    w->edited[n][w->tries[n]] = 1;
    buf_printf(&out,
               "{\"action\":\"accept\",\"modifications\":[{\"type\":\"insertHeader\",\"index\":0,"
               "\"name\":\"X-Back\",\"value\":\"%u-%u\"}",
               n, w->tries[n]);
    if (kind_of(n) == REPLACES) {
        buf_put(&out, STR(",{\"type\":\"replaceContents\",\"value\":\""));
        for (unsigned i = 0; i < (n % 3 == 0 ? LARGE_LINES : 1); i++) {
            buf_put(&out, STR("Something else in its place.\\r\\n"));
        }
        buf_put(&out, STR("\"}"));
    }
    buf_put(&out, STR("]}"));
    return arena_dup(a, buf_str(&out));
}

static struct err mood_acts(struct hooks_run *w, enum mood mood, struct fetch_answer *ret,
                            struct buf *why, struct when by)
{
    struct err e = fiber_sleep(when_after((int64_t)random_below(mood == SLOW ? 1500 : 30)), by);

    (void)w;
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

    if (h->is_shut && clock_now().ns < h->shut_until_ns) {
        sim_fail(w->run, "hook %u was asked %lld ns before its pause was over", which,
                 (long long)(h->shut_until_ns - clock_now().ns));
    }
    if (h->is_shut && h->probing) {
        sim_fail(w->run, "hook %u was asked by a second one while it was tried", which);
    }
    h->probing = h->is_shut;
    if (++h->asking > AT_A_TIME) {
        sim_fail(w->run, "%u asked hook %u at a time", h->asking, which);
    }
}

static struct err answer(void *ctx, const struct fetch_request *r, struct arena *a,
                         struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct hooks_run *w = ctx;
    unsigned which = str_eq(r->target->path, STR("/front")) ? FRONT : BACK;
    struct hook_now *h = &w->hooks[which];
    bool was_shut = h->is_shut;
    struct str body;
    struct err e;

    watch(w, which);
    *ret = (struct fetch_answer){.status = 200, .content_type = STR("application/json")};
    e = fetch_request_body(r, a, &body, by);
    if (e.code == OK) {
        e = mood_acts(w, h->mood, ret, why, by);
    }
    if (e.code == OK && ret->status == 200 && ret->body.len == 0) {
        ret->body = which == FRONT ? front_says(w, body, a) : back_says(w, body, a);
    }
    h->asking--;
    if (was_shut) { /* a probe that failed shuts it from now on, at home a moment later */
        h->probing = false;
        h->shut_until_ns = clock_now().ns + PAUSE_MS * NS_PER_MS;
        h->is_shut = !(e.code == OK && (h->mood == WELL || h->mood == SLOW));
    }
    return e;
}

static void moods_fiber(void *arg)
{
    struct hooks_run *w = arg;

    while (!w->is_over) {
        for (unsigned i = 0; i < HOOKS; i++) {
            w->hooks[i].mood = random_below(2) == 0 ? WELL : (enum mood)random_below(MOODS);
        }
        if (fiber_sleep(when_after(2000 + (int64_t)random_below(60 * 1000)), WHEN_NEVER).code !=
            OK) {
            break;
        }
    }
    w->hooks[FRONT].mood = w->hooks[BACK].mood = WELL;
}

/* ---- what is heard ---- */

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct hooks_run *w = m->options.ctx;
    struct hook_now *h = &w->hooks[str_eq(field_str(f, n, "name"), STR("front")) ? FRONT : BACK];

    if (strcmp(event, "filter_shunned") == 0) {
        h->is_shut = true;
        h->probing = false;
        h->shut_until_ns = clock_now().ns + PAUSE_MS * NS_PER_MS;
        w->shunned++;
    } else if (strcmp(event, "filter_back") == 0) {
        h->is_shut = h->probing = false;
        w->back++;
    } else if (strcmp(event, "delivery_failed") == 0) {
        sim_fail(w->run, "%s: %.*s", event, STR_ARG(field_str(f, n, "text")));
    }
}

static unsigned count_of(struct str text, const char *what)
{
    unsigned count = 0;
    size_t at;

    while ((at = str_find_str(text, str_of(what))) != STR_NONE) {
        count++;
        text = str_skip(text, at + 1);
    }
    return count;
}

/* The number behind "X-Front: 17-". */
static unsigned try_in(struct str content, unsigned n)
{
    char field[32];
    size_t at;
    struct str rest, digits;
    uint64_t number = 0;

    snprintf(field, sizeof field, "X-Front: %u-", n);
    at = str_find_str(content, str_of(field));
    rest = str_skip(content, at == STR_NONE ? content.len : at + strlen(field));
    str_cut(&rest, '\r', &digits);
    return str_to_u64(digits, &number) && number < TRIES ? (unsigned)number : 0;
}

static void host_took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct hooks_run *w = m->options.ctx;
    unsigned n = number_in(mail->sender), try = n < MAIL ? try_in(mail->content, n) : 0;
    char field[64];

    (void)h;
    if (n == MAIL || try == 0) {
        sim_fail(w->run, "mail of %.*s without the first hook's field", STR_ARG(mail->sender));
        return;
    }
    if (kind_of(n) == REJECTS || kind_of(n) == DISCARDS) {
        sim_fail(w->run, "message %u arrived", n);
    }
    if (count_of(mail->content, "X-Front:") != 1) {
        sim_fail(w->run, "message %u has the first hook's field %u times", n,
                 count_of(mail->content, "X-Front:"));
    }
    snprintf(field, sizeof field, "X-Back: %u-%u\r\n", n, try);
    if (count_of(mail->content, field) != w->edited[n][try] ||
        count_of(mail->content, "X-Back:") != w->edited[n][try]) {
        sim_fail(w->run, "message %u, try %u: the second hook's field is wrong", n, try);
    }
    if ((count_of(mail->content, "Something else") > 0) !=
            (w->edited[n][try] != 0 && kind_of(n) == REPLACES) ||
        (count_of(mail->content, "As it came") > 0) ==
            (w->edited[n][try] != 0 && kind_of(n) == REPLACES)) {
        sim_fail(w->run, "message %u, try %u: the body is wrong", n, try);
    }
    if (w->arrived[n][try]++ > 0 && !w->has_crashed) {
        sim_fail(w->run, "message %u, try %u arrived twice", n, try);
    }
}

/* ---- clients ---- */

static void content_of(unsigned n, struct buf *out)
{
    buf_printf(out, "Subject: number %u\r\n\r\n", n);
    for (unsigned i = 0; i < (n % 5 == 0 ? LARGE_LINES : 1 + n % 7); i++) {
        buf_printf(out, "As it came, line %u of \xC3\xA9 message.\r\n", i);
    }
}

/* True: nothing more is to be done about it. */
static bool try_one(struct machine *m, unsigned n)
{
    struct hooks_run *w = m->options.ctx;
    struct buf content BUF_LOCAL = {0};
    struct when began = clock_now();
    struct yard_client c;
    char from[48];
    struct yard_mail mail = {.from = from, .to = "x@to-1.example"};
    enum answered fate;

    content_of(n, &content);
    snprintf(from, sizeof from, "s-%u@from-1.example", n);
    mail.content = buf_str(&content);
    if (!client_open(&c, m, WHEN_NEVER)) {
        return false;
    }
    began = clock_now();
    fate = client_mail(&c, &mail, WHEN_NEVER);
    if ((clock_now().ns - began.ns) / NS_PER_MS > 2 * ANSWER_MS) {
        sim_fail(w->run, "message %u was answered after %lld ms", n,
                 (long long)((clock_now().ns - began.ns) / NS_PER_MS));
    }
    if (fate == ANSWERED_REFUSED && c.code == 503) {
        if (kind_of(n) != REJECTS) {
            sim_fail(w->run, "message %u was rejected", n);
        }
        w->settled[n] = true;
    } else if (fate == ANSWERED_TAKEN) {
        if (kind_of(n) == REJECTS) {
            sim_fail(w->run, "message %u was taken", n);
        }
        w->taken[n] = w->settled[n] = true;
    }
    client_close(&c, WHEN_NEVER);
    return w->settled[n];
}

static void client_fiber(void *arg)
{
    struct machine *m = arg;
    struct hooks_run *w = m->options.ctx;

    while (w->next < MAIL && !w->run->failed && sim_end(m->world) == SIM_RUNNING) {
        unsigned n = w->next++;

        while (!w->settled[n] && !w->run->failed && sim_end(m->world) == SIM_RUNNING &&
               !try_one(m, n)) {
            if (fiber_sleep(when_after(200 + (int64_t)random_below(6000)), WHEN_NEVER).code != OK) {
                return;
            }
        }
    }
}

static void outside(struct machine *m)
{
    struct hooks_run *w = m->options.ctx;
    struct group fibers;

    group_init(&fibers, "around", 0);
    group_init(&w->clients, "clients", 0);
    must(group_spawn_now(&fibers, "moods", moods_fiber, w).code == OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        must(group_spawn_now(&w->clients, "client", client_fiber, m).code == OK);
    }
    if (group_join(&w->clients, WHEN_NEVER).code != OK) {
        group_cancel(&w->clients);
        (void)group_join(&w->clients, WHEN_NEVER);
    }
    w->is_over = true;
    group_cancel(&fibers);
    (void)group_join(&fibers, WHEN_NEVER);
    if (sim_end(m->world) == SIM_RUNNING && !machine_drain(m, 600LL * 1000, WHEN_NEVER) &&
        sim_end(m->world) == SIM_RUNNING) {
        sim_fail(w->run, "mail still waits at the end");
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

static void judge(struct hooks_run *w)
{
    for (unsigned n = 0; n < MAIL; n++) {
        bool wanted = kind_of(n) == LETS_IN || kind_of(n) == REPLACES ||
                      (kind_of(n) == DISCARDS && sim_switched(w->run, "again"));
        unsigned times = 0;

        for (unsigned try = 0; try < TRIES; try++) {
            times += w->arrived[n][try];
        }
        if (!w->settled[n]) {
            sim_fail(w->run, "message %u was never settled", n);
        }
        if (wanted && w->taken[n] && times == 0) {
            sim_fail(w->run, "message %u was taken and is lost", n);
        }
        if (!w->has_crashed && times > (wanted ? 1 : 0)) {
            sim_fail(w->run, "message %u arrived %u times", n, times);
        }
    }
}

static void run(struct sim_run *r)
{
    static struct machine m;
    static struct hooks_run w;
    struct yard_host hosts[] = {{.number = 1, .behaviour = ""}};
    struct sim_disk *folder = sim_disk_new("store", r->seed);
    struct buf config BUF_LOCAL = {0};
    struct machine_options o = {.seed = r->seed,
                                .folder = folder,
                                .store = {.segment_bytes = 512 * 1024,
                                          .min_free_bytes = 1024 * 1024,
                                          .node = 1,
                                          .checkpoint_bytes = 512 * 1024},
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .before = before,
                                .outside = outside,
                                .took = host_took,
                                .told = told,
                                .ctx = &w};

    w = (struct hooks_run){.run = r};
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
    o.config = config.ptr;
    if (r->seed % 3 == 0) {
        o.crash_ns = (int64_t)(r->seed % 97 + 1) * NS_PER_S;
    }
    machine_live(&m, r, &o);
    if (m.end == SIM_CRASHED && !r->failed) {
        w.has_crashed = true;
        w.is_over = false;
        w.next = 0;
        memset(w.hooks, 0, sizeof w.hooks);
        o.crash_ns = 0;
        o.start = date_add(m.ended, 60 * 1000);
        machine_live(&m, r, &o);
    }
    if (!r->failed) {
        judge(&w);
    }
    sim_disk_free(folder);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"hooks", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
