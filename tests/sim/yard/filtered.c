#include "filtered.h"

#include "runtime/clock.h"
#include "runtime/random.h"

#include <stdio.h>

enum { CLIENTS = 4, DRAIN_MS = 600 * 1000 };

enum filtered_kind filtered_kind(unsigned n)
{
    return (enum filtered_kind)(n % FILTERED_KINDS);
}

unsigned filtered_number(struct str text)
{
    size_t at = str_find_str(text, STR("s-"));
    struct str rest = str_skip(text, at == STR_NONE ? text.len : at + 2), digits;
    uint64_t n = FILTERED_MAIL;

    str_cut(&rest, '@', &digits);
    return str_to_u64(digits, &n) && n < FILTERED_MAIL ? (unsigned)n : FILTERED_MAIL;
}

bool filtered_try(struct filtered *f, unsigned n)
{
    if (f->tries[n] + 1 == FILTERED_TRIES) {
        sim_fail(f->run, "message %u was tried too often", n);
        return false;
    }
    f->tries[n]++;
    return true;
}

/* ---- what is heard ---- */

void filtered_told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct filtered *w = m->options.ctx;

    if (strcmp(event, "delivery_failed") == 0) {
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
    return str_to_u64(digits, &number) && number < FILTERED_TRIES ? (unsigned)number : 0;
}

static void check_body(struct filtered *w, unsigned n, unsigned try, struct str content)
{
    bool is_replaced = w->edited[n][try] != 0 && filtered_kind(n) == REPLACES;

    if ((count_of(content, "Something else") > 0) != is_replaced ||
        (count_of(content, "As it came") == 0) != is_replaced) {
        sim_fail(w->run, "message %u, try %u: the body is wrong", n, try);
    }
}

void filtered_took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct filtered *w = m->options.ctx;
    unsigned n = filtered_number(mail->sender);
    unsigned try = n < FILTERED_MAIL ? try_in(mail->content, n) : 0;
    char field[64];

    (void)h;
    if (n == FILTERED_MAIL || try == 0) {
        sim_fail(w->run, "mail of %.*s without the first filter's field", STR_ARG(mail->sender));
        return;
    }
    if (filtered_kind(n) == REJECTS || filtered_kind(n) == DISCARDS) {
        sim_fail(w->run, "message %u arrived", n);
    }
    if (count_of(mail->content, "X-Front:") != 1) {
        sim_fail(w->run, "message %u has the first filter's field %u times", n,
                 count_of(mail->content, "X-Front:"));
    }
    snprintf(field, sizeof field, "X-Back: %u-%u\r\n", n, try);
    if (count_of(mail->content, field) != w->edited[n][try] ||
        count_of(mail->content, "X-Back:") != w->edited[n][try]) {
        sim_fail(w->run, "message %u, try %u: the second filter's field is wrong", n, try);
    }
    check_body(w, n, try, mail->content);
    if (w->arrived[n][try]++ > 0 && !w->has_crashed) {
        sim_fail(w->run, "message %u, try %u arrived twice", n, try);
    }
}

/* ---- clients ---- */

static void content_of(unsigned n, struct buf *out)
{
    buf_printf(out, "Subject: number %u\r\n\r\n", n);
    for (unsigned i = 0; i < (n % 5 == 0 ? FILTERED_LINES : 1 + n % 7); i++) {
        buf_printf(out, "As it came, line %u of \xC3\xA9 message.\r\n", i);
    }
}

static void note_fate(struct filtered *w, unsigned n, enum answered fate, unsigned code)
{
    if (fate == ANSWERED_REFUSED && code == w->reject_code) {
        if (filtered_kind(n) != REJECTS) {
            sim_fail(w->run, "message %u was rejected", n);
        }
        w->settled[n] = true;
    } else if (fate == ANSWERED_REFUSED && code / 100 != 4 && code != 250) { /* 250: to RSET */
        sim_fail(w->run, "message %u was answered %u", n, code);
    } else if (fate == ANSWERED_TAKEN) {
        if (filtered_kind(n) == REJECTS) {
            sim_fail(w->run, "message %u was taken", n);
        }
        w->taken[n] = w->settled[n] = true;
    }
}

