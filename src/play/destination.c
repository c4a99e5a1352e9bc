#include "base/check.h"
#include "base/mem.h"
#include "play/destination_part.h"
#include "play/part.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/stream.h"
#include "tls/tls.h"

enum { US_PER_MS = 1000, NET_BYTES_PER_S = 100 * 1000 * 1000 };

/* ---- addresses ---- */

struct addr destination_addr(const struct destination *d, uint32_t number)
{
    struct addr at = {.family = 4, .port = (uint16_t)d->settings->port, .ip = {10}};

    if (d->settings->address.family != 0) {
        return d->settings->address;
    }
    at.ip[1] = (uint8_t)(d->number + 1);
    at.ip[2] = (uint8_t)(number >> 8);
    at.ip[3] = (uint8_t)number;
    return at;
}

static struct cidr addresses_of(const struct destination *d)
{
    struct addr net = destination_addr(d, 0);
    bool is_one = d->settings->address.family != 0;

    net.port = 0;
    return (struct cidr){.net = net, .bits = (uint8_t)(!is_one ? 16 : net.family == 4 ? 32 : 128)};
}

/* ---- tempers ---- */

int64_t destinations_ms(const struct destinations *d)
{
    return d->has_begun ? (clock_now().ns - d->began.ns) / NS_PER_MS : 0;
}

bool weather_holds(const struct weather *w, int64_t ms)
{
    return ms >= w->settings->from_ms && ms < w->until_ms;
}

static const struct duration_list *latency_at(const struct destination_settings *s,
                                              enum play_stage stage)
{
    const struct duration_list *own = stage == PLAY_AT_CONNECT ? &s->at_connect
                                      : stage == PLAY_AT_RCPT  ? &s->at_rcpt
                                      : stage == PLAY_AT_DOT   ? &s->at_dot
                                                               : &s->latency;

    return own->count > 0 ? own : &s->latency;
}

/* Whether the host's rate has room for one more message. A second's worth may come at once. */
static bool has_room(struct host *h)
{
    const struct rate *r = &h->of->settings->rate_max;
    int64_t now = clock_now().ns / 1000, each;

    if (r->count == 0) {
        return true;
    }
    each = r->period_ms * US_PER_MS / (int64_t)r->count;
    if (h->tokens_from < now - US_PER_MS * 1000) {
        h->tokens_from = now - US_PER_MS * 1000;
    }
    if (h->tokens_from + each > now) {
        return false;
    }
    h->tokens_from += each;
    return true;
}

static const struct play_rule *mood(struct play_peer *p, enum play_stage stage, int64_t *wait_ms)
{
    static const struct play_rule too_fast = {
        .act = PLAY_REFUSE, .code = 451, .text = STR_INIT("4.7.0 Too many messages, slow down")};
    struct host *h = p->ctx;
    const struct destination *d = h->of;
    const struct play_rule *rule = NULL;
    int64_t now = destinations_ms(h->all);

    *wait_ms = spread_ms(latency_at(d->settings, stage), random_u64());
    p->behaviour.drip_ms = h->drip_ms;
    for (size_t i = 0; i < d->weather_count; i++) {
        const struct weather *w = d->weather[i];

        if (!weather_holds(w, now)) {
            continue;
        }
        *wait_ms += w->behaviour.slow_ms;
        if (w->behaviour.drip_ms > 0) {
            p->behaviour.drip_ms = w->behaviour.drip_ms;
        }
        if (rule == NULL) {
            rule = play_rule_at(&w->behaviour, stage, play_dice);
        }
    }
    if (rule == NULL && stage == PLAY_AT_MAIL && !has_room(h)) {
        rule = &too_fast;
    }
    return rule;
}

/* ---- life ---- */

/* For all its names: "*.a.example" where the first label has a number. */
static struct tls_server *certificate_of(const struct destination *d)
{
    const struct str_list *domains = &d->settings->domains;
    struct buf names BUF_LOCAL = {0};

    for (size_t i = 0; i < domains->count; i++) {
        struct str rest = domains->items[i], label;

        str_cut(&rest, '.', &label);
        buf_printf(&names, "%s%.*s.%.*s", i > 0 ? " " : "",
                   STR_ARG(str_find(label, '#') != STR_NONE ? STR("*") : label), STR_ARG(rest));
    }
    return d->settings->starttls
               ? tls_server_sim((struct tls_sim){.names = buf_str(&names), .trusted = true})
               : NULL;
}

struct destinations *destinations_new(const struct scenario *s)
{
    struct destinations *d = MEM_NEW(struct destinations);
    size_t at = 0;

