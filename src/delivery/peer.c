#include "delivery/peer.h"

#include "base/check.h"
#include "base/mem.h"
#include "delivery/events.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/stream.h"
#include "tls/tls.h"

/* An idle link that young is taken for alive: hosts do not hang up so soon. */
enum { WARM_MS = 1000 };

/* ---- outcomes ---- */

static struct str one_line(struct arena *a, struct str text)
{
    struct str kept = str_head(text, RESULT_TEXT_BYTES_MAX);
    char *copy = arena_alloc(a, kept.len + 1);

    for (size_t i = 0; i < kept.len; i++) {
        copy[i] = kept.ptr[i] == '\n' ? ' ' : kept.ptr[i];
    }
    return str_make(copy, kept.len);
}

struct outcome peer_failure(const struct peer_link *k, struct err e, struct arena *a)
{
    const char *stage = client_stage_name(k->client.stage);
    char room[160];
    struct str text = e.code == ERR_PROTOCOL && k->client.fault != NULL
                          ? str_of(k->client.fault)
                          : err_say(e, room, sizeof room);

    return outcome_of(OUTCOME_LATER, e.code == ERR_TLS ? LAST_TLS : LAST_CONNECTION,
                      err_status(e.code), arena_printf(a, "%s: %.*s", stage, STR_ARG(text)),
                      arena_dup(a, k->key.host));
}

struct outcome peer_refusal(const struct peer_link *k, struct arena *a)
{
    const struct reply *said = &k->client.said;

    return (struct outcome){.kind = said->code / 100u == 5 ? OUTCOME_HOST_FAILED
                                                           : OUTCOME_LATER_REPLY,
                            .error = LAST_REPLY,
                            .code = said->code,
                            .esc = said->esc,
                            .text = one_line(a, said->text),
                            .host = arena_dup(a, k->key.host)};
}

/* ---- opening ---- */

static struct peer_link *link_new(const struct peer *key, struct stream *s)
{
    const struct connection_settings *c = key->connection->settings;
    struct peer_link *k = MEM_NEW(struct peer_link);

    k->key = *key;
    k->key.plan = plan_take(key->plan);
    k->key.helo = arena_dup(&k->arena, key->helo);
    k->key.host = arena_dup(&k->arena, key->host);
    k->client.stream = s;
    k->client.helo = k->key.helo;
    k->client.lmtp = key->lmtp;
    k->client.times = (struct client_times){c->greeting_ms, c->ehlo_ms, c->mail_from_ms,
                                            c->rcpt_to_ms, c->data_ms};
    return k;
}

static void link_free(struct peer_link *k)
{
    client_done(&k->client);
    if (k->client.stream != NULL) {
        stream_close(k->client.stream);
    }
    plan_give(k->key.plan);
    arena_done(&k->arena);
    mem_free(k);
}

/* The loop's TLS clients are made when first wanted; each remembers its sessions. */
static struct tls_client *tls_client_for(struct delivery_loop *l, enum peer_tls how)
{
    if (how != PEER_VERIFIED) {
        if (l->opportunistic == NULL) {
            l->opportunistic = tls_client_opportunistic();
        }
        return l->opportunistic;
    }
    if (l->verified == NULL && l->d->options.trust != NULL) {
        l->verified = tls_client_verified(l->d->options.trust);
    }
    return l->verified;
}

/* False: *why was filled. */
static bool handshake(struct delivery_loop *l, struct peer_link *k, struct arena *a,
                      struct outcome *why, struct when by)
{
    struct tls_client *tls = tls_client_for(l, k->key.tls);
    struct str said;
    struct err e;

    if (tls == NULL) {
        *why = outcome_of(OUTCOME_LATER, LAST_TLS, "4.7.5",
                          STR("no authorities are known to verify certificates by"), k->key.host);
        return false;
    }
    e = tls_connect(k->client.stream, tls, k->key.host,
                    when_within(by, k->key.tls_object->settings->handshake_ms));
    if (e.code == OK) {
        return true;
    }
    said = tls_failure(k->client.stream);
    k->client.over = true;
    *why = peer_failure(k, e, a);
    why->error = LAST_TLS;
    if (said.len > 0) {
        why->text = arena_printf(a, "TLS: %.*s", STR_ARG(said));
    }
    return false;
}

enum secured { SECURED, IN_THE_CLEAR, NOT_SECURED, TLS_BROKE };

/* STARTTLS, as the key wants it. NOT_SECURED and TLS_BROKE: *why was filled. */
static enum secured secure(struct delivery_loop *l, struct peer_link *k, struct arena *a,
                           struct outcome *why, struct when by)
{
    bool must_work = k->key.tls >= PEER_ENCRYPTED, yes = false;
    bool must_be = must_work && !k->key.clear_if_not_offered;
    struct err e;

