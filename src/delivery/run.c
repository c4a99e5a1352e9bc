/*
 * run: a slot's time. One connection at work, as many jobs of a site as the queue gives.
 *
 * 1. Hosts are asked in order, each for the recipients that have no final answer yet (PY-08).
 * 2. Once content was sent no other host is asked for those it was sent for, whatever the answer;
 *    without an answer they may have been taken.
 * 3. Recipients whose connection or TLS decisions differ never share a transaction.
 * 4. A link that has served before and turns out to be dead was no attempt: a fresh one is opened.
 */
#include "base/check.h"
#include "delivery/events.h"
#include "delivery/part.h"
#include "delivery/peer.h"
#include "delivery/run_part.h"
#include "mail/address.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"

/* Recipients of one transaction, or of several after each other with the same peer. */
struct party {
    uint32_t *at; /* positions in the job */
    uint32_t count;
    const struct plan_connection *connection;
    const struct plan_tls *tls;
    const struct plan_source *source; /* NULL: the system chooses */
};

/* ---- decisions for a host and address ---- */

bool tls_is_stronger(const struct plan_tls *a, const struct plan_tls *b)
{
    return a->settings->starttls > b->settings->starttls ||
           (a->settings->starttls == b->settings->starttls && !a->settings->allow_invalid_certs &&
            b->settings->allow_invalid_certs);
}

static struct subject subject_of(const struct run *r, const struct host *h, const struct addr *to,
                                 uint32_t at)
{
    return (struct subject){.message = &r->j->work->parcel->message,
                            .recipient = job_recipient(r->j, at),
                            .facts = {.now = clock_date(), .mx = h->name, .remote_ip = *to}};
}

/* Each host and address is asked anew: what was answered for another does not count here. */
static struct asking asking_of(const struct run *r)
{
    return (struct asking){.asker = r->l->d->options.asker, .arena = &r->j->work->arena};
}

/* There is no decision: the recipient waits, no attempt spent. */
static void undecided(struct run *r, const struct subject *s, const struct decision *d, uint32_t at)
{
    r->j->outcomes[at].text = d->why;
    r->skip[at] = true;
    event_raise(&ev_delivery_waits, f_message(r->j->work->message), f_rcpt(s->recipient->address),
                f_reason(STR("strategy")), f_text(d->why));
}

/* NULL: undecided. */
static const struct plan_connection *connection_for(struct run *r, struct subject *s, uint32_t at,
                                                    struct when by)
{
    const struct plan_connection *ret = r->j->connections[at];
    struct decision d = {0};

    if (ret == NULL) {
        struct asking asking = asking_of(r);

        ret = ask_connection(r->j->work->plan, s, &asking, &r->j->work->arena, &d, by);
    }
    if (ret == NULL) {
        undecided(r, s, &d, at);
    }
    return ret;
}

static const struct plan_tls *tls_for(struct run *r, struct subject *s, uint32_t at, struct when by)
{
    const struct plan_tls *early = r->j->tls[at], *ret = early;
    struct decision d = {0};

    if (plan_is_late(r->j->work->plan, STRATEGY_TLS)) {
        struct asking asking = asking_of(r);

        ret = ask_tls(r->j->work->plan, s, &asking, &r->j->work->arena, &d, by);
        if (ret == NULL) {
            undecided(r, s, &d, at);
        } else if (tls_is_stronger(early, ret)) {
            ret = early;
        }
    }
    return ret;
}

/* By chance; but a connection at hand that would do for it all the same is not left for that. */
static const struct plan_source *source_for(const struct run *r, const struct plan_connection *c,
                                            const struct addr *to)
{
    const struct peer *at_hand = r->link != NULL ? &r->link->key : NULL;

    if (c->source_count == 0) {
        return NULL;
    }
    if (at_hand != NULL && at_hand->connection == c && addr_eq(&at_hand->to, to)) {
        for (size_t i = 0; i < c->source_count; i++) {
            if (addr_eq_ip(&c->sources[i].ip, &at_hand->source)) {
                return &c->sources[i];
            }
        }
    }
    return plan_source_for(c, to->family, random_u64());
}

