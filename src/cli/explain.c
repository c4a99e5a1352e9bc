/*
 * postyard explain: decides for a message that need not exist, and says why.
 */
#include "cli/explain.h"

#include "base/check.h"
#include "cli/commands.h"
#include "cli/snapshot.h"
#include "config/hint.h"
#include "config/units.h"
#include "runtime/clock.h"
#include "smtp/reply.h"

struct given {
    struct str config, from, source, size, priority, error, reply, listener, client_ip, helo, auth,
        mx, remote_ip, local_ip, at;
    struct words to, answers, meta;
    uint64_t attempt;
    bool json, trusted;
};

static bool say(const char *option, struct str value, const char *wants)
{
    cli_say("explain", "--%s takes %s, not %.*s", option, wants, STR_ARG(value));
    return false;
}

/* The number of a word; says which is meant when there is none. */
static bool word_number(const char *option, struct str value, struct str (*name)(unsigned),
                        unsigned count, unsigned *ret)
{
    struct hint_words near = {.given = value};
    struct buf all BUF_LOCAL = {0};

    for (unsigned i = 0; i < count; i++) {
        if (str_eq(name(i), value)) {
            *ret = i;
            return true;
        }
        hint_word_try(&near, name(i));
        buf_printf(&all, "%s%.*s", i > 0 ? ", " : "", STR_ARG(name(i)));
    }
    buf_byte(&all, '\0');
    if (hint_word_found(&near)) {
        cli_say("explain", "--%s: there is no %.*s; did you mean %.*s?", option, STR_ARG(value),
                STR_ARG(near.best));
        return false;
    }
    return say(option, value, all.ptr);
}

static struct str source_at(unsigned i)
{
    return source_name((enum source)i);
}

static struct str error_at(unsigned i)
{
    return last_error_name((enum last_error)i);
}

/* ---- dates ---- */

