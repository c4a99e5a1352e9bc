#include "breakers.h"

#include "runtime/clock.h"

enum { SLACK_MS = 20 };

static const int64_t slack_ns = SLACK_MS * NS_PER_MS;

void breakers_begin(struct breakers *b)
{
    *b = (struct breakers){
        .name = b->name, .failures_max = b->failures_max, .pause_ms = b->pause_ms};
}

static int64_t now_ns(void)
{
    return clock_read().ns;
}

static void opens(struct breakers *b, int64_t at_ns)
{
    if (b->state != BREAKERS_OPEN) {
        b->quiet_from_ns = at_ns;
    }
    b->state = BREAKERS_OPEN;
    b->until_ns = at_ns + b->pause_ms * NS_PER_MS;
    b->turned_away_ns = 0;
}

/* While it was open: the probe, or one from before. */
static void ended_open(struct breakers *b, struct sim_run *run, int64_t began_ns, bool is_good)
{
    if (began_ns <= b->quiet_from_ns + slack_ns) {
        return;
    }
    if (began_ns + slack_ns < b->until_ns) {
        sim_fail(run, "%s was asked %lld ms before its pause was over", b->name,
                 (long long)((b->until_ns - began_ns) / NS_PER_MS));
    }
    if (b->turned_away_ns > 0 && began_ns > b->turned_away_ns + slack_ns) {
        sim_fail(run, "%s was not asked, though its pause was over and nobody tried it", b->name);
    }
    if (is_good) {
        b->state = BREAKERS_CLOSES;
        b->changes_by_ns = now_ns() + slack_ns;
        b->quiet_until_ns = now_ns();
        b->failures = 0;
    } else {
        opens(b, now_ns());
    }
}

static void ended(struct breakers *b, struct sim_run *run, int64_t began_ns, bool is_good)
{
    switch (b->state) {
    case BREAKERS_OPEN:
        ended_open(b, run, began_ns, is_good);
        return;
    case BREAKERS_OPENS:
        return;
    case BREAKERS_CLOSED:
    case BREAKERS_CLOSES:
        break;
    }
    if (began_ns > b->quiet_from_ns + slack_ns && began_ns < b->quiet_until_ns - slack_ns) {
        sim_fail(run, "%s was asked by a second one while it was tried", b->name);
    }
    b->failures = is_good ? 0 : b->failures + 1;
    if (b->failures == b->failures_max && b->state == BREAKERS_CLOSED) {
        b->state = BREAKERS_OPENS;
        b->changes_by_ns = now_ns() + slack_ns;
    }
}

static void turned_away(struct breakers *b, struct sim_run *run)
{
    if (b->state == BREAKERS_CLOSED && now_ns() > b->quiet_until_ns + 2 * slack_ns) {
        sim_fail(run, "%s was not asked, though it answers", b->name);
    }
    if (b->state == BREAKERS_OPEN && now_ns() > b->until_ns + slack_ns && b->turned_away_ns == 0) {
        b->turned_away_ns = now_ns();
    }
}

static void failed(struct breakers *b, struct sim_run *run, struct str why, int64_t began_ns)
{
    static const char *const unasked[] = {"too many wait for it", "no turn came in time",
                                          "the filters before it"};

    for (size_t i = 0; i < sizeof unasked / sizeof *unasked; i++) {
        if (str_starts(why, str_of(unasked[i]))) {
            return;
        }
    }
    if (str_starts(why, STR("it has failed too often"))) {
        turned_away(b, run);
    } else {
        ended(b, run, began_ns, false);
    }
}

void breakers_told(struct breakers *b, struct sim_run *run, const char *event,
                   const struct event_field *f, size_t n)
{
    int64_t began_ns = now_ns() - field_num(f, n, "duration") * 1000;

    if (!str_eq(field_str(f, n, "name"), str_of(b->name))) {
        return;
    }
    if ((b->state == BREAKERS_OPENS || b->state == BREAKERS_CLOSES) &&
        now_ns() > b->changes_by_ns + slack_ns) {
        sim_fail(run, "%s has neither opened nor closed in time", b->name);
    }
    if (strcmp(event, "filter_answered") == 0 || strcmp(event, "filter_acted") == 0) {
        ended(b, run, began_ns, true);
    } else if (strcmp(event, "filter_failed") == 0) {
        failed(b, run, field_str(f, n, "text"), began_ns);
    } else if (strcmp(event, "filter_shunned") == 0) {
        if (b->state != BREAKERS_OPENS) {
            sim_fail(run, "%s was shunned after %u failures in a row", b->name, b->failures);
        }
        opens(b, now_ns());
        b->opened++;
    } else if (strcmp(event, "filter_back") == 0) {
        if (b->state != BREAKERS_CLOSES) {
            sim_fail(run, "%s was taken back without an answer", b->name);
        }
        b->state = BREAKERS_CLOSED;
        b->closed++;
    }
}