/* The next recipients that are to be served at this address together; count 0: no more. */
static void party_next(struct run *r, const struct host *h, const struct addr *to,
                       struct party *ret, struct when by)
{
    struct job *j = r->j;

    ret->count = 0;
    for (uint32_t i = 0; i < j->work->to_count; i++) {
        struct subject s;
        const struct plan_connection *connection;
        const struct plan_tls *tls;

        if (outcome_is_final(&j->outcomes[i]) || r->skip[i] || r->tried[i]) {
            continue;
        }
        s = subject_of(r, h, to, i);
        connection = connection_for(r, &s, i, by);
        if (connection == NULL || (ret->count > 0 && connection != ret->connection)) {
            continue;
        }
        if (ret->count == 0) {
            ret->connection = connection;
            ret->source = source_for(r, connection, to);
        }
        s.facts.local_ip = ret->source != NULL ? ret->source->ip : (struct addr){0};
        tls = tls_for(r, &s, i, by);
        if (tls == NULL || (ret->count > 0 && tls != ret->tls)) {
            continue;
        }
        ret->tls = tls;
        r->tried[i] = true;
        ret->at[ret->count++] = i;
    }
}

/* Credentials need more than their mail does. */
static bool needs_tls(const struct route_settings *r)
{
    return r->auth_secret.is_given && !r->allow_plaintext_auth;
}

static enum peer_tls tls_of(const struct route_settings *r, const struct tls_settings *t)
{
    bool any_will_do = t->allow_invalid_certs || r->tls_allow_invalid_certs;
    enum peer_tls sure = any_will_do ? PEER_ENCRYPTED : PEER_VERIFIED;

    if (r->type == ROUTE_RELAY && r->tls_implicit) {
        return r->tls_allow_invalid_certs ? PEER_ENCRYPTED : PEER_VERIFIED;
    }
    switch (t->starttls) {
    case TLS_DISABLE:
        return PEER_CLEAR;
    case TLS_OPTIONAL:
        return needs_tls(r) ? sure : PEER_OPTIONAL;
    case TLS_IF_OFFERED:
    case TLS_REQUIRE:
        return sure;
    }
    never("all policies were named");
}

static struct peer peer_of(const struct run *r, const struct host *h, const struct addr *to,
                           const struct party *p)
{
    const struct route_settings *route = r->j->route->settings;

    return (struct peer){
        .to = *to,
        .source = p->source != NULL ? p->source->ip : (struct addr){0},
        .lmtp = route->type == ROUTE_LOCAL ||
                (route->type == ROUTE_RELAY && route->protocol == PROTOCOL_LMTP),
        .implicit = route->type == ROUTE_RELAY && route->tls_implicit,
        .tls = tls_of(route, p->tls->settings),
        .clear_if_not_offered = p->tls->settings->starttls == TLS_IF_OFFERED && !needs_tls(route),
        .helo = p->source != NULL ? p->source->ehlo_hostname : p->connection->ehlo_hostname,
        .host = h->name,
        .auth = route->auth_secret.is_given ? route : NULL,
        .connection = p->connection,
        .tls_object = p->tls,
        .plan = r->j->work->plan};
}

/* ---- the link ---- */

static void put_away(struct run *r)
{
    if (r->link != NULL) {
        peer_rest(r->l, r->link);
        r->link = NULL;
    }
}

/* The link at hand, an idle one, or a new one; NULL: the party has its outcome. */
static struct peer_link *link_for(struct run *r, const struct peer *key, const struct party *p,
                                  struct when by)
{
    struct job *j = r->j;
    struct outcome why = {0};
    bool next_host = false;

    if (r->link != NULL && peer_serves(r->link, key) && client_is_quiet(&r->link->client)) {
        return r->link;
    }
    put_away(r);
    r->link = peer_take(r->l, key);
    if (r->link == NULL) {
        struct link_limits limits;

        if (!limits_let_connect(r, key, p->at[0], &limits, by)) {
            return NULL; /* other addresses and hosts are asked */
        }
        r->link = peer_open(r->l, key, &j->work->arena, &why, &next_host, by);
        if (r->link != NULL) {
            link_limits_copy(&r->link->limits, &limits, &r->link->arena);
        } else {
            limits_disconnect(r->l, &limits);
        }
    }
    if (r->link == NULL) {
        r->why = why.is_ours ? r->why : why.text;
        for (uint32_t i = 0; i < p->count; i++) {
            outcome_add(&j->outcomes[p->at[i]], &why);
            r->skip[p->at[i]] = next_host;
        }
    }
    return r->link;
}

