#include "runtime/sim_wire.h"

#include "base/mem.h"
#include "runtime/stream.h"

#include <errno.h>

/* Harm comes within the first megabyte, at each order of magnitude alike. */
enum { PIECE_BYTES_MAX = 16 * 1024, FATE_BYTES_LOG2 = 20 };

enum piece_kind { PIECE_BYTES, PIECE_END, PIECE_RESET };

struct piece {
    struct link link; /* in coming or here */
    struct when at;
    enum piece_kind kind;
    size_t start, end;
    char bytes[];
};

/* One end of a connection: what its owner reads and writes. */
struct end {
    struct transport transport;
    struct connection *connection;
    struct fiber *waiting;
    unsigned wanted;
    struct list coming, here; /* pieces under way to us; arrived and unread */
    struct alarm arrival;     /* of the first that is coming */
    struct alarm room;        /* the other side learns that we have read */
    size_t taken, told;       /* bytes read; as far as the other side knows */
    uint64_t sent;            /* by us */
    struct when last;         /* arrival of the last that is coming */
    bool closed, ended, reset;
};

struct connection {
    struct link link; /* in sim_world.connections */
    struct sim_world *world;
    struct end ends[2]; /* who connected, who listened */
    struct addr to;
    struct sim_net_rule rule;
    uint64_t reset_after, stall_after; /* bytes both ways; 0: never */
    bool stalled;
};

static struct end *other(struct end *e)
{
    return &e->connection->ends[e == &e->connection->ends[0]];
}

/* ---- pieces on their way ---- */

static bool has_room(struct end *e)
{
    return e->sent - other(e)->told < e->connection->rule.window_bytes;
}

static unsigned ready(struct end *e)
{
    if (e->reset || e->connection->world->dead) {
        return WANT_READ | WANT_WRITE;
    }
    return (e->ended || !list_is_empty(&e->here) ? WANT_READ : 0) |
           (has_room(e) || other(e)->closed ? WANT_WRITE : 0);
}

static void nudge(struct end *e)
{
    if (e->waiting != NULL && ready(e) & e->wanted) {
        fiber_wake_with(e->waiting, OK);
    }
}

static void drop_all(struct list *pieces)
{
    struct link *k;

    while ((k = list_pop(pieces)) != NULL) {
        mem_free(CONTAINER_OF(k, struct piece, link));
    }
}

static void await_first(struct end *e)
{
    struct connection *c = e->connection;
    struct link *k = list_first(&e->coming);

    if (k == NULL || c->stalled) {
        alarm_clear(c->world, &e->arrival);
    } else {
        alarm_set(c->world, &e->arrival, CONTAINER_OF(k, struct piece, link)->at);
    }
}

/* Puts a piece on its way to e. */
static void ship(struct end *e, struct piece *p, size_t bytes)
{
    struct connection *c = e->connection;
    const struct sim_net_rule *r = &c->rule;
    struct when start = e->last.ns > c->world->now.ns ? e->last : c->world->now;
    int64_t travel = r->latency_ns + rng_time(&c->world->rng, r->jitter_ns);
    int64_t queueing = 0;

    if (r->bytes_per_s > 0) {
        queueing = (int64_t)(bytes * (uint64_t)NS_PER_S / r->bytes_per_s);
    }
    /* In order: never before the one ahead. */
    p->at = when_add(c->world->now, travel + queueing);
    start = when_add(start, queueing);
    p->at = p->at.ns > start.ns ? p->at : start;
    e->last = p->at;
    list_push(&e->coming, &p->link);
    await_first(e);
}

static void ship_mark(struct end *e, enum piece_kind kind)
{
    struct piece *p = mem_alloc(sizeof *p);

    p->kind = kind;
    ship(e, p, 40);
}

static void be_reset(struct end *e)
{
    e->reset = true;
    drop_all(&e->coming);
    await_first(e);
    nudge(e);
}

/* A reset travels to e; the bytes before it may or may not arrive. */
static void send_reset(struct end *e)
{
    if (e->reset || e->closed) {
        return;
    }
    if (rng_below(&e->connection->world->rng, 2) == 0) {
        drop_all(&e->coming);
    }
    ship_mark(e, PIECE_RESET);
}

static void arrive(struct end *e, struct piece *p)
{
    if (p->kind == PIECE_RESET) {
        mem_free(p);
        be_reset(e);
    } else if (e->closed) {
        if (p->kind == PIECE_BYTES) {
            send_reset(other(e));
        }
        mem_free(p);
    } else {
        list_push(&e->here, &p->link);
    }
}

