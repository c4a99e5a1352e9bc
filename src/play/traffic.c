#include "play/traffic.h"

#include "base/check.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "store/store.h"

enum { US_PER_MS = 1000, LINE_BYTES = 78, PIECE_BYTES = 64 * 1024 };

/* The messages of one class by its rate, or of one burst. */
struct flow {
    struct traffic *traffic;
    const struct traffic_class *class;
    unsigned class_number;
    const struct burst *burst; /* NULL: by rate */
    uint64_t sent;
    int64_t next_us; /* since the beginning */
};

struct coming {
    int64_t at_us;
    uint64_t number;
};

/* ---- when ---- */

/* The first instant from `ms` on at which the class has a rate; the end when there is none. */
static int64_t next_span(const struct flow *f, int64_t ms)
{
    int64_t first = f->traffic->scenario->duration_ms;

    for (size_t i = 0; i < f->class->rate_count; i++) {
        const struct rate_span *s = &f->class->rates[i];
        int64_t edges[] = {s->from_ms, s->until_ms};

        for (size_t k = 0; k < COUNT_OF(edges); k++) {
            if (edges[k] > ms && edges[k] < first && class_rate(f->class, edges[k]).count > 0) {
                first = edges[k];
            }
        }
    }
    return first;
}

/* False: no more come. */
static bool next(struct flow *f, struct coming *ret)
{
    int64_t end_us = f->traffic->scenario->duration_ms * US_PER_MS;
    struct rate r;
    int64_t gap;

    if (f->burst != NULL) {
        *ret = (struct coming){f->burst->at_ms * US_PER_MS, ++f->sent};
        return f->sent <= f->burst->messages && ret->at_us < end_us;
    }
    r = class_rate(f->class, f->next_us / US_PER_MS);
    if (r.count == 0) {
        f->next_us = next_span(f, f->next_us / US_PER_MS) * US_PER_MS;
        r = class_rate(f->class, f->next_us / US_PER_MS);
    }
    if (f->next_us >= end_us || r.count == 0) {
        return false;
    }
    *ret = (struct coming){f->next_us, ++f->sent};
    gap = r.period_ms * US_PER_MS / (int64_t)r.count;
    f->next_us += 1 + (int64_t)random_below(2 * (uint64_t)(gap > 0 ? gap : 1));
    return true;
}

/* ---- what ---- */

static struct str address_by(const struct pattern_of *p, uint64_t number, struct arena *a)
{
    struct buf out BUF_LOCAL = {0};
    size_t at = str_rfind(p->address, '@');

    for (size_t i = 0; i < p->address.len; i++) {
        char c = p->address.ptr[i];

        if (c != '#') {
            buf_byte(&out, c);
        } else if (at != STR_NONE && i > at) {
            buf_printf(&out, "%llu",
                       (unsigned long long)random_below(p->numbers->settings->count) + 1);
        } else {
            buf_printf(&out, "%llu", (unsigned long long)number);
        }
    }
    return arena_dup(a, buf_str(&out));
}

static const struct pattern_of *choose(const struct traffic_class *c)
{
    uint64_t left = random_below(c->weights);
    size_t i = 0;

    while (left >= c->to[i].weight) {
        left -= c->to[i++].weight;
    }
    return &c->to[i];
}

static struct str filler(void)
{
    static char bytes[PIECE_BYTES];

    if (bytes[0] == 0) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            size_t in_line = i % LINE_BYTES;

            bytes[i] = in_line == LINE_BYTES - 2 ? '\r' : in_line == LINE_BYTES - 1 ? '\n' : 'x';
        }
    }
    return str_make(bytes, sizeof bytes);
}

static uint64_t size_of(const struct traffic_settings *s)
{
    return s->size_max > s->size ? s->size + random_below(s->size_max - s->size + 1) : s->size;
}

