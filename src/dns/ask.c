/*
 * Asking, and reading what the library says. Bytes of servers are judged here and in rdata.c.
 */
#include "base/mem.h"
#include "dns/part.h"
#include "dns/rdata.h"
#include "runtime/clock.h"

#include <unbound.h>

static const struct {
    enum dns_type type;
    const char *name;
} types[] = {
    {DNS_A, "A"},     {DNS_CNAME, "CNAME"}, {DNS_PTR, "PTR"},   {DNS_MX, "MX"},
    {DNS_TXT, "TXT"}, {DNS_AAAA, "AAAA"},   {DNS_TLSA, "TLSA"},
};

static const char *const rcodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                     "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                     "NXRRSET", "NOTAUTH", "NOTZONE"};

const char *dns_type_name(enum dns_type type)
{
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (types[i].type == type) {
            return types[i].name;
        }
    }
    return "?";
}

static void failed(const struct question *q, struct arena *a, struct dns_answer *ret,
                   enum dns_result result, struct str why)
{
    *ret = (struct dns_answer){.result = result, .canonical = STR_EMPTY};
    ret->why = arena_printf(a, "%s %s: %.*s", dns_type_name(q->type), q->name, STR_ARG(why));
}

/* The library's words may quote names as servers sent them: printable ASCII goes on, cut. */
static struct str clean(struct arena *a, const char *text)
{
    struct str s = arena_dup(a, str_head(str_of(text), 200));

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e) {
            ((char *)(uintptr_t)s.ptr)[i] = '?';
        }
    }
    return s;
}

static void take_records(const struct ub_result *r, enum dns_type type, struct arena *a,
                         struct dns_answer *ret)
{
    size_t there = 0, want;

    while (r->data[there] != NULL) {
        there++;
    }
    want = there < DNS_RECORDS_MAX ? there : DNS_RECORDS_MAX;
    ret->records = arena_array(a, want, sizeof *ret->records);
    for (size_t i = 0; i < want; i++) {
        if (r->len[i] >= 0 && rdata_parse(type, str_make(r->data[i], (size_t)r->len[i]), a,
                                          &ret->records[ret->count])) {
            ret->count++;
        }
    }
    ret->left_out = there - ret->count;
    if (r->canonname != NULL && dns_name_is_valid(str_of(r->canonname))) {
        ret->canonical = arena_dup(a, str_of(r->canonname));
        ret->canonical.len -= str_ends(ret->canonical, STR("."));
    }
}

static void judge(const struct question *q, struct arena *a, struct dns_answer *ret)
{
    const struct ub_result *r = q->result;

    if (r == NULL) {
        failed(q, a, ret, DNS_FAILED, str_of(ub_strerror(q->error)));
    } else if (r->bogus) {
        failed(q, a, ret, DNS_BOGUS,
               r->why_bogus != NULL ? clean(a, r->why_bogus) : STR("validation failed"));
    } else if (r->havedata) {
        *ret = (struct dns_answer){.result = DNS_OK, .canonical = STR_EMPTY, .why = STR_EMPTY};
        take_records(r, q->type, a, ret);
    } else if (r->nxdomain) {
        failed(q, a, ret, DNS_NO_NAME, STR("no such name"));
    } else if (r->rcode == 0) {
        failed(q, a, ret, DNS_NO_DATA, STR("the name has no such record"));
    } else {
        failed(q, a, ret, DNS_FAILED,
               (size_t)r->rcode < COUNT_OF(rcodes) ? str_of(rcodes[r->rcode])
                                                   : STR("unknown response code"));
    }
    if (r != NULL) {
        ret->secure = r->secure;
        ret->ttl_s = r->ttl > 0 ? (uint32_t)r->ttl : 0;
    }
}

/* What a handler of a simulation answers passes the same gate as a server's records. */
static void check_sim(struct dns_answer *ret)
{
    size_t kept = 0;

    for (size_t i = 0; i < ret->count; i++) {
        struct str name = ret->records[i].name;

        if (kept < DNS_RECORDS_MAX &&
            (name.len == 0 || str_eq(name, STR(".")) || dns_name_is_valid(name))) {
            ret->records[kept++] = ret->records[i];
        }
    }
    ret->left_out += ret->count - kept;
    ret->count = kept;
}

static struct err finish_sim(struct question *q, struct arena *a, struct dns_answer *ret,
                             struct when by)
{
    struct err e;

    *ret = (struct dns_answer){.result = DNS_OK, .canonical = STR_EMPTY, .why = STR_EMPTY};
    e = q->dns->sim.fn(q->dns->sim.ctx, str_of(q->name), q->type, a, ret, by);
    if (e.code == OK) {
        check_sim(ret);
        if (ret->result != DNS_OK && ret->why.len == 0) {
            failed(q, a, ret, ret->result, STR("simulated"));
        }
    }
    return e;
}

static struct err await_answer(struct question *q, struct when by)
{
    while (!q->is_answered) {
        struct err e = fiber_wait("answer of the resolver", by);

        if (e.code != OK && !q->is_answered) {
            return e;
        }
    }
    return ERR_OK;
}

struct err question_finish(struct question *q, struct arena *a, struct dns_answer *ret,
                           struct when by)
{
    bool is_sim = q->dns->sim.fn != NULL;
    /* A simulated question starts here, a real one has been on its way. */
    struct when until = is_sim ? when_within(by, q->dns->timeout_ms) : when_earlier(by, q->until);
    struct err e = is_sim ? finish_sim(q, a, ret, until) : await_answer(q, until);

    if (e.code == OK && !is_sim) {
        judge(q, a, ret);
    } else if (e.code == ERR_TIMEOUT && until.ns < by.ns) {
        failed(q, a, ret, DNS_FAILED, STR("no answer in time"));
        e = ERR_OK;
    }
    question_give_up(q);
    return e;
}

struct err dns_ask(struct dns *d, struct str name, enum dns_type type, struct arena *a,
                   struct dns_answer *ret, struct when by)
{
    if (!dns_name_is_valid(name)) {
        *ret = (struct dns_answer){.result = DNS_NO_NAME, .canonical = STR_EMPTY};
        ret->why = arena_printf(a, "%s: not a domain name", dns_type_name(type));
        return ERR_OK;
    }
    return question_finish(question_start(d, name, type), a, ret, by);
}
