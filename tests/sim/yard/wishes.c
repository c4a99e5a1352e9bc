#include "wishes.h"

#include "queue/action.h"
#include "runtime/clock.h"

#include <stdio.h>

void wishes_init(struct wish_book *w, struct sim_run *run, struct ledger *l)
{
    *w = (struct wish_book){.run = run, .ledger = l};
}

struct fate *wishes_fate(struct wish_book *w, const struct ledger_rcpt *r, unsigned number)
{
    return &w->fates[number][r - w->ledger->mail[number].to];
}

static int64_t now_ms(void)
{
    return clock_date().ms;
}

/* ---- what is wanted ---- */

int64_t wishes_result_ms(const struct fate *fate, unsigned attempts)
{
    return fate->results_ms[attempts % WISHES_RESULTS];
}

void wishes_say(struct wish_book *w, const struct wish *wish)
{
    for (unsigned i = 0; i < WISHES_OPEN_MAX; i++) {
        if (!w->open[i].is_open) {
            w->open[i] = *wish;
            w->open[i].is_open = true;
            w->open[i].said_ms = now_ms();
            return;
        }
    }
    sim_fail(w->run, "%u wishes are open at a time", WISHES_OPEN_MAX);
}

unsigned wishes_add(struct wish_book *w, unsigned number, bool may_not)
{
    must(w->added_count < WISHES_ADDED_MAX);
    w->added[w->added_count] = (struct added){
        .number = number, .life = w->ledger->life, .said_ms = now_ms(), .may_not = may_not};
    return w->added_count++;
}

struct noticed *wishes_report(struct wish_book *w, struct str message_id)
{
    uint64_t hash = str_hash(str_trim(message_id), 0);

    for (unsigned i = w->report_count; i-- > 0;) {
        if (w->reports[i].hash == hash) {
            return &w->reports[i];
        }
    }
    must(w->report_count < WISHES_REPORTS_MAX);
    w->reports[w->report_count] = (struct noticed){.hash = hash};
    return &w->reports[w->report_count++];
}

/* ---- what the server says ---- */

static bool fits(const struct wish *k, struct str action, int64_t next_ms)
{
    switch (k->kind) {
    case WISHES_DROP:
        return str_eq(action, STR("dropped"));
    case WISHES_FAIL:
        return str_eq(action, STR("failed"));
    case WISHES_AGAIN:
        return str_eq(action, STR("deferred"));
    case WISHES_TIME:
        /* Not sooner than in a second, from when it is made. */
        return str_eq(action, STR("deferred")) &&
               (wishes_is_near(next_ms, k->next_ms) ||
                (next_ms > k->next_ms && next_ms <= now_ms() + WISH_MS_MIN));
    }
    return false;
}

static struct wish *find_wish(struct wish_book *w, unsigned number, unsigned at, const char *action,
                              int64_t next_ms)
{
    struct wish *found = NULL;

    for (unsigned i = 0; i < WISHES_OPEN_MAX; i++) {
        struct wish *k = &w->open[i];

        if (k->is_open && k->number == number && k->at == at &&
            (action == NULL || fits(k, str_of(action), next_ms)) &&
            (found == NULL || k->asked_ms > found->asked_ms)) {
            found = k;
        }
    }
    return found;
}

static void gives_up(struct wish_book *w, struct fate *fate, struct ledger_rcpt *r, bool is_told_of,
                     bool is_uncertain)
{
    fate->is_given_up = true;
    fate->is_uncertain = is_uncertain;
    fate->given_up_ms = now_ms();
    fate->given_up_life = w->ledger->life;
    fate->due_ms = 0;
    if (!is_told_of) {
        r->cancelled = true;
    }
}