/* True: nothing more is to be done about it. */
static bool try_one(struct machine *m, unsigned n)
{
    struct filtered *w = m->options.ctx;
    struct buf content BUF_LOCAL = {0};
    struct when began = clock_now();
    struct yard_client c;
    char from[48];
    struct yard_mail mail = {.from = from, .to = "x@to-1.example"};
    enum answered fate;
    int64_t took_ms;

    content_of(n, &content);
    snprintf(from, sizeof from, "s-%u@from-1.example", n);
    mail.content = buf_str(&content);
    if (!client_open(&c, m, WHEN_NEVER)) {
        return false;
    }
    fate = client_mail(&c, &mail, WHEN_NEVER);
    took_ms = (clock_now().ns - began.ns) / NS_PER_MS;
    if (took_ms > w->answer_ms) {
        sim_fail(w->run, "message %u was answered after %lld ms", n, (long long)took_ms);
    }
    note_fate(w, n, fate, c.code);
    client_close(&c, WHEN_NEVER);
    return w->settled[n];
}

static void client_fiber(void *arg)
{
    struct machine *m = arg;
    struct filtered *w = m->options.ctx;

    while (w->next < FILTERED_MAIL && !w->run->failed && sim_end(m->world) == SIM_RUNNING) {
        unsigned n = w->next++;

        while (!w->settled[n] && !w->run->failed && sim_end(m->world) == SIM_RUNNING &&
               !try_one(m, n)) {
            if (fiber_sleep(when_after(200 + (int64_t)random_below(6000)), WHEN_NEVER).code != OK) {
                return;
            }
        }
    }
}

static void moods_fiber(void *arg)
{
    struct filtered *w = arg;

    while (!w->is_over) {
        for (unsigned i = 0; i < FILTERED_COUNT; i++) {
            w->mood[i] = random_below(2) == 0 ? FILTERED_WELL : (unsigned)random_below(w->moods);
        }
        if (fiber_sleep(when_after(2000 + (int64_t)random_below(60 * 1000)), WHEN_NEVER).code !=
            OK) {
            break;
        }
    }
    w->mood[FRONT] = w->mood[BACK] = FILTERED_WELL;
}

void filtered_outside(struct machine *m)
{
    struct filtered *w = m->options.ctx;
    struct group fibers;

    if (w->begin != NULL) {
        w->begin(m);
    }
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
    if (sim_end(m->world) == SIM_RUNNING && !machine_drain(m, DRAIN_MS, WHEN_NEVER) &&
        sim_end(m->world) == SIM_RUNNING) {
        sim_fail(w->run, "mail still waits at the end");
    }
    if (w->end != NULL) {
        w->end(m);
    }
}

/* ---- the run ---- */

static void judge(struct filtered *w)
{
    for (unsigned n = 0; n < FILTERED_MAIL; n++) {
        bool wanted = filtered_kind(n) == LETS_IN || filtered_kind(n) == REPLACES ||
                      (filtered_kind(n) == DISCARDS && sim_switched(w->run, "again"));
        unsigned times = 0;

        for (unsigned try = 0; try < FILTERED_TRIES; try++) {
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

void filtered_run(struct filtered *f, const char *config, void (*before)(struct machine *m),
                  void (*told)(struct machine *m, const char *event, const struct event_field *f,
                               size_t n),
                  void (*again)(struct filtered *f))
{
    static struct machine m;
    struct sim_run *r = f->run;
    struct yard_host hosts[] = {{.number = 1, .behaviour = ""}};
    struct sim_disk *folder = sim_disk_new("store", r->seed);
    struct machine_options o = {.seed = r->seed,
                                .config = config,
                                .folder = folder,
                                .store = {.segment_bytes = 512 * 1024,
                                          .min_free_bytes = 1024 * 1024,
                                          .node = 1,
                                          .checkpoint_bytes = 512 * 1024},
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .before = before,
                                .outside = filtered_outside,
                                .took = filtered_took,
                                .told = told,
                                .ctx = f};

    if (r->seed % 3 == 0) {
        o.crash_ns = (int64_t)(r->seed % 97 + 1) * NS_PER_S;
    }
    machine_live(&m, r, &o);
    if (m.end == SIM_CRASHED && !r->failed) {
        f->has_crashed = true;
        f->is_over = false;
        f->next = 0;
        if (again != NULL) {
            again(f);
        }
        o.crash_ns = 0;
        o.start = date_add(m.ended, 60 * 1000);
        machine_live(&m, r, &o);
    }
    if (!r->failed) {
        judge(f);
    }
    sim_disk_free(folder);
}