    d->scenario = s;
    d->first = mem_array(s->destination_count + 1, sizeof *d->first);
    for (size_t i = 0; i < s->destination_count; i++) {
        d->first[i] = d->count;
        d->count += s->destinations[i].settings->count;
    }
    d->first[s->destination_count] = d->count;
    d->hosts = mem_array(d->count + 1, sizeof *d->hosts);
    d->tls = mem_array(s->destination_count + 1, sizeof(struct tls_server *));
    for (size_t i = 0; i < s->destination_count; i++) {
        d->tls[i] = certificate_of(&s->destinations[i]);
        for (uint32_t k = 1; k <= s->destinations[i].settings->count; k++) {
            d->hosts[at++] = (struct host){.all = d,
                                           .of = &s->destinations[i],
                                           .number = k,
                                           .drip_ms = s->destinations[i].behaviour.drip_ms};
        }
    }
    return d;
}

void destinations_free(struct destinations *d)
{
    for (size_t i = 0; i < d->scenario->destination_count; i++) {
        tls_server_drop(d->tls[i]);
    }
    mem_free(d->tls);
    mem_free(d->hosts);
    mem_free(d->first);
    mem_free(d);
}

static void set_network(const struct destination *d, struct world *w, enum sim_net_way way)
{
    struct sim_net_rule r = {.to = addresses_of(d),
                             .way = way,
                             .latency_ns = d->settings->network_ms * NS_PER_MS / 2,
                             .jitter_ns = d->settings->network_ms * NS_PER_MS / 20,
                             .bytes_per_s = NET_BYTES_PER_S};

    sim_net_rule(w, &r);
}

void destinations_network(const struct destinations *d, struct world *w)
{
    for (size_t i = 0; i < d->scenario->destination_count; i++) {
        if (d->scenario->destinations[i].kind == DESTINATION_HOSTS) {
            set_network(&d->scenario->destinations[i], w, NET_OPEN);
        }
    }
}

static void host_serves(void *arg)
{
    struct host *h = arg;

    (void)play_accept(h->listener, &h->lane, 1, WHEN_NEVER);
    listener_close(h->listener);
    play_lane_close(&h->lane, WHEN_NEVER);
}

void destinations_open(struct destinations *d, unsigned share, unsigned shares, struct group *g)
{
    for (size_t i = share; i < d->count; i += shares) {
        struct host *h = &d->hosts[i];
        struct play_peer peer = {.behaviour = h->of->behaviour,
                                 .hostname = STR("host.example"),
                                 .lmtp = h->of->settings->lmtp,
                                 .tls = d->tls[h->of->number],
                                 .counts = &h->counts,
                                 .mood = mood,
                                 .ctx = h};

        if (h->of->kind != DESTINATION_HOSTS) {
            continue;
        }
        play_lane_init(&h->lane, &peer, loop_self());
        must(listener_open(destination_addr(h->of, h->number), &h->listener).code == OK);
        must(group_spawn_now(g, "host", host_serves, h).code == OK);
    }
}

/* ---- weather over the network ---- */

struct change {
    struct destinations *all;
    const struct destination *of;
    const struct weather *weather;
};

static bool sleep_until(const struct destinations *d, int64_t ms)
{
    struct when at = when_add(d->began, ms > INT64_MAX / NS_PER_MS ? INT64_MAX : ms * NS_PER_MS);

    return fiber_sleep(at, WHEN_NEVER).code == OK;
}

static void change_fiber(void *arg)
{
    struct change c = *(struct change *)arg;
    struct cidr addresses = addresses_of(c.of);

    mem_free(arg);
    if (!sleep_until(c.all, c.weather->settings->from_ms)) {
        return;
    }
    set_network(c.of, c.all->world, c.weather->settings->way);
    sim_net_cut(c.all->world, &addresses);
    if (sleep_until(c.all, c.weather->until_ms)) {
        set_network(c.of, c.all->world, NET_OPEN);
    }
}

void destinations_begin(struct destinations *d, struct world *w, struct group *g)
{
    d->has_begun = true;
    d->began = clock_now();
    d->world = w;
    for (size_t i = 0; i < d->scenario->destination_count; i++) {
        const struct destination *of = &d->scenario->destinations[i];

        for (size_t k = 0; k < of->weather_count; k++) {
            struct change *c;

            if (of->weather[k]->settings->way == NET_OPEN) {
                continue;
            }
            c = MEM_NEW(struct change);
            *c = (struct change){d, of, of->weather[k]};
            must(group_spawn_now(g, "weather", change_fiber, c).code == OK);
        }
    }
}

struct destination_counts destinations_counts(const struct destinations *d, unsigned number)
{
    struct destination_counts sum = {0};

    for (size_t i = d->first[number]; i < d->first[number + 1]; i++) {
        const struct play_counts *c = &d->hosts[i].counts;

        sum.connections += atomic_load_explicit(&c->connections, memory_order_relaxed);
        sum.open += atomic_load_explicit(&c->open, memory_order_relaxed);
        sum.messages += atomic_load_explicit(&c->messages, memory_order_relaxed);
        sum.refusals += atomic_load_explicit(&c->refusals, memory_order_relaxed);
    }
    return sum;
}