/* A filter's wish is stored. */
static void filtered(struct wish_book *w, struct ledger_rcpt *r, unsigned number,
                     const struct event_field *f, size_t n)
{
    struct fate *fate = wishes_fate(w, r, number);
    unsigned at = (unsigned)(r - w->ledger->mail[number].to);
    struct str action = field_str(f, n, "action");
    char word[16];
    struct wish *k;
    bool is_cancel;

    snprintf(word, sizeof word, "%.*s", STR_ARG(action));
    k = find_wish(w, number, at, word, field_num(f, n, "next"));
    is_cancel = w->cancelled_ms[number] > 0 && strcmp(word, "dropped") == 0;
    if (k != NULL && is_cancel && fate->result_ms > k->asked_ms) {
        k = NULL; /* which is given up */
    }
    if (k == NULL && !is_cancel) {
        sim_fail(w->run, "%s is %s at %lld, as no filter wants it", r->address, word,
                 (long long)field_num(f, n, "next"));
        return;
    }
    if (k != NULL) {
        k->is_open = false;
        if (fate->result_ms > k->asked_ms && fate->result_ms < now_ms()) {
            sim_fail(w->run,
                     "%s: a filter's wish about its state %lld ms ago has overwritten a result of "
                     "%lld ms ago",
                     r->address, (long long)(now_ms() - k->asked_ms),
                     (long long)(now_ms() - fate->result_ms));
        }
        if (fate->operated_ms > k->asked_ms && fate->operated_ms < now_ms()) {
            sim_fail(w->run, "%s: a filter's wish has overwritten an operator's", r->address);
        }
        fate->revived_ms = k->kind == WISHES_AGAIN ? now_ms() : fate->revived_ms;
        sim_point(w->world, "wish-made");
    }
    fate->changed_ms = now_ms();
    if (strcmp(word, "deferred") == 0) {
        r->cancelled = false;
        fate->is_given_up = false;
        fate->is_final = fate->was_delivered = false;
        fate->due_ms = field_num(f, n, "next");
        fate->due_since_ms = now_ms();
        fate->is_durable = true;
        return;
    }
    gives_up(w, fate, r, strcmp(word, "failed") == 0, false);
    if (strcmp(word, "failed") == 0 && !w->ledger->mail[number].has_sender) {
        r->dropped++;
    }
}

static unsigned open_of(const struct wish_book *w, unsigned number, unsigned at)
{
    unsigned count = 0;

    for (unsigned i = 0; i < WISHES_OPEN_MAX; i++) {
        const struct wish *k = &w->open[i];

        count += k->is_open && k->number == number && k->at == at;
    }
    return count;
}

/* A wish was given up, which needs a reason: something has changed, or is at work. Of a notice that
 * comes due and nobody is to be told of there is no event. */
static void unmade(struct wish_book *w, struct ledger_rcpt *r, unsigned number)
{
    struct fate *fate = wishes_fate(w, r, number);
    unsigned at = (unsigned)(r - w->ledger->mail[number].to), count = open_of(w, number, at);
    struct wish *k = find_wish(w, number, at, NULL, 0);

    if (count == 0) {
        return;
    }
    sim_point(w->world, "wish-unmade");
    if (count > 1) {
        fate->unmade++;
        return;
    }
    k->is_open = false;
    if (fate->changed_ms <= k->asked_ms && fate->due_ms > now_ms() + WISHES_WINDOW_MS &&
        w->cancelled_ms[number] == 0 && w->ledger->mail[number].has_sender) {
        sim_fail(w->run, "%s: a filter's wish was not made, and nothing had changed", r->address);
    }
}

static void attempted(struct wish_book *w, struct ledger_rcpt *r, unsigned number, int64_t began_ms)
{
    struct fate *fate = wishes_fate(w, r, number);

    if (fate->due_ms > 0 && began_ms > fate->due_ms + w->late_ms) {
        sim_fail(w->run, "%s was tried %lld ms after its time", r->address,
                 (long long)(began_ms - fate->due_ms));
    }
    if (fate->is_given_up &&
        (!fate->is_uncertain || began_ms > fate->given_up_ms + WISHES_WINDOW_MS)) {
        sim_fail(w->run, "%s was tried after it was given up", r->address);
    }
    if (w->cancelled_ms[number] > 0 && fate->revived_ms < w->cancelled_ms[number] &&
        began_ms > w->cancelled_ms[number] + w->cancel_ms) {
        sim_fail(w->run, "%s was tried %lld ms after its message was cancelled", r->address,
                 (long long)(began_ms - w->cancelled_ms[number]));
    }
}

static void routed(struct wish_book *w, struct ledger_rcpt *r, unsigned number, struct str text)
{
    struct fate *fate = wishes_fate(w, r, number);

    if (str_starts(text, STR("given up"))) {
        gives_up(w, fate, r, str_eq(text, STR("given up")), true);
        if (str_eq(text, STR("given up")) && !w->ledger->mail[number].has_sender) {
            r->dropped++;
        }
    }
    if (str_eq(text, STR("not now")) || str_starts(text, STR("given up"))) {
        fate->due_ms = 0;
        fate->changed_ms = now_ms();
    }
}

