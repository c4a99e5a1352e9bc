/*
 * Two hooks, classic ones or of the draft in either revision and format, that answer, take their time, answer nonsense, break off or say nothing for minutes, as
 * the seed has it, while mail of all sizes comes in; and in some seeds a crash in the middle.
 *
 * Fenced    What a hook that is asked first says and does decides: what it rejected or discarded
 *           never arrives, and while it fails its mail is put off (P9). The second is passed over
 *           when it fails.
 * Edits     Each message arrives with each edit of its own attempt once, and with no other (P12).
 * Kept      What was answered 250 and not discarded arrives; without a crash, once (P1).
 * Exact     Breakers open, are tried and close when they must (yard/breakers.h). No more ask one hook
 *           at a time than may.
 * Draft     Registrations end, are renewed and forgotten; what is sent again is the same byte for
 *           byte (yard/scanner.h).
 * In time   No reply waits for longer than the time-outs of the hooks allow.
 *
 * Switches  twice: the first hook adds its field twice. early: the pause is shorter than what is
 *           looked for. crowd: one more may ask at a time. again: discarded mail is looked for.
 */
#include "base/base64.h"
#include "chance.h"
#include "http/fetch.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "yard/breakers.h"
#include "yard/filtered.h"
#include "yard/scanner.h"

#include <stdio.h>

enum {
    PAUSE_MS = 20 * 1000,
    FAILURES = 4,
    AT_A_TIME = 3,
    TIMEOUT_MS = 2000,
    SLOW_MS = 1500,
    ANSWER_MS = 2 * (3 * TIMEOUT_MS + 4000), /* with the store's own time */
};

enum mood { WELL = FILTERED_WELL, SLOW, SILENT, BROKEN, REFUSING, BABBLING, MOODS };

struct hooks_run {
    struct filtered mail; /* the first: machine_options.ctx */
    bool is_draft;
    unsigned asking[FILTERED_COUNT];
    struct breakers breakers[FILTERED_COUNT];
    struct scanners scanners;
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
    struct err e = fiber_sleep(when_after((int64_t)random_below(mood == SLOW ? SLOW_MS : 30)), by);

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

static void watch(struct hooks_run *w, unsigned which)
{
    if (++w->asking[which] > AT_A_TIME) {
        sim_fail(w->mail.run, "%u asked hook %u at a time", w->asking[which], which);
    }
}

static struct err answer_classic(struct hooks_run *w, unsigned which, const struct fetch_request *r,
                                 struct arena *a, struct fetch_answer *ret, struct buf *why,
                                 struct when by)
{
    struct str body;
    struct err e;