    if (!(k->client.offers & CLIENT_STARTTLS)) {
        if (must_be) {
            *why = outcome_of(OUTCOME_HOST_FAILED, LAST_TLS, "5.7.4",
                              STR("STARTTLS is required here, and not offered by the host"),
                              k->key.host);
        }
        return must_be ? NOT_SECURED : IN_THE_CLEAR;
    }
    e = client_starttls(&k->client, &yes, by);
    if (e.code) {
        *why = peer_failure(k, e, a);
        return must_work ? NOT_SECURED : TLS_BROKE;
    }
    if (!yes) {
        *why = peer_refusal(k, a);
        return must_be || k->client.over ? NOT_SECURED : IN_THE_CLEAR;
    }
    if (!handshake(l, k, a, why, by)) {
        return must_work ? NOT_SECURED : TLS_BROKE;
    }
    e = client_hello(&k->client, &yes, by);
    if (e.code || !yes) {
        *why = e.code ? peer_failure(k, e, a) : peer_refusal(k, a);
        return NOT_SECURED;
    }
    return SECURED;
}

static struct outcome not_told(const char *status, const char *why, const struct peer_link *k)
{
    return outcome_of(OUTCOME_LATER, LAST_REPLY, status, str_of(why), k->key.host);
}

/* Who we are, where the route has credentials: no mail goes without. That they are refused is never
 * for good: it is we who are wrong, and somebody will put it right. */
static bool authenticate(struct peer_link *k, struct arena *a, struct outcome *why, struct when by)
{
    const struct route_settings *r = k->key.auth;
    bool yes = false;
    struct err e;

    if (!tls_describe(k->client.stream).active && !r->allow_plaintext_auth) {
        *why = not_told("4.7.11", "credentials are not sent without TLS (allow-plaintext-auth)", k);
        return false;
    }
    if (k->client.mechanisms == 0) {
        *why = not_told("4.7.4",
                        "credentials are wanted here, and the host offers no way to send "
                        "them that is known",
                        k);
        return false;
    }
    e = client_auth(&k->client, r->auth_username, r->auth_secret.text, &yes, by);
    if (e.code == OK && yes) {
        return true;
    }
    *why = e.code ? peer_failure(k, e, a) : peer_refusal(k, a);
    if (e.code == OK) {
        why->kind = OUTCOME_LATER_REPLY;
        why->text = arena_printf(a, "AUTH: %.*s", STR_ARG(why->text));
    }
    return false;
}

enum opened { OPENED, REFUSED_HERE, REFUSED_BY_HOST, RETRY_IN_THE_CLEAR };

/* Greeting to the last EHLO, and who we are, over a fresh stream. */
static enum opened converse(struct delivery_loop *l, struct peer_link *k, bool in_the_clear,
                            struct arena *a, struct outcome *why, struct when by)
{
    bool yes = false;
    struct err e;

    if (k->key.implicit && !handshake(l, k, a, why, by)) {
        return REFUSED_BY_HOST;
    }
    e = client_greet(&k->client, &yes, by);
    if (e.code || !yes) {
        *why = e.code ? peer_failure(k, e, a) : peer_refusal(k, a);
        return REFUSED_BY_HOST;
    }
    if (!k->key.implicit && !in_the_clear && k->key.tls != PEER_CLEAR) {
        switch (secure(l, k, a, why, by)) {
        case SECURED:
        case IN_THE_CLEAR:
            break;
        case TLS_BROKE:
            return RETRY_IN_THE_CLEAR;
        case NOT_SECURED:
            return REFUSED_BY_HOST;
        }
    }
    return k->key.auth == NULL || authenticate(k, a, why, by) ? OPENED : REFUSED_BY_HOST;
}

static void tell_failed(const struct event_kind *kind, const struct peer *key,
                        const struct outcome *why)
{
    char at[ADDR_BYTES];

    event_raise(kind, f_host(key->host), f_remote(addr_print(&key->to, at)), f_code(why->code),
                f_text(why->text));
}

/* No connection: whose fault it is. */
static struct outcome not_connected(const struct peer *key, struct err e, struct arena *a)
{
    char room[160], at[ADDR_BYTES];
    struct str text = err_say(e, room, sizeof room);
    bool is_ours = e.code == ERR_SOURCE;
    struct str shown = addr_print(is_ours ? &key->source : &key->to, at);
    struct outcome o = outcome_of(OUTCOME_LATER, is_ours ? LAST_IO : LAST_CONNECTION,
                                  err_status(e.code),
                                  arena_printf(a, "connect %s %.*s: %.*s", is_ours ? "from" : "to",
                                               STR_ARG(shown), STR_ARG(text)),
                                  is_ours ? STR("localhost") : key->host);

    o.is_ours = is_ours;
    return o;
}

static enum opened open_once(struct delivery_loop *l, const struct peer *key, bool in_the_clear,
                             struct arena *a, struct peer_link **ret, struct outcome *why,
                             struct when by)
{
    struct stream *s;
    struct peer_link *k;
    struct err e = stream_connect(key->to, key->source, &s,
                                  when_within(by, key->connection->settings->connect_ms));
    enum opened how;

    if (e.code) {
        *why = not_connected(key, e, a);
        return REFUSED_HERE;
    }
    l->connections++;
    k = link_new(key, s);
    how = converse(l, k, in_the_clear, a, why, by);
    if (how == OPENED) {
        k->is_warm = true;
        *ret = k;
    } else {
        why->host = key->host;
        peer_end(l, k);
    }
    return how;
}