static bool digits(struct str s, size_t at, size_t count, int64_t *ret)
{
    uint64_t n;

    if (s.len < at + count || !str_to_u64(str_make(s.ptr + at, count), &n)) {
        return false;
    }
    *ret = (int64_t)n;
    return true;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "2026-03-03T10:00:00Z", also with a blank for the T, without seconds and without Z: UTC. */
static bool date_of(struct str s, struct date *ret)
{
    int64_t year, month, day, hour, minute, second = 0;
    struct str rest = str_skip(s, 16);

    if (!digits(s, 0, 4, &year) || !digits(s, 5, 2, &month) || !digits(s, 8, 2, &day) ||
        !digits(s, 11, 2, &hour) || !digits(s, 14, 2, &minute) || s.ptr[4] != '-' ||
        s.ptr[7] != '-' || (s.ptr[10] != 'T' && s.ptr[10] != ' ') || s.ptr[13] != ':' ||
        year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59) {
        return false;
    }
    if (rest.len >= 3 && rest.ptr[0] == ':') {
        if (!digits(rest, 1, 2, &second) || second > 59) {
            return false;
        }
        rest = str_skip(rest, 3);
    }
    *ret = (struct date){((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60000 +
                         second * 1000};
    return rest.len == 0 || str_eq(rest, STR("Z"));
}

/* ---- from options to a message ---- */

/* "451 4.7.1 Try again": what the last attempt heard. */
static bool read_reply(struct explanation *e, struct str reply)
{
    struct last_result *last = &e->failure;
    struct str rest = reply, code, status, part;
    uint64_t n, digit[3];
    int i = 0;

    str_cut(&rest, ' ', &code);
    if (!str_to_u64(code, &n) || n < 400 || n > 599) {
        return say("last-reply", reply, "a reply such as \"451 4.7.1 Try again\"");
    }
    last->error = LAST_REPLY;
    last->code = (uint16_t)n;
    last->text = rest;
    str_cut(&rest, ' ', &status);
    while (i < 3 && status.len > 0) {
        str_cut(&status, '.', &part);
        if (!str_to_u64(part, &digit[i]) || digit[i] > 999) {
            break;
        }
        i++;
    }
    if (i == 3 && status.len == 0 && digit[0] == n / 100) {
        last->esc = (struct enhanced){(uint8_t)digit[0], (uint16_t)digit[1], (uint16_t)digit[2]};
        last->text = rest;
    }
    return true;
}

static bool read_failure(struct explanation *e, const struct given *g)
{
    unsigned error = e->attempt > 1 || g->reply.len > 0 ? LAST_CONNECTION : LAST_NONE;

    if (g->error.len > 0 &&
        !word_number("last-error", g->error, error_at, LAST_ERROR_COUNT, &error)) {
        return false;
    }
    e->failure = (struct last_result){.error = error == LAST_NONE ? LAST_CONNECTION
                                                                  : (enum last_error)error,
                                      .text = STR("no answer"),
                                      .host = g->mx.len > 0 ? g->mx : STR("mx.example")};
    return g->reply.len == 0 || read_reply(e, g->reply);
}

static bool read_ip(const char *option, struct str s, struct addr *ret)
{
    return s.len == 0 || addr_parse_ip(s, ret) || say(option, s, "an IP address");
}

static bool read_message(struct explanation *e, const struct given *g)
{
    struct message *m = &e->message;
    unsigned source = SOURCE_UNAUTHENTICATED;
    int64_t priority = 0;

    if (g->auth.len > 0) {
        source = SOURCE_AUTHENTICATED;
    }
    if (g->source.len > 0 && !word_number("source", g->source, source_at, SOURCE_COUNT, &source)) {
        return false;
    }
    m->source = (enum source)source;
    m->size = 4096;
    if (g->size.len > 0 && !str_to_u64(g->size, &m->size) &&
        size_parse(g->size, &m->size) != UNITS_OK) {
        return say("size", g->size, "a size such as 64KiB");
    }
    if (g->priority.len > 0 &&
        (!str_to_i64(g->priority, &priority) || priority < -9 || priority > 9)) {
        return say("priority", g->priority, "a number from -9 to 9");
    }
    m->priority = (int8_t)priority;
    m->arrived = clock_date();
    if (g->at.len > 0 && !date_of(g->at, &m->arrived)) {
        return say("at", g->at, "a time such as 2026-03-03T10:00:00Z");
    }
    m->sender = str_eq(g->from, STR("<>")) ? STR_EMPTY : g->from;
    m->client_ip = g->client_ip;
    m->client_name = g->helo;
    m->listener = g->listener;
    m->authenticated_as = g->auth;
    m->is_trusted = g->trusted || g->auth.len > 0 || m->source >= SOURCE_DSN;
    m->to = arena_array(e->arena, g->to.count, sizeof *m->to);
    for (size_t i = 0; i < g->to.count; i++) {
        if (address_domain(g->to.items[i]).len == 0) {
            return say("to", g->to.items[i], "an address");
        }
        m->to[m->to_count++].address = g->to.items[i];
    }
    e->facts.mx = g->mx;
    return read_ip("remote-ip", g->remote_ip, &e->facts.remote_ip) &&
           read_ip("local-ip", g->local_ip, &e->facts.local_ip);
}

/* NAME=VALUE, of a name that the configuration declares. */
static bool read_meta(struct explanation *e, const struct given *g)
{
    struct message_policy *policy = ARENA_NEW(e->arena, struct message_policy);
    struct message_meta *meta = arena_array(e->arena, g->meta.count, sizeof *meta);

    for (size_t i = 0; i < g->meta.count; i++) {
        struct str rest = g->meta.items[i], name;
        bool has_value = str_cut(&rest, '=', &name);
        const struct plan_meta *declared = plan_meta(e->plan, name);

        if (!has_value || declared == NULL) {
            return say("meta", g->meta.items[i], "NAME=VALUE of a NAME that `meta` declares");
        }
        if (!meta_read(declared, rest, &meta[i])) {
            cli_say("explain", "--meta %.*s takes a value of type %.*s, not %.*s", STR_ARG(name),
                    STR_ARG(meta_kind_name(declared->kind)), STR_ARG(rest));
            return false;
        }
    }
    if (g->meta.count > 0) {
        policy->meta = meta;
        policy->meta_count = (uint32_t)g->meta.count;
        e->message.policy = policy;
    }
    return true;
}

static bool read_answers(struct explanation *e, const struct given *g)
{
    struct buf why BUF_LOCAL = {0};

    for (size_t i = 0; i < g->answers.count; i++) {
        if (!explain_answer(e, g->answers.items[i], &why)) {
            cli_say("explain", "--answer %.*s: %.*s", STR_ARG(g->answers.items[i]),
                    STR_ARG(buf_str(&why)));
            return false;
        }
    }
    return true;
}

static bool read_given(struct explanation *e, const struct given *g)
{
    if (g->to.count == 0) {
        cli_say("explain", "to whom? give --to ADDRESS, again and again for several");
        return false;
    }
    if (g->attempt == 0 || g->attempt > 10000) {
        cli_say("explain", "--attempt takes a number from 1 to 10000");
        return false;
    }
    e->attempt = g->attempt;
    return read_message(e, g) && read_failure(e, g) && read_answers(e, g);
}

static int decide(struct explanation *e, const struct given *g)
{
    struct buf out BUF_LOCAL = {0}, wrong BUF_LOCAL = {0};
    struct faults faults = {0};
    struct snapshot_source source = {.is_check = true};
    struct snapshot snapshot = {0};
    bool is_missing, is_good;

    source.tables = cli_tables(&source.table_count);
    source.path = cli_config_path(g->config, &is_missing);
    is_good = snapshot_load(&source, &faults, &snapshot);
    e->plan = snapshot.plan;
    if (!is_good) {
        faults_print(&faults, &wrong);
        cli_say("explain", "the configuration has errors:\n%.*s", STR_ARG(buf_str(&wrong)));
    } else if ((is_good = read_meta(e, g))) {
        explain_all(e);
        (g->json ? explain_json : explain_text)(e, &out);
    }
    snapshot_drop(&snapshot);
    faults_done(&faults);
    return is_good && cli_out(buf_str(&out)) ? EXIT_DONE : EXIT_FAILED;
}

int cli_explain(int argc, char **argv)
{
    struct arena a ARENA_LOCAL = {0};
    struct given g = {.attempt = 1};
    struct explanation e = {.arena = &a};
    const struct option_row rows[] = {
        OPTION_CONFIG(&g.config),
        OPTION_JSON(&g.json),
        {.name = "from", .text = &g.from, .value = "ADDRESS", .does = "the sender (<>: nobody)"},
        {.name = "to", .texts = &g.to, .value = "ADDRESS", .does = "a recipient; may be repeated"},
        {.name = "source", .text = &g.source, .value = "WORD", .does = "where it came from"},
        {.name = "size", .text = &g.size, .value = "SIZE", .does = "of the message (4KiB)"},
        {.name = "priority", .text = &g.priority, .value = "N", .does = "MT-PRIORITY, -9 to 9"},
        {.name = "attempt", .number = &g.attempt, .value = "N", .does = "which attempt (1)"},
        {.name = "last-error",
         .text = &g.error,
         .value = "WORD",
         .does = "how the attempts before it failed (connection)"},
        {.name = "last-reply",
         .text = &g.reply,
         .value = "REPLY",
         .does = "what was answered to them: \"451 4.7.1 Try again\""},
        {.name = "at", .text = &g.at, .value = "TIME", .does = "when it was accepted (now)"},
        {.name = "listener", .text = &g.listener, .value = "NAME", .does = "it came in by"},
        {.name = "client-ip", .text = &g.client_ip, .value = "IP", .does = "it came from"},
        {.name = "helo", .text = &g.helo, .value = "NAME", .does = "its client called itself"},
        {.name = "auth", .text = &g.auth, .value = "NAME", .does = "its client logged in as"},
        {.name = "trusted", .flag = &g.trusted, .does = "its client is in a trusted network"},
        {.name = "meta",
         .texts = &g.meta,
         .value = "NAME=VALUE",
         .does = "a filter gave it this value; may be repeated"},
        {.name = "mx", .text = &g.mx, .value = "HOST", .does = "the host chosen, for late rules"},
        {.name = "remote-ip", .text = &g.remote_ip, .value = "IP", .does = "that host's address"},
        {.name = "local-ip", .text = &g.local_ip, .value = "IP", .does = "our address to it"},
        {.name = "answer",
         .texts = &g.answers,
         .value = "CALL=VALUE",
         .does = "of a look-up: key_get('store', 'key')=value"},
    };
    struct words rest;
    int exit;

    if (!cli_options("explain", rows, COUNT_OF(rows), argc, argv, &a, &rest, 0, 0, &exit)) {
        return exit;
    }
    return read_given(&e, &g) ? decide(&e, &g) : EXIT_USAGE;
}
