#include "ledger.h"

#include "../chance.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/random.h"

#include <stdio.h>

enum { LINE_BYTES = 64, LARGE_BYTES = 70 * 1024, LARGE_SPREAD = 130 * 1024 };
enum { PATIENCE_MS = 60 * 1000 }; /* of a client, for one mail */

void ledger_init(struct ledger *l, struct sim_run *run, int64_t window_ms)
{
    *l = (struct ledger){.run = run, .seed = run->seed, .window_ms = window_ms};
    l->mail = mem_array(LEDGER_MAIL_MAX, sizeof *l->mail);
    for (unsigned i = 0; i < LEDGER_LIVES_MAX; i++) {
        l->lives[i] = (struct ledger_life){INT64_MAX, INT64_MAX};
    }
}

void ledger_done(struct ledger *l)
{
    mem_free(l->mail);
}

/* ---- messages ---- */

unsigned ledger_write(struct ledger *l, const char *const *domains, unsigned domain_count,
                      uint64_t random)
{
    unsigned number = l->count++;
    struct ledger_mail *m = &l->mail[number];

    must(l->count <= LEDGER_MAIL_MAX);
    m->fate = UNSENT;
    m->has_sender = chance_next(&random) % 10 != 0;
    m->size = chance_next(&random) % 12 == 0 ? LARGE_BYTES + chance_next(&random) % LARGE_SPREAD
                                             : chance_next(&random) % 4000;
    m->to_count =
        1 + (unsigned)(chance_next(&random) % 3 == 0 ? chance_next(&random) % LEDGER_RCPTS_MAX : 0);
    for (unsigned i = 0; i < m->to_count; i++) {
        snprintf(m->to[i].address, LEDGER_ADDRESS_MAX, "r%ux%u@%s", number, i,
                 domains[chance_next(&random) % domain_count]);
    }
    return number;
}

static void put_number(char *at, uint32_t number)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = "0123456789abcdef"[number >> (28 - 4 * i) & 15];
    }
}

/* Lines that tell their message and their place; some begin with a dot. */
static void put_body(struct buf *out, unsigned number, uint64_t size)
{
    static const char pattern[LINE_BYTES + 1] =
        ".mmmmmmmm.llllllll the quick brown fox jumps over the lazy dog\r\n";
    uint64_t lines = size / LINE_BYTES + 1;

    for (uint64_t i = 0; i < lines; i++) {
        char *line = buf_room(out, LINE_BYTES);

        memcpy(line, pattern, LINE_BYTES);
        line[0] = (number + i) % 7 == 0 ? '.' : '-';
        put_number(line + 1, number);
        put_number(line + 10, (uint32_t)i);
        out->len += LINE_BYTES;
    }
}

static void put_content(const struct ledger *l, unsigned number, struct buf *out)
{
    buf_printf(out,
               "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <%u@client.example>\r\n"
               "From: a@b.example\r\nSubject: number %u\r\n\r\n",
               number, number);
    put_body(out, number, l->mail[number].size);
}

void ledger_mail(const struct ledger *l, unsigned number, struct buf *to, struct buf *content,
                 char from[LEDGER_ADDRESS_MAX])
{
    const struct ledger_mail *m = &l->mail[number];

    from[0] = 0; /* the null sender */
    if (m->has_sender) {
        snprintf(from, LEDGER_ADDRESS_MAX, "s%u@home-%u.example", number, LEDGER_HOME);
    }
    for (unsigned i = 0; i < m->to_count; i++) {
        buf_printf(to, "%s%s", i > 0 ? " " : "", m->to[i].address);
    }
    buf_byte(to, 0);
    put_content(l, number, content);
}

/* ---- addresses ---- */

/* "r7x1@…": message 7, its recipient 1. */
struct ledger_rcpt *ledger_rcpt(struct ledger *l, struct str address, unsigned *number)
{
    struct str rest = address, local, first;
    uint64_t mail, at;

    if (!str_starts(address, STR("r")) || !str_cut(&rest, '@', &local)) {
        return NULL;
    }
    local = str_skip(local, 1);
    if (!str_cut(&local, 'x', &first) || !str_to_u64(first, &mail) || !str_to_u64(local, &at) ||
        mail >= l->count || at >= l->mail[mail].to_count) {
        return NULL;
    }
    *number = (unsigned)mail;
    return &l->mail[mail].to[at];
}