/* ---- a host, an address, a party ---- */

static uint32_t batch_max(const struct run *r, const struct party *p)
{
    uint32_t most = p->connection->settings->rcpts_per_transaction;
    uint32_t theirs = r->link->client.rcpts_max;

    return theirs > 0 && theirs < most ? theirs : most;
}

/* The connection ended with recipients of the party unasked. Once it took a transaction, another
 * connection will serve them; else they share what befell it, unless another host knows better. */
static void leave_unasked(struct run *r, const struct party *p, bool was_accepted, uint32_t asked)
{
    struct outcome *all = r->j->outcomes;
    bool share = !was_accepted &&
                 (all[asked].kind == OUTCOME_LATER || all[asked].kind == OUTCOME_LATER_REPLY);

    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t to = p->at[i];

        if (outcome_is_final(&all[to]) || r->skip[to]) {
            continue;
        }
        if (share) {
            outcome_add(&all[to], &all[asked]);
        } else {
            r->tried[to] = false;
        }
    }
}

/* Whether a recipient would bring one domain more than the host takes in a transaction. */
static bool is_domain_too_many(const struct run *r, const struct client_mail *m, struct str address)
{
    uint32_t most = r->link->client.domains_max, domains = 0;
    struct str mine = address_domain(address);

    for (uint32_t i = 0; most > 0 && i < m->to_count; i++) {
        struct str domain = address_domain(m->to[i].address);
        bool is_new = true;

        if (str_eq_nocase(domain, mine)) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            is_new = is_new && !str_eq_nocase(domain, address_domain(m->to[k].address));
        }
        domains += is_new;
    }
    return most > 0 && domains >= most;
}

/* Who is in the next transaction; true: others are left for another. */
static bool batch_fill(struct run *r, const struct party *p, struct client_mail *m, uint32_t *at)
{
    struct job *j = r->j;
    uint32_t most = batch_max(r, p);
    bool more = false;

    run_fill_mail(r, m);
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t to = p->at[i];

        if (outcome_is_final(&j->outcomes[to]) || r->skip[to]) {
            continue;
        }
        if (m->to_count == most) {
            return true;
        }
        if (is_domain_too_many(r, m, job_recipient(j, to)->address)) {
            more = true;
            continue;
        }
        run_fill_rcpt(job_recipient(j, to), &m->to[m->to_count]);
        if (!run_is_lacking(r, m, to, &m->to[m->to_count])) {
            at[m->to_count++] = to;
        }
    }
    return more;
}

/* As many transactions as the party needs at this peer. */
static void serve(struct run *r, const struct peer *key, const struct party *p, struct when by)
{
    struct job *j = r->j;
    struct arena *a = &j->work->arena;
    struct client_mail m = {.to = arena_array(a, p->count, sizeof *m.to)};
    uint32_t *at = arena_array(a, p->count, sizeof *at);

    for (bool more = true; more && !fiber_is_cancelled();) {
        if (r->link == NULL && link_for(r, key, p, by) == NULL) {
            return;
        }

        more = batch_fill(r, p, &m, at);
        if (m.to_count == 0) {
            return;
        }

        struct when began = clock_now();
        enum spoken how = run_transact(r, &m, at, by);

        results_part(j, (clock_now().ns - began.ns) / 1000);

        for (uint32_t i = 0; i < m.to_count; i++) {
            more = more || how == SPOKEN_TO_THE_DEAD || m.to[i].fate == CLIENT_LATER;
        }
        if (r->link->client.over) {
            peer_end(r->l, r->link);
            r->link = NULL;
            if (how != SPOKEN_TO_THE_DEAD) {
                leave_unasked(r, p, m.accepted, at[0]);
                more = false;
            }
        } else if (r->link->client.spent) {
            put_away(r);
        }
    }
}

