#include "opinions.h"

#include "runtime/clock.h"
#include "runtime/random.h"

#include <stdio.h>

enum { FRONT, BACK };

static struct opinions *of(const struct scanner_question *q)
{
    return q->scanners->ctx;
}

/* ---- what `front` wants ---- */

static struct doc date_doc(struct scanner_question *q, int64_t ms)
{
    char at[DATE_ISO_BYTES];

    return doc_text(arena_dup(q->arena, date_iso((struct date){ms}, at)));
}

static void set_rcpt(struct scanner_question *q, unsigned i, const char *what, struct doc value)
{
    char path[64];

    snprintf(path, sizeof path, "/envelope/to/%u/%s", i, what);
    scanner_set(q, path, value);
}

struct shown {
    struct ledger_rcpt *rcpt; /* NULL: none of the ledger */
    unsigned number, attempt;
    struct str status;
};

/* The recipient at i; false: there are no more. */
static bool shown_at(struct scanner_question *q, unsigned i, struct shown *ret)
{
    const struct doc *to = scanner_part(q, "/envelope/to"), *one, *part;

    if (to == NULL || to->kind != DOC_LIST || i >= to->count) {
        return false;
    }
    one = &to->members[i].value;
    *ret = (struct shown){.status = doc_get(one, "status")->text};
    part = doc_get(one, "attempt");
    ret->attempt = (unsigned)part->number;
    ret->rcpt = ledger_rcpt(of(q)->ledger, doc_get(one, "address")->text, &ret->number);
    return true;
}

/* Those that failed for now: what is not deferred is shown with the attempt that ended it. */
static unsigned attempts_of(const struct shown *s)
{
    return s->attempt - !str_eq(s->status, STR("deferred"));
}

/* Within what is left to it. */
static int64_t some_time(struct scanner_question *q)
{
    int64_t at = clock_date().ms + 3000 + (int64_t)random_below(20 * 1000);
    struct date end;

    return date_parse_iso(scanner_text(q, "/queue/expiresAt"), &end) && end.ms - 1 < at ? end.ms - 1
                                                                                        : at;
}

static void wish(struct scanner_question *q, const struct shown *s, enum wish_kind kind,
                 int64_t next_ms)
{
    struct wish k = {.kind = kind,
                     .number = s->number,
                     .at = (unsigned)(s->rcpt - of(q)->ledger->mail[s->number].to),
                     .asked_ms = wishes_result_ms(wishes_fate(of(q)->wishes, s->rcpt, s->number),
                                                  str_eq(s->status, STR("failed")) ? s->attempt - 1
                                                                                   : s->attempt),
                     .next_ms = next_ms};

    wishes_say(of(q)->wishes, &k);
}

/* After an attempt. */
static void wants_of(struct scanner_question *q, unsigned i, const struct shown *s)
{
    int64_t at = some_time(q);
    unsigned what = (unsigned)random_below(12);
    bool waits = str_eq(s->status, STR("deferred"));

    if (!waits && !str_eq(s->status, STR("failed"))) {
        return;
    }
    if (what == 0) {
        set_rcpt(q, i, "status", doc_text(STR("failed-silent")));
        wish(q, s, WISHES_DROP, 0);
    } else if (what == 1 && waits) {
        set_rcpt(q, i, "status", doc_text(STR("failed")));
        wish(q, s, WISHES_FAIL, 0);
    } else if (what < 5 && waits) {
        set_rcpt(q, i, "nextAttemptAt", date_doc(q, at));
        wish(q, s, WISHES_TIME, sim_switched(of(q)->run, "other-time") ? at + 1000 : at);
    } else if (what < 3 && !waits && s->attempt < 5) {
        set_rcpt(q, i, "status", doc_text(STR("deferred")));
        wish(q, s, WISHES_AGAIN, 0);
    }
}

/* Before one: by the plan's names, and not now, or never. What is stored of that no event tells. */
static void wants_first(struct scanner_question *q, unsigned i, const struct shown *s)
{
    unsigned what = (unsigned)random_below(30);
    struct doc way = doc_object();

    (void)s;
    if (what == 0) {
        set_rcpt(q, i, "status", doc_text(STR("failed-silent")));
    } else if (what == 1) {
        set_rcpt(q, i, "status", doc_text(STR("failed")));
    } else if (what < 4) {
        set_rcpt(q, i, "status", doc_text(STR("deferred")));
        set_rcpt(q, i, "nextAttemptAt", date_doc(q, some_time(q)));
    } else if (what < 8 && q->scanner->is_patch) {
        (void)doc_put(&way, q->arena, STR("queue"),
                      doc_text(what < 6 ? STR("other") : STR("remote")));
        set_rcpt(q, i, "route", way);
    }
}

static void adds(struct scanner_question *q, unsigned number, bool may_not)
{
    struct doc rcpt = doc_object();
    unsigned serial = wishes_add(of(q)->wishes, number, may_not);

    (void)doc_put(&rcpt, q->arena, STR("address"),
                  doc_text(arena_printf(q->arena, "a%u@good-1.example", serial)));
    (void)doc_put(&rcpt, q->arena, STR("parameters"), doc_object());
    scanner_insert(q, "/envelope/to", -1, rcpt);
}