struct peer_link *peer_open(struct delivery_loop *l, const struct peer *key, struct arena *a,
                            struct outcome *why, bool *next_host, struct when by)
{
    struct peer_link *k = NULL;
    enum opened how = open_once(l, key, false, a, &k, why, by);

    if (how == RETRY_IN_THE_CLEAR && !fiber_is_cancelled()) {
        must(key->tls == PEER_OPTIONAL);
        tell_failed(&ev_tls_failed, key, why);
        how = open_once(l, key, true, a, &k, why, by);
    }
    if (fiber_is_cancelled() && k == NULL) {
        *why = (struct outcome){0};
        return NULL;
    }
    if (how != OPENED) {
        if (!why->is_ours) {
            shun(l, &key->to);
        }
        tell_failed(why->is_ours ? &ev_source_missing : &ev_connection_failed, key, why);
    }
    if (how == OPENED && l->shunned_count > 0) {
        shun_no_more(l, &key->to);
    }
    *next_host = how != REFUSED_HERE;
    return k;
}

/* ---- idle links ---- */

static bool is_equal(const struct peer *a, const struct peer *b)
{
    return addr_eq(&a->to, &b->to) && addr_eq(&a->source, &b->source) && a->lmtp == b->lmtp &&
           a->implicit == b->implicit && a->tls == b->tls &&
           a->clear_if_not_offered == b->clear_if_not_offered && a->plan == b->plan &&
           a->auth == b->auth && a->connection == b->connection && a->tls_object == b->tls_object &&
           str_eq(a->helo, b->helo) && (a->tls < PEER_VERIFIED || str_eq(a->host, b->host));
}

bool peer_serves(const struct peer_link *k, const struct peer *key)
{
    return !k->client.over && !k->client.spent && is_equal(&k->key, key);
}

static void idle_remove(struct delivery_loop *l, struct peer_link *k)
{
    list_remove(&k->link);
    l->idle_count--;
    l->idle_now = l->idle_count;
}

struct peer_link *peer_take(struct delivery_loop *l, const struct peer *key)
{
    struct link *next;

    for (struct link *at = list_last(&l->idle); at != NULL; at = next) {
        struct peer_link *k = CONTAINER_OF(at, struct peer_link, link);

        next = at->prev == &l->idle.ring ? NULL : at->prev;
        if (!is_equal(&k->key, key)) {
            continue;
        }
        idle_remove(l, k);
        if (client_is_quiet(&k->client)) {
            k->is_warm = clock_now().ns - k->idle_since.ns < WARM_MS * NS_PER_MS;
            l->reuses++;
            return k;
        }
        peer_end(l, k);
    }
    return NULL;
}

void peer_end(struct delivery_loop *l, struct peer_link *k)
{
    client_quit(&k->client);
    limits_disconnect(l, &k->limits);
    link_free(k);
}

void peer_end_all(struct delivery_loop *l)
{
    struct link *at;

    while ((at = list_first(&l->idle)) != NULL) {
        struct peer_link *k = CONTAINER_OF(at, struct peer_link, link);

        idle_remove(l, k);
        peer_end(l, k);
    }
}

/* Ends idle links when their time has come; lives while there are any. */
static void sweep_fiber(void *arg)
{
    struct delivery_loop *l = arg;

    while (!list_is_empty(&l->idle) && !fiber_is_cancelled()) {
        struct when now = clock_now(), soonest = WHEN_NEVER;
        struct link *next;

        for (struct link *at = list_first(&l->idle); at != NULL; at = next) {
            struct peer_link *k = CONTAINER_OF(at, struct peer_link, link);

            next = list_next(&l->idle, at);
            if (k->idle_until.ns <= now.ns) {
                idle_remove(l, k);
                peer_end(l, k);
            } else {
                soonest = when_earlier(soonest, k->idle_until);
            }
        }
        if (!when_is_never(soonest)) {
            (void)fiber_sleep(soonest, WHEN_NEVER);
        }
    }
    l->is_sweeping = false;
}

void peer_rest(struct delivery_loop *l, struct peer_link *k)
{
    const struct delivery_options *o = &l->d->options;
    int64_t idle_ms = k->key.connection->settings->idle_ms;
    uint32_t most = o->idle_max / o->loop_count;

    if (k->client.over || k->client.spent || idle_ms == 0 || most == 0 || k->key.plan != l->plan ||
        fiber_is_cancelled()) {
        peer_end(l, k);
        return;
    }
    if (l->idle_count >= most) {
        struct peer_link *oldest = CONTAINER_OF(list_first(&l->idle), struct peer_link, link);

        idle_remove(l, oldest);
        peer_end(l, oldest);
    }
    client_rest(&k->client);
    k->idle_since = clock_now();
    k->idle_until = when_after(idle_ms);
    list_push(&l->idle, &k->link);
    l->idle_count++;
    l->idle_now = l->idle_count;
    if (!l->is_sweeping) {
        l->is_sweeping = group_spawn_now(&l->group, "idle", sweep_fiber, l).code == OK;
    }
}