    *ret = (struct fetch_answer){.status = 200, .content_type = STR("application/json")};
    e = fetch_request_body(r, a, &body, by);
    if (e.code == OK) {
        e = mood_acts((enum mood)w->mail.mood[which], ret, why, by);
    }
    if (e.code == OK && ret->status == 200 && ret->body.len == 0) {
        ret->body = which == FRONT ? front_says(&w->mail, body, a) : back_says(&w->mail, body, a);
    }
    return e;
}

/* ---- scanners of the draft ---- */

static void put_field(struct scanner_question *q, const char *name, unsigned n, unsigned try)
{
    struct doc field = doc_object();

    (void)doc_put(&field, q->arena, STR("name"), doc_text(str_of(name)));
    (void)doc_put(&field, q->arena, STR("value"),
                  doc_text(arena_printf(q->arena, " %u-%u", n, try)));
    scanner_insert(q, "/message/headers", 0, field);
}

static void front_says_draft(struct filtered *w, struct scanner_question *q, unsigned n)
{
    if (!filtered_try(w, n) || filtered_kind(n) == REJECTS) {
        scanner_set(q, "/action", doc_text(STR("reject")));
    } else if (filtered_kind(n) == DISCARDS) {
        scanner_set(q, "/action", doc_text(STR("discard")));
    } else {
        for (unsigned i = 0; i < (sim_switched(w->run, "twice") ? 2 : 1); i++) {
            put_field(q, "X-Front", n, w->tries[n]);
        }
    }
}

/* All of the message anew: the field on top, the header that came, another body. */
static void replace(struct filtered *w, struct scanner_question *q, unsigned n)
{
    const struct doc *came = scanner_part(q, "/rawMessage");
    struct buf raw BUF_LOCAL = {0}, out BUF_LOCAL = {0};
    size_t end;

    if (came->kind == DOC_BYTES) {
        buf_put(&raw, came->text);
    } else {
        must(base64_decode(&raw, came->text));
    }
    end = str_find_str(buf_str(&raw), STR("\r\n\r\n"));
    must(end != STR_NONE);
    buf_printf(&out, "X-Back: %u-%u\r\n", n, w->tries[n]);
    buf_put(&out, str_head(buf_str(&raw), end + 4));
    for (unsigned i = 0; i < (n % 3 == 0 ? FILTERED_LINES : 1); i++) {
        buf_put(&out, STR("Something else in its place.\r\n"));
    }
    scanner_set(q, "/rawMessage",
                (struct doc){.kind = DOC_BYTES, .text = arena_dup(q->arena, buf_str(&out))});
}

static void says(struct scanners *all, struct scanner_question *q)
{
    struct filtered *w = all->ctx;
    unsigned n = filtered_number(scanner_text(q, "/envelope/from/address"));

    if (!str_eq(q->stage, STR("data")) || n == FILTERED_MAIL) {
        return;
    }
    if (q->scanner == all->items[FRONT]) {
        front_says_draft(w, q, n);
        return;
    }
    w->edited[n][w->tries[n]] = 1;
    if (filtered_kind(n) == REPLACES) {
        replace(w, q, n);
    } else {
        put_field(q, "X-Back", n, w->tries[n]);
    }
}

/* ---- both ---- */

static struct err answer(void *ctx, const struct fetch_request *r, struct arena *a,
                         struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct hooks_run *w = run_of(ctx);
    bool is_front = str_eq(r->target->host, STR("192.0.2.1")), is_question;
    unsigned which = is_front ? FRONT : BACK;
    struct err e;

    is_question = !w->is_draft || str_eq(r->target->path, STR("/ask"));
    if (is_question) {
        watch(w, which);
    }
    if (w->is_draft) {
        w->scanners.items[which]->mood = w->mail.mood[which];
        e = scanners_answer(&w->scanners, r, a, ret, why, by);
    } else {
        e = answer_classic(w, which, r, a, ret, why, by);
    }
    w->asking[which] -= is_question;
    return e;
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct hooks_run *w = run_of(m->options.ctx);

    for (unsigned i = 0; i < FILTERED_COUNT; i++) {
        breakers_told(&w->breakers[i], w->mail.run, event, f, n);
    }
    filtered_told(m, event, f, n);
}

static void before(struct machine *m)
{
    static struct fetch_sim scanners;
    struct hooks_run *w = run_of(m->options.ctx);

    scanners_begin(&w->scanners, m);
    scanners = (struct fetch_sim){answer, m->options.ctx};
    sim_service_set(m->world, "fetch", &scanners);
    for (unsigned i = 0; i < FILTERED_COUNT; i++) {
        breakers_begin(&w->breakers[i]);
    }
    yard_weather(m, 1, NET_OPEN);
}

/* ---- the run ---- */

static void forget(struct filtered *f)
{
    memset(run_of(f)->asking, 0, sizeof run_of(f)->asking);
    memset(f->mood, 0, sizeof f->mood);
}

static void put_hook(struct hooks_run *w, unsigned which, struct buf *out)
{
    static const char *const names[] = {"front", "back"}, *const stages[] = {"mail, rcpt, data",
                                                                             "data"};
    struct sim_run *r = w->mail.run;
    bool is_crowd = sim_switched(r, "crowd"), is_early = sim_switched(r, "early");

    buf_printf(out,
               "  - { name: %s, stages: [%s], timeout: 2s, concurrency: %d, "
               "breaker: { failures: %d, pause: %ds }, ",
               names[which], stages[which], AT_A_TIME + (which == FRONT && is_crowd), FAILURES,
               PAUSE_MS / 1000 - (which == FRONT && is_early));
    if (which == BACK) {
        buf_put(out, STR("tempfail-on-error: false, "));
    } else if (w->is_draft) {
        buf_put(out, STR("on-malformed: failure, "));
    }
    if (w->is_draft) {
        scanner_config(w->scanners.items[which],
                       "/stage, /action, /timestamp, /envelope, /rawMessage, /server",
                       "/action, /message/headers, /rawMessage", out);
    } else {
        buf_printf(out, "url: \"http://192.0.2.%u/\"", which + 1);
    }
    buf_put(out, STR(" }\n"));
}

static void run(struct sim_run *r)
{
    static struct hooks_run w;
    static struct scanner front, back;
    struct buf config BUF_LOCAL = {0};
    uint64_t rng = r->seed * 0x2545f4914f6cdd1du + 1;

    w = (struct hooks_run){
        .mail = {.run = r, .moods = MOODS, .reject_code = 503, .answer_ms = ANSWER_MS}};
    w.is_draft = chance_below(&rng, 3) > 0;
    front = (struct scanner){.host = "192.0.2.1", .slow_ms = SLOW_MS};
    back = (struct scanner){.host = "192.0.2.2", .slow_ms = SLOW_MS};
    w.scanners = (struct scanners){
        .items = {&front, &back}, .count = 2, .says = says, .ctx = &w.mail};
    for (unsigned i = 0; i < FILTERED_COUNT; i++) {
        struct scanner *s = w.scanners.items[i];

        s->is_patch = chance_below(&rng, 2) == 0;
        s->is_cbor = chance_below(&rng, 2) == 0;
        s->is_found = chance_below(&rng, 2) == 0;
        w.breakers[i] = (struct breakers){
            .name = i == FRONT ? "front" : "back", .failures_max = FAILURES, .pause_ms = PAUSE_MS};
    }
    if (w.is_draft) {
        w.mail.moods = SCANNER_MOODS;
        w.mail.reject_code = 550;
    }
    buf_put(&config, STR("server: { hostname: mx.here.example }\n"
                         "queue:\n"
                         "  schedule: { remote: { queue-name: remote, retry: [5s], expire: 1d } }\n"
                         "  route: { out: { type: relay, address: relay-1.example } }\n"
                         "  strategy: { route: [ { use: out } ], schedule: [ { use: remote } ] }\n"
                         "hooks:\n"));
    put_hook(&w, FRONT, &config);
    put_hook(&w, BACK, &config);
    buf_byte(&config, '\0');
    filtered_run(&w.mail, config.ptr, before, told, forget);
}

int main(int argc, char **argv)
{
    static const struct sim_need needs[] = {
        {"crash", 20},           {"registration", 20},        {"scanner-silent", 20},
        {"scanner-reset", 20},   {"scanner-refuses", 20},     {"scanner-babbles", 20},
        {"scanner-forgets", 20}, {"asked-re-registered", 20}, {"asked-again", 20}};
    static const struct sim_scenario scenario = {"hooks", run, needs, COUNT_OF(needs), 200};

    return sim_main(argc, argv, &scenario);
}