static struct ledger_mail *mail_of_sender(struct ledger *l, struct str address)
{
    struct str rest = address, local;
    uint64_t number;

    if (!str_starts(address, STR("s")) || !str_cut(&rest, '@', &local) ||
        !str_to_u64(str_skip(local, 1), &number) || number >= l->count) {
        return NULL;
    }
    return &l->mail[number];
}

/* ---- what hosts take ---- */

/* Whether the server had good reason to serve it once more. */
static bool may_come_again(const struct ledger *l, const struct ledger_rcpt *r)
{
    const struct ledger_life *life = &l->lives[r->done_life];
    /* A store that writes nothing forgets results at an orderly stop too. */
    int64_t blind = life->blind_ms < life->crash_ms ? life->blind_ms : life->crash_ms;

    if (!r->is_done || l->has_rotten) {
        return true;
    }
    return r->done_life < l->life && r->done_ms >= blind - l->window_ms;
}

static void took_rcpt(struct ledger *l, struct ledger_rcpt *r)
{
    if (r->failed > 0 && !l->has_rotten) {
        sim_fail(l->run, "%s was taken after its sender was told that it failed", r->address);
    }
    if (r->cancelled && !l->has_rotten) {
        sim_fail(l->run, "%s was taken after it was cancelled", r->address);
    }
    if (r->taken > 0 && !may_come_again(l, r)) {
        const struct ledger_life *life = &l->lives[r->done_life];

        sim_fail(l->run,
                 "%s was served again: its result was known %lld ms before the end of "
                 "life %u, %lld ms before its store went blind",
                 r->address, (long long)(life->crash_ms - r->done_ms), r->done_life,
                 (long long)(life->blind_ms - r->done_ms));
    }
    l->again += r->taken > 0;
    r->taken++;
    r->is_done = false;
}

static void check_content(struct ledger *l, unsigned number, struct str content)
{
    struct buf sent BUF_LOCAL = {0};

    put_content(l, number, &sent);
    if (!str_ends(content, buf_str(&sent))) {
        sim_fail(l->run, "message %u arrived changed", number);
    }
}

/* ---- reports ---- */

static bool is_new_report(struct ledger_mail *m, struct str content)
{
    size_t at = str_find_str(content, STR("Message-ID: "));
    struct str rest = str_skip(content, at == STR_NONE ? 0 : at), line;
    uint64_t hash;

    str_cut(&rest, '\n', &line);
    hash = str_hash(line, 0);
    for (unsigned i = 0; i < m->report_count; i++) {
        if (m->reports[i] == hash) {
            return false;
        }
    }
    must(m->report_count < LEDGER_REPORTS_MAX);
    m->reports[m->report_count++] = hash;
    return true;
}

static void read_report(struct ledger *l, struct str content)
{
    static const char *const field = "Final-Recipient: rfc822;";
    struct str rest = content, address, action;
    size_t at;

    while ((at = str_find_str(rest, str_of(field))) != STR_NONE) {
        struct ledger_rcpt *r;
        unsigned number;

        rest = str_skip(rest, at + strlen(field));
        str_cut(&rest, '\r', &address);
        r = ledger_rcpt(l, str_trim(address), &number);
        at = str_find_str(rest, STR("Action: "));
        if (r == NULL || at == STR_NONE) {
            sim_fail(l->run, "a report names %.*s, which is nobody", STR_ARG(address));
            return;
        }
        rest = str_skip(rest, at + 8);
        str_cut(&rest, '\r', &action);
        r->failed += str_eq(action, STR("failed"));
        r->delayed += str_eq(action, STR("delayed"));
        if (r->failed > 1 || r->delayed > 1) {
            sim_fail(l->run, "%s: its sender was told twice: %.*s", r->address, STR_ARG(action));
        }
    }
}

static enum answered send_one(struct machine *m, struct ledger *l, struct yard_client *client,
                              unsigned number)
{
    struct buf to BUF_LOCAL = {0}, content BUF_LOCAL = {0};
    char from[LEDGER_ADDRESS_MAX];
    struct yard_mail mail;
    enum answered a;

    ledger_mail(l, number, &to, &content, from);
    mail = (struct yard_mail){.from = from, .to = to.ptr, .content = buf_str(&content)};
    a = client_mail(client, &mail, when_after(PATIENCE_MS));
    if (sim_end(m->world) != SIM_RUNNING && a != ANSWERED_TAKEN && a != UNSENT) {
        a = ANSWERED_NOTHING; /* said by a machine that is no more */
    }
    return a;
}