static void ask_host(struct run *r, const struct host *h, struct party *p, struct when by)
{
    struct job *j = r->j;
    uint32_t count = j->work->to_count;

    memset(r->skip, 0, count * sizeof *r->skip);
    for (uint32_t i = 0; i < count && h->addr_count == 0; i++) {
        if (!outcome_is_final(&j->outcomes[i])) {
            outcome_add(&j->outcomes[i], &h->failure);
        }
    }
    for (size_t k = 0; k < h->addr_count && !fiber_is_cancelled(); k++) {
        memset(r->tried, 0, count * sizeof *r->tried);
        while (!fiber_is_cancelled()) {
            r->vigil.ours = true;
            party_next(r, h, &h->addrs[k], p, by);
            r->vigil.ours = false;
            if (p->count == 0) {
                break;
            }

            struct peer key = peer_of(r, h, &h->addrs[k], p);

            if (link_for(r, &key, p, by) != NULL) {
                serve(r, &key, p, by);
            }
        }
    }
}

static bool all_final(const struct job *j)
{
    for (uint32_t i = 0; i < j->work->to_count; i++) {
        if (!outcome_is_final(&j->outcomes[i])) {
            return false;
        }
    }
    return true;
}

static void attempt(struct run *r, struct when by)
{
    struct job *j = r->j;
    struct arena *a = &j->work->arena;
    uint32_t count = j->work->to_count;
    struct party p = {.at = arena_array(a, count, sizeof *p.at)};

    r->skip = arena_array(a, count, sizeof *r->skip);
    r->tried = arena_array(a, count, sizeof *r->tried);
    r->is_accepted = false;
    r->why = STR_EMPTY;
    shun_order(j);
    for (size_t i = 0; i < j->host_count && !all_final(j) && !fiber_is_cancelled(); i++) {
        ask_host(r, &j->hosts[i], &p, by);
    }
    /* What no host can do is a failure for good. */
    for (uint32_t i = 0; i < count; i++) {
        if (j->outcomes[i].kind == OUTCOME_HOST_FAILED) {
            j->outcomes[i].kind = OUTCOME_FAILED;
        }
    }
}

/* Final delivery without a conversation; false: it is not that. Nothing of it is cut for being
 * slow: nobody would know what was done. */
static bool deliver_here(struct run *r, struct when by)
{
    static const bool always = true;
    const struct route_settings *set = r->j->route->settings;
    struct when began = clock_now();

    if (set->type != ROUTE_LOCAL || set->deliver == DELIVER_LMTP) {
        return false;
    }
    r->vigil.sent = &always;
    if (set->deliver == DELIVER_MAILDIR) {
        maildir_deliver(r->j, by);
    } else {
        pipe_deliver(r->j, by);
    }
    r->vigil.sent = NULL;
    r->is_accepted = true;
    slot_accepted(r->j->slot, (clock_now().ns - began.ns) / NS_PER_MS);
    return true;
}

/* One job; false: the slot has ended. */
static bool run_job(struct run *r, struct when by)
{
    struct job *j = r->j;
    struct slot *slot = j->slot;
    struct work *next = NULL;
    struct when began = clock_now();

    if (!deliver_here(r, by)) {
        attempt(r, by);
    }
    r->vigil.ours = true;
    results_of(j, (clock_now().ns - began.ns) / 1000, by);
    r->vigil.ours = false;
    if (fiber_is_cancelled()) {
        if (r->vigil.cut) {
            slot_cut(slot, j->work);
        } else {
            slot_end(slot, j->work);
        }
        return false;
    }
    if (!r->is_accepted && r->why.len > 0) {
        slot_failed(slot, j->work, r->why);
        return false;
    }
    if (slot_next(slot, j->work, &next, by).code || next == NULL) {
        return false;
    }
    r->j = job_of(next);
    r->j->slot = slot;
    r->j->l = r->l;
    return true;
}

void run_fiber(void *arg)
{
    struct job *j = arg;
    struct run r = {.j = j, .l = j->l};

    vigil_begin(j->l, &r.vigil, j->slot);
    while (run_job(&r, WHEN_NEVER)) {
        /* the queue had more for this site */
    }
    vigil_end(&r.vigil);
    put_away(&r);
    buf_done(&r.content);
}