static void arrival(struct alarm *a)
{
    struct end *e = CONTAINER_OF(a, struct end, arrival);
    struct link *k;

    while ((k = list_first(&e->coming)) != NULL) {
        struct piece *p = CONTAINER_OF(k, struct piece, link);

        if (p->at.ns > e->connection->world->now.ns) {
            break;
        }
        list_remove(k);
        arrive(e, p);
    }
    await_first(e);
    nudge(e);
}

static void room_told(struct alarm *a)
{
    struct end *e = CONTAINER_OF(a, struct end, room);

    e->told = e->taken;
    nudge(other(e));
}

/* ---- the transport ---- */

static struct end *end_of(struct transport *t)
{
    return CONTAINER_OF(t, struct end, transport);
}

static size_t take(struct end *e, char *at, size_t size)
{
    size_t got = 0;
    struct link *k;

    while (got < size && (k = list_first(&e->here)) != NULL) {
        struct piece *p = CONTAINER_OF(k, struct piece, link);
        size_t n = p->end - p->start;

        if (p->kind == PIECE_END) {
            break;
        }
        n = n < size - got ? n : size - got;
        memcpy(at + got, p->bytes + p->start, n);
        got += n;
        p->start += n;
        if (p->start == p->end) {
            list_remove(k);
            mem_free(p);
        }
    }
    return got;
}

static struct err wire_try_recv(struct transport *t, char *at, size_t size, size_t *got,
                                unsigned *want)
{
    struct end *e = end_of(t);
    struct connection *c = e->connection;
    struct link *k;

    *want = WANT_READ;
    *got = c->world->dead ? 0 : take(e, at, size);
    sim_bill(c->world, *got);
    if (*got > 0) {
        e->taken += *got;
        if (!heap_holds(&e->room.node) && !c->stalled) {
            alarm_set(c->world, &e->room, when_add(c->world->now, c->rule.latency_ns));
        }
        return ERR_OK;
    }
    if (e->reset || c->world->dead) {
        return err_sys(ERR_NETWORK, ECONNRESET);
    }
    k = list_first(&e->here);
    if (k != NULL) {
        list_remove(k);
        mem_free(CONTAINER_OF(k, struct piece, link));
        e->ended = true;
    }
    return e->ended ? err_of(ERR_CLOSED) : ERR_OK;
}

/* The connection's fate, once enough bytes have gone over it. */
static void meet_fate(struct connection *c)
{
    uint64_t moved = c->ends[0].sent + c->ends[1].sent;

    if (c->reset_after > 0 && moved >= c->reset_after) {
        c->reset_after = 0;
        sim_fault(&c->world->world, "net-reset");
        be_reset(&c->ends[0]);
        be_reset(&c->ends[1]);
    }
    if (c->stall_after > 0 && moved >= c->stall_after) {
        c->stall_after = 0;
        sim_fault(&c->world->world, "net-stall");
        c->stalled = true;
        for (int i = 0; i < 2; i++) {
            alarm_clear(c->world, &c->ends[i].arrival);
            alarm_clear(c->world, &c->ends[i].room);
        }
    }
}

static size_t total(const struct iovec *iov, unsigned count)
{
    size_t sum = 0;

    for (unsigned i = 0; i < count; i++) {
        sum += iov[i].iov_len;
    }
    return sum;
}

static void copy_out(char *to, const struct iovec *iov, size_t skip, size_t size)
{
    for (; size > 0; iov++) {
        size_t n = iov->iov_len > skip ? iov->iov_len - skip : 0;

        n = n < size ? n : size;
        if (n > 0) {
            memcpy(to, (const char *)iov->iov_base + skip, n);
        }
        skip = skip > iov->iov_len ? skip - iov->iov_len : 0;
        to += n;
        size -= n;
    }
}

/* How much goes into the next piece: mostly all there is, at times very little. */
static size_t piece_size(struct rng *r, size_t left)
{
    size_t most = left < PIECE_BYTES_MAX ? left : PIECE_BYTES_MAX;

    return rng_below(r, 8) == 0 ? 1 + (size_t)rng_below(r, most) : most;
}