void ledger_client(struct machine *m, const struct ledger_client *k)
{
    struct yard_client client = {0};

    while (k->ledger->count < k->upto && sim_end(m->world) == SIM_RUNNING) {
        unsigned number;
        enum answered a;

        if (client.stream == NULL && !client_open(&client, m, when_after(PATIENCE_MS))) {
            if (fiber_sleep(when_after(50), WHEN_NEVER).code != OK) {
                break;
            }
            continue;
        }
        number = ledger_write(k->ledger, k->domains, k->domain_count, random_u64());
        a = send_one(m, k->ledger, &client, number);
        k->ledger->mail[number].fate = a;
        if (a == ANSWERED_NOTHING || a == UNSENT || (k->leaves && random_below(4) == 0)) {
            client_close(&client, WHEN_NEVER);
        }
        (void)fiber_sleep(when_after((int64_t)random_below((uint64_t)k->pause_ms)), WHEN_NEVER);
    }
    client_close(&client, WHEN_NEVER);
}

void ledger_took(struct ledger *l, unsigned host, const struct play_message *mail)
{
    for (const struct play_rcpt *to = mail->to; to != NULL; to = to->next) {
        unsigned number;
        struct ledger_rcpt *r = ledger_rcpt(l, to->address, &number);
        struct ledger_mail *m = mail_of_sender(l, to->address);

        if (to->refused) {
            continue;
        }
        if (r != NULL) {
            check_content(l, number, mail->content);
            took_rcpt(l, r);
        } else if (m == NULL || host != LEDGER_HOME || mail->sender.len > 0) {
            sim_fail(l->run, "host %u took mail for %.*s, whom nobody wrote to", host,
                     STR_ARG(to->address));
        } else if (is_new_report(m, mail->content)) {
            read_report(l, mail->content);
        }
    }
}

/* ---- what the server says ---- */

void ledger_told(struct ledger *l, const char *event, const struct event_field *f, size_t n)
{
    unsigned number;
    struct ledger_rcpt *r;

    if (strcmp(event, "store_damaged") == 0) {
        l->damaged++;
    } else if (strcmp(event, "store_stopped") == 0 || strcmp(event, "store_full") == 0 ||
               strcmp(event, "result_unstored") == 0) {
        struct ledger_life *life = &l->lives[l->life];

        life->blind_ms = life->blind_ms == INT64_MAX ? clock_date().ms : life->blind_ms;
    } else if ((r = ledger_rcpt(l, field_str(f, n, "rcpt"), &number)) == NULL) {
        return;
    } else if (strcmp(event, "delivery_done") == 0) {
        r->is_done = true;
        r->done_life = l->life;
        r->done_ms = clock_date().ms;
    } else if (strcmp(event, "double_bounce") == 0) {
        r->dropped++;
    } else if (strcmp(event, "rcpt_cancelled") == 0) {
        r->cancelled = true;
    }
}

void ledger_life_ended(struct ledger *l, bool crashed, int64_t at_ms)
{
    l->lives[l->life].crash_ms = crashed ? at_ms : INT64_MAX;
    l->life++;
    must(l->life < LEDGER_LIVES_MAX);
}

/* ---- the judgement ---- */

static bool is_accounted_for(const struct ledger_mail *m, const struct ledger_rcpt *r)
{
    return r->taken > 0 || r->failed > 0 || r->cancelled || (!m->has_sender && r->dropped > 0);
}

void ledger_judge(struct ledger *l)
{
    unsigned lost = 0;

    for (unsigned i = 0; i < l->count; i++) {
        const struct ledger_mail *m = &l->mail[i];

        for (unsigned k = 0; k < m->to_count; k++) {
            const struct ledger_rcpt *r = &m->to[k];

            if (m->fate == UNSENT && (r->taken > 0 || r->failed > 0)) {
                sim_fail(l->run, "%s was served, and its content never sent", r->address);
            }
            if (m->fate != ANSWERED_TAKEN || is_accounted_for(m, r)) {
                continue;
            }
            lost++;
            if (!l->has_rotten) {
                sim_fail(l->run, "%s was answered 250 and is lost", r->address);
            }
        }
    }
    if (lost > 0 && l->damaged == 0) {
        sim_fail(l->run, "%u recipients are lost, and nothing was said", lost);
    }
}