static void says_of_mail(struct scanner_question *q)
{
    bool is_route = str_eq(q->stage, STR("route"));
    unsigned number = 0;
    bool is_ours = false;
    struct shown s;

    if (shown_at(q, 0, &s) && s.rcpt != NULL && random_below(25) == 0) {
        scanner_set(q, "/action", doc_text(STR("cancel")));
        return;
    }
    for (unsigned i = 0; shown_at(q, i, &s); i++) {
        if (s.rcpt == NULL) {
            continue;
        }
        is_ours = true;
        number = s.number;
        if (is_route) {
            wants_first(q, i, &s);
        } else {
            wants_of(q, i, &s);
        }
    }
    if (random_below(is_ours ? 12 : 4) == 0) {
        adds(q, is_ours ? number : LEDGER_MAIL_MAX, !is_ours);
    }
}

/* ---- what both say of notices ---- */

static struct str message_id(struct scanner_question *q)
{
    const struct doc *fields = scanner_part(q, "/message/headers");

    for (uint32_t i = 0; fields != NULL && i < fields->count; i++) {
        const struct doc *one = &fields->members[i].value;

        if (str_eq_nocase(doc_get(one, "name")->text, STR("Message-ID"))) {
            return str_trim(doc_get(one, "value")->text);
        }
    }
    sim_fail(of(q)->run, "a notice is shown without its Message-ID");
    return STR_EMPTY;
}

/* The message that a notice is about; LEDGER_MAIL_MAX: none of the ledger. */
static unsigned number_of(struct scanner_question *q)
{
    struct shown s = {0};

    for (unsigned i = 0; shown_at(q, i, &s); i++) {
        if (s.rcpt != NULL) {
            return s.number;
        }
    }
    return LEDGER_MAIL_MAX;
}

static void says_of_notice(struct scanner_question *q, unsigned side)
{
    struct doc field = doc_object();
    unsigned serial = ++of(q)->serial;

    if (side == FRONT && random_below(8) == 0) {
        unsigned number = number_of(q);

        scanner_delete(q, "/message");
        if (number < LEDGER_MAIL_MAX) {
            of(q)->wishes->drop_said[number] = true;
        }
        return;
    }
    if (random_below(4) == 0) {
        return;
    }
    (void)doc_put(&field, q->arena, STR("name"),
                  doc_text(side == FRONT ? STR("X-Front") : STR("X-Back")));
    (void)doc_put(&field, q->arena, STR("value"), doc_text(arena_printf(q->arena, " %u", serial)));
    scanner_insert(q, "/message/headers", 0, field);
    if (!sim_switched(of(q)->run, "unsaid-edit")) {
        wishes_report(of(q)->wishes, message_id(q))->edits[side] = serial;
    }
}

static void note_told(struct scanner_question *q)
{
    unsigned told = 0, failed = 0;
    struct shown s = {0};
    unsigned number = LEDGER_MAIL_MAX;

    for (unsigned i = 0; shown_at(q, i, &s); i++) {
        if (s.rcpt != NULL) {
            unsigned at = (unsigned)(s.rcpt - of(q)->ledger->mail[s.number].to);

            number = s.number;
            told |= 1u << at;
            failed |= (unsigned)str_eq(s.status, STR("failed")) << at;
        }
    }
    if (number < LEDGER_MAIL_MAX && !sim_switched(of(q)->run, "unsaid-drop")) {
        of(q)->wishes->dsn_told[number] = told;
        of(q)->wishes->dsn_failed[number] = failed;
    }
}

static void note_shown(struct scanner_question *q)
{
    struct shown s;
    uint64_t id = 0;

    (void)str_hex_to_u64(scanner_text(q, "/queue/id"), &id);

    for (unsigned i = 0; shown_at(q, i, &s); i++) {
        struct fate *fate;

        if (s.rcpt == NULL) {
            continue;
        }
        of(q)->ids[s.number] = id;
        /* What the second is shown is what the first wants, stored or not. */
        if (str_eq(q->stage, STR("route")) || q->scanner != q->scanners->items[FRONT]) {
            continue;
        }
        fate = wishes_fate(of(q)->wishes, s.rcpt, s.number);
        fate->is_shown = true;
        fate->is_final = !str_eq(s.status, STR("deferred"));
        fate->was_delivered = str_eq(s.status, STR("delivered"));
        fate->shown_attempts = attempts_of(&s) + sim_switched(of(q)->run, "ahead");
    }
}

void opinions_asked(struct scanners *scanners, struct scanner_question *q)
{
    if (str_eq(q->stage, STR("dsn"))) {
        note_told(q);
    } else {
        note_shown(q);
    }
    sim_point(scanners->world, "asked");
}

void opinions_say(struct scanners *scanners, struct scanner_question *q)
{
    bool is_front = q->scanner == scanners->items[FRONT];

    if (str_eq(q->stage, STR("dsn"))) {
        says_of_notice(q, is_front ? FRONT : BACK);
    } else if (is_front) {
        says_of_mail(q);
    }
}