static void result(struct wish_book *w, struct ledger_rcpt *r, unsigned number, const char *event,
                   const struct event_field *f, size_t n)
{
    struct fate *fate = wishes_fate(w, r, number);

    fate->changed_ms = now_ms();
    if (strcmp(event, "delivery_delayed") == 0) {
        return;
    }
    attempted(w, r, number, now_ms() - field_num(f, n, "duration") / 1000);
    fate->result_ms = now_ms();
    fate->results_ms[field_num(f, n, "attempts") % WISHES_RESULTS] = now_ms();
    fate->due_ms = field_num(f, n, "next");
    fate->due_since_ms = now_ms();
    fate->is_durable = false;
}

/* Debts are settled, by a notice or without one. */
static void settled(struct wish_book *w, unsigned number, bool is_dropped)
{
    if (w->drop_said[number] && !is_dropped) {
        sim_fail(w->run, "the sender of message %u is told what a filter has dropped", number);
    }
    w->drop_said[number] = false;
    for (unsigned i = 0; i < w->ledger->mail[number].to_count; i++) {
        struct fate *fate = &w->fates[number][i];
        struct ledger_rcpt *r = &w->ledger->mail[number].to[i];

        fate->changed_ms = now_ms();
        if (!is_dropped || (w->dsn_told[number] >> i & 1) == 0) {
            continue;
        }
        if (w->dsn_failed[number] >> i & 1) {
            fate->untold[0] = true;
            gives_up(w, fate, r, false, true);
        } else {
            fate->untold[1] = true;
        }
    }
    if (is_dropped) {
        sim_point(w->world, "report-dropped");
    }
}

/* "s7@home-3.example": 7. */
static bool number_of_sender(const struct wish_book *w, struct str address, unsigned *ret)
{
    struct str rest = address, local;
    uint64_t n;

    if (!str_starts(address, STR("s")) || !str_cut(&rest, '@', &local) ||
        !str_to_u64(str_skip(local, 1), &n) || n >= w->ledger->count) {
        return false;
    }
    *ret = (unsigned)n;
    return true;
}

static struct added *added_of(struct wish_book *w, struct str address)
{
    struct str rest = address, local;
    uint64_t n;

    if (!str_starts(address, STR("a")) || !str_cut(&rest, '@', &local) ||
        !str_to_u64(str_skip(local, 1), &n) || n >= w->added_count) {
        return NULL;
    }
    return &w->added[n];
}

static void told_added(struct wish_book *w, struct added *a, const char *event, struct str why)
{
    if (strcmp(event, "rcpt_added") == 0) {
        sim_point(w->world, "rcpt-added");
        if (a->is_added || a->may_not) {
            sim_fail(w->run, "recipient a%u was added %s", (unsigned)(a - w->added),
                     a->may_not ? "to a message that nobody may add to" : "twice");
        }
        a->is_added = true;
    } else if (strcmp(event, "rcpt_add_refused") == 0) {
        a->is_refused = true;
        /* A message that ended while the filter thought has no content any more. */
        if (!a->may_not && !str_eq(why, STR("not found"))) {
            sim_fail(w->run, "recipient a%u was refused", (unsigned)(a - w->added));
        }
    }
}

static void accepted(struct wish_book *w, unsigned number)
{
    for (unsigned i = 0; i < w->ledger->mail[number].to_count; i++) {
        struct fate *fate = &w->fates[number][i];

        /* It may have been tried before its client was answered. */
        if (fate->changed_ms == 0 && fate->due_ms == 0) {
            fate->due_ms = fate->due_since_ms = now_ms();
        }
    }
}