static struct err wire_try_send(struct transport *t, const struct iovec *iov, unsigned count,
                                size_t *sent, unsigned *want)
{
    struct end *e = end_of(t), *there = other(e);
    struct connection *c = e->connection;
    size_t size, room;

    *sent = 0;
    *want = WANT_WRITE;
    if (e->reset || c->world->dead) {
        return err_sys(ERR_CLOSED, ECONNRESET);
    }
    room = has_room(e) ? c->rule.window_bytes - (size_t)(e->sent - there->told) : 0;
    room = there->closed ? SIZE_MAX : room; /* the packet that will bring the reset */
    size = total(iov, count);
    size = size < room ? size : room;
    sim_bill(c->world, size);
    while (*sent < size) {
        size_t n = piece_size(&c->world->rng, size - *sent);
        struct piece *p = mem_alloc_raw(sizeof *p + n);

        *p = (struct piece){.kind = PIECE_BYTES, .end = n};
        copy_out(p->bytes, iov, *sent, n);
        ship(there, p, n);
        *sent += n;
    }
    e->sent += size;
    meet_fate(c);
    return ERR_OK;
}

static struct err wire_wait(struct transport *t, unsigned want, const char *what, struct when by)
{
    struct end *e = end_of(t);
    struct err error = ERR_OK;

    must(e->waiting == NULL);
    e->waiting = fiber_self();
    e->wanted = want;
    while (error.code == OK && !(ready(e) & want)) {
        error = fiber_wait(what, by);
    }
    e->waiting = NULL;
    return error;
}

static void connection_free(struct connection *c)
{
    for (int i = 0; i < 2; i++) {
        alarm_clear(c->world, &c->ends[i].arrival);
        alarm_clear(c->world, &c->ends[i].room);
        drop_all(&c->ends[i].coming);
        drop_all(&c->ends[i].here);
    }
    list_remove(&c->link);
    mem_free(c);
}

static bool has_unread(const struct end *e)
{
    struct link *k = list_first(&e->here);

    return k != NULL && CONTAINER_OF(k, struct piece, link)->kind == PIECE_BYTES;
}

static void wire_close(struct transport *t)
{
    struct end *e = end_of(t), *there = other(e);

    must(e->waiting == NULL);
    must_not(e->closed);
    e->closed = true;
    if (there->closed) {
        connection_free(e->connection);
        return;
    }
    if (has_unread(e)) {
        send_reset(there);
    } else if (!e->reset && !there->reset) {
        ship_mark(there, PIECE_END);
    }
    drop_all(&e->here);
    nudge(there); /* it may write again, if only to learn that nobody listens */
}

static const struct transport_ops wire_ops = {wire_try_recv, wire_try_send, wire_wait, wire_close};

void sim_net_end(struct stream *s)
{
    struct transport *t = stream_transport(s);

    must(t->ops == &wire_ops);
    if (!end_of(t)->reset) {
        ship_mark(other(end_of(t)), PIECE_END);
    }
}

/* ---- connections ---- */

static void end_init(struct end *e, struct connection *c)
{
    e->transport.ops = &wire_ops;
    e->connection = c;
    e->arrival.ring = arrival;
    e->room.ring = room_told;
    list_init(&e->coming);
    list_init(&e->here);
}

static uint64_t fate(struct sim_world *w, uint32_t ppm)
{
    return rng_ppm(&w->rng, ppm)
               ? 1 + rng_below(&w->rng, (uint64_t)1 << rng_below(&w->rng, FATE_BYTES_LOG2 + 1))
               : 0;
}

struct transport *wire_new(struct sim_world *w, struct addr to, const struct sim_net_rule *rule,
                           struct transport **far)
{
    struct connection *c = MEM_NEW(struct connection);

    c->world = w;
    c->to = to;
    c->rule = *rule;
    c->reset_after = fate(w, rule->reset_ppm);
    c->stall_after = fate(w, rule->stall_ppm);
    end_init(&c->ends[0], c);
    end_init(&c->ends[1], c);
    list_push(&w->connections, &c->link);
    *far = &c->ends[1].transport;
    return &c->ends[0].transport;
}

void wire_reset_far(struct transport *t)
{
    send_reset(other(end_of(t)));
}

static void reset_now(struct connection *c)
{
    be_reset(&c->ends[0]);
    be_reset(&c->ends[1]);
}

void sim_net_cut(struct world *world, const struct cidr *to)
{
    struct sim_world *w = sim_of(world);

    LIST_EACH (&w->connections, k) {
        struct connection *c = CONTAINER_OF(k, struct connection, link);

        if (cidr_match(to, &c->to)) {
            sim_fault(world, "net-cut");
            reset_now(c);
        }
    }
}

void wires_crash(struct sim_world *w)
{
    LIST_EACH (&w->connections, k) {
        reset_now(CONTAINER_OF(k, struct connection, link));
    }
}