static void fill(const struct flow *f, uint64_t number, struct parcel *p)
{
    const struct traffic_settings *s = f->class->settings;
    struct message *m = &p->message;
    struct arena *a = &p->arena;

    m->arrived = clock_date();
    m->source = s->source;
    m->is_trusted = s->trusted;
    m->sender = address_by(&f->class->from, number, a);
    m->priority = (int8_t)s->priority;
    m->client_ip = arena_dup(a, s->client_ip);
    m->client_name = arena_dup(a, s->helo);
    m->listener = arena_dup(a, s->listener);
    m->authenticated_as = arena_dup(a, s->authenticated_as);
    m->to = arena_array(a, s->recipients, sizeof *m->to);
    for (uint32_t i = 0; i < s->recipients; i++) {
        m->to[m->to_count++].address = address_by(choose(f->class), number, a);
    }
    buf_printf(&p->head, "Subject: simulated, %.*s %llu\r\nFrom: <%.*s>\r\n\r\n",
               STR_ARG(f->class->name), (unsigned long long)number, STR_ARG(m->sender));
    m->header_bytes = (uint32_t)p->head.len;
    m->size = size_of(s);
    if (m->size < p->head.len) {
        m->size = p->head.len;
    }
    buf_put(&p->head, str_head(filler(), (m->size < PARCEL_HEAD_MAX ? m->size : PARCEL_HEAD_MAX) -
                                             p->head.len));
}

/* What does not fit into the head goes into the store's log. */
static struct err body_of(const struct flow *f, const struct parcel *p, struct store_body **ret,
                          struct when by)
{
    uint64_t left = p->message.size - p->head.len;
    struct err e = ERR_OK;

    *ret = left > 0 ? store_body_open(f->traffic->store) : NULL;
    while (left > 0 && e.code == OK) {
        struct str piece = str_head(filler(), left < PIECE_BYTES ? (size_t)left : PIECE_BYTES);

        e = store_body_add(*ret, piece, by);
        left -= piece.len;
    }
    if (e.code != OK) {
        store_body_abandon(*ret);
        *ret = NULL;
    }
    return e;
}

static void send(const struct flow *f, const struct coming *c, struct when meant)
{
    struct traffic *t = f->traffic;
    struct parcel *p = parcel_new();
    struct store_body *body;
    struct err e;

    fill(f, c->number, p);
    p->message.id = store_new_id(t->store);
    tally_offer(t->tally, f->class_number, &p->message, meant.ns / 1000);
    e = body_of(f, p, &body, WHEN_NEVER);
    if (e.code == OK) {
        e = queue_accept(t->queue, t->plan, p, body, NULL, 0, WHEN_NEVER);
    }
    tally_accepted(t->tally, f->class_number, &p->message, e.code == OK);
    parcel_drop(p);
}

/* ---- the flows ---- */

static void sender(void *arg)
{
    struct flow *f = arg;
    struct coming c;

    while (next(f, &c)) {
        struct when at = when_add(f->traffic->began, c.at_us * 1000);

        if (at.ns > clock_now().ns && fiber_sleep(at, WHEN_NEVER).code != OK) {
            return;
        }
        if (fiber_is_cancelled()) {
            return;
        }
        send(f, &c, at);
    }
}

static void begin(struct flow *f, struct group *g)
{
    for (unsigned i = 0; i < TRAFFIC_SENDERS; i++) {
        must(group_spawn_now(g, "traffic", sender, f).code == OK);
    }
}

void traffic_begin(struct traffic *t, struct group *g)
{
    size_t count = 0;
    struct flow *f;

    for (size_t i = 0; i < t->scenario->class_count; i++) {
        count += 1 + t->scenario->classes[i].burst_count;
    }
    t->flows = f = mem_array(count, sizeof *t->flows);
    for (size_t i = 0; i < t->scenario->class_count; i++) {
        const struct traffic_class *c = &t->scenario->classes[i];

        *f = (struct flow){.traffic = t, .class = c, .class_number = (unsigned)i};
        begin(f++, g);
        for (size_t k = 0; k < c->burst_count; k++, f++) {
            *f = (struct flow){
                .traffic = t, .class = c, .class_number = (unsigned)i, .burst = &c->bursts[k]};
            begin(f, g);
        }
    }
}

void traffic_free(struct traffic *t)
{
    mem_free(t->flows);
    t->flows = NULL;
}