void wishes_told(struct wish_book *w, const char *event, const struct event_field *f, size_t n)
{
    struct str address = field_str(f, n, "rcpt");
    unsigned number;
    struct ledger_rcpt *r = ledger_rcpt(w->ledger, address, &number);
    struct added *a = added_of(w, address);

    if (a != NULL) {
        told_added(w, a, event, field_str(f, n, "text"));
    } else if (strcmp(event, "message_accepted") == 0) {
        if (number_of_sender(w, field_str(f, n, "sender"), &number)) {
            accepted(w, number);
        }
    } else if (strcmp(event, "report_dropped") == 0 || strcmp(event, "report_made") == 0) {
        if (number_of_sender(w, address, &number)) {
            settled(w, number, strcmp(event, "report_dropped") == 0);
        }
    } else if (r == NULL) {
        return;
    } else if (strcmp(event, "rcpt_filtered") == 0) {
        filtered(w, r, number, f, n);
    } else if (strcmp(event, "filter_unmade") == 0) {
        unmade(w, r, number);
    } else if (strcmp(event, "filter_routed") == 0) {
        routed(w, r, number, field_str(f, n, "text"));
    } else if (strcmp(event, "rcpt_cancelled") == 0) {
        wishes_fate(w, r, number)->due_ms = 0;
        wishes_fate(w, r, number)->changed_ms = now_ms();
    } else if (str_starts(str_of(event), STR("delivery_")) &&
               strcmp(event, "delivery_waits") != 0) {
        result(w, r, number, event, f, n);
    }
}

/* ---- what hosts take ---- */

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

static void check_report(struct wish_book *w, struct str content)
{
    static const char *const fields[WISHES_SIDES] = {"X-Front:", "X-Back:"};
    size_t at = str_find_str(content, STR("\nMessage-ID:")), end;
    struct str id, header;
    struct noticed *k;
    char field[48];

    if (at == STR_NONE) {
        sim_fail(w->run, "a notice without Message-ID");
        return;
    }
    id = str_skip(content, at + strlen("\nMessage-ID:"));
    id = str_trim(str_head(id, str_find(id, '\r')));
    k = wishes_report(w, id);
    end = str_find_str(content, STR("\r\n\r\n"));
    header = str_head(content, end == STR_NONE ? content.len : end + 2);
    for (unsigned i = 0; i < WISHES_SIDES; i++) {
        snprintf(field, sizeof field, "%s %u\r\n", fields[i], k->edits[i]);
        if (count_of(header, fields[i]) != (k->edits[i] > 0) ||
            count_of(header, field) != (k->edits[i] > 0)) {
            sim_fail(w->run, "notice %.*s has %s %u times, and should have %u", STR_ARG(id),
                     fields[i], count_of(header, fields[i]), k->edits[i] > 0);
        }
    }
}

static void took_added(struct wish_book *w, struct added *a, struct str content)
{
    struct buf to BUF_LOCAL = {0}, sent BUF_LOCAL = {0};
    const struct ledger_life *life = &w->ledger->lives[a->taken_life];
    char from[LEDGER_ADDRESS_MAX];

    if (a->number < w->ledger->count) {
        ledger_mail(w->ledger, a->number, &to, &sent, from);
        if (!str_ends(content, buf_str(&sent))) {
            sim_fail(w->run, "recipient a%u got something else", (unsigned)(a - w->added));
        }
    }
    if (a->taken > 0 &&
        (a->taken_life == w->ledger->life || a->taken_ms < life->crash_ms - WISHES_WINDOW_MS)) {
        sim_fail(w->run, "recipient a%u was served twice", (unsigned)(a - w->added));
    }
    a->taken++;
    a->taken_ms = now_ms();
    a->taken_life = w->ledger->life;
}

bool wishes_took(struct wish_book *w, unsigned host, const struct play_message *mail)
{
    struct added *a = mail->to != NULL ? added_of(w, mail->to->address) : NULL;

    for (const struct play_rcpt *to = mail->to; to != NULL; to = to->next) {
        unsigned number;
        struct ledger_rcpt *r = to->refused ? NULL : ledger_rcpt(w->ledger, to->address, &number);

        if (r != NULL) {
            const struct fate *fate = wishes_fate(w, r, number);

            attempted(w, r, number, now_ms());
            if (fate->was_delivered) {
                sim_fail(w->run, "%s was served again, and filters had heard that it was",
                         r->address);
            }
        }
    }
    if (a != NULL) {
        if (!mail->to->refused) {
            took_added(w, a, mail->content);
        }
        return true;
    }
    if (host == LEDGER_HOME && mail->sender.len == 0) {
        check_report(w, mail->content);
    }
    return false;
}
