#include "users.h"

#include "../chance.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

#include <stdio.h>

enum { ERRORS_MAX = 12 };

uint64_t rng_next(struct rng64 *r, uint64_t below)
{
    return chance_below(&r->state, below);
}

static char content_byte(uint64_t id, uint64_t i)
{
    return (char)('a' + (id * 7 + (id >> 22) + i * 31 + i / 251) % 26);
}

static struct rcpt_state state_of(uint32_t version, bool is_over)
{
    return (struct rcpt_state){.version = version,
                               .status = is_over ? RCPT_DELIVERED : RCPT_WAITING,
                               .notice = DATE_NEVER,
                               .expires = DATE_NEVER,
                               .deadline = DATE_NEVER,
                               .queue = STR("remote"),
                               .last = {.text = STR("whatever the peer said")}};
}

static struct parcel *new_parcel(uint64_t id, uint32_t to_count, uint64_t size, enum source source)
{
    struct parcel *p = parcel_new();

    p->message = (struct message){.id = id,
                                  .source = source,
                                  .sender = STR("s@example.com"),
                                  .size = size,
                                  .to = arena_array(&p->arena, to_count, sizeof(struct recipient)),
                                  .to_count = to_count};
    for (uint32_t i = 0; i < to_count; i++) {
        p->message.to[i].address = STR("r@example.org");
        p->message.to[i].state = state_of(1, false);
    }
    for (uint64_t i = 0; i < size && i < PARCEL_HEAD_MAX; i++) {
        buf_byte(&p->head, content_byte(id, i));
    }
    return p;
}

static struct err send_body(struct store *s, const struct parcel *p, struct store_body **ret)
{
    struct store_body *b = store_body_open(s);
    struct buf some = {0};
    struct err e = ERR_OK;

    for (uint64_t i = p->head.len; !e.code && i < p->message.size;) {
        buf_clear(&some);
        while (i < p->message.size && some.len < 30000) {
            buf_byte(&some, content_byte(p->message.id, i++));
        }
        e = store_body_add(b, buf_str(&some), WHEN_NEVER);
    }
    buf_done(&some);
    if (e.code) {
        store_body_abandon(b);
        b = NULL;
    }
    *ret = b;
    return e;
}

/* What an error means for what was asked. After ERR_DISK and ERR_BUSY nobody knows. */
static enum fate fate_of(struct user *u, struct err e)
{
    if (e.code == OK) {
        u->errors = 0;
        return FATE_STORED;
    }
    u->errors += e.code != ERR_FULL;
    return e.code == ERR_DISK || e.code == ERR_BUSY || e.code == ERR_CANCELLED ? FATE_ASKED
                                                                               : FATE_REFUSED;
}

static void keep(struct user *u, struct known *k)
{
    if (k->fate == FATE_STORED) {
        u->run->oracle->accepted++;
        if (u->mine_count == USER_MESSAGES) { /* one is left to its fate */
            u->mine[rng_next(&u->rng, USER_MESSAGES)] = k;
        } else {
            u->mine[u->mine_count++] = k;
        }
    }
}

static uint64_t size_of(struct user *u)
{
    uint64_t kind = rng_next(&u->rng, 100);

    return kind < 4 ? 65000 + rng_next(&u->rng, 200000)
                    : 200 + rng_next(&u->rng, kind < 60 ? 1500 : 9000);
}

static void accept_mail(struct user *u)
{
    struct store *s = u->run->store;
    uint32_t to_count = 1 + (uint32_t)rng_next(&u->rng, ORACLE_RECIPIENTS);
    uint64_t size = size_of(u), id = store_new_id(s);
    struct known *k = oracle_add(u->run->oracle, id, to_count, size);
    struct parcel *p = new_parcel(id, to_count, size, SOURCE_UNAUTHENTICATED);
    struct store_body *body = NULL;
    struct store_commit c = {.messages = &p, .bodies = &body, .message_count = 1};
    struct err e = ERR_OK;

    if (!parcel_is_whole(p)) {
        e = send_body(s, p, &body);
        k->fate = e.code ? FATE_REFUSED : FATE_ASKED;
    }
    if (!e.code && body != NULL && rng_next(&u->rng, 8) == 0) {
        store_body_abandon(body);
        k->fate = FATE_REFUSED;
    } else if (!e.code) {
        k->fate = fate_of(u, store_commit(s, &c, WHEN_NEVER));
        keep(u, k);
    } else {
        u->errors += e.code != ERR_FULL;
    }
    parcel_drop(p);
}

static struct known *pick(struct user *u, uint32_t *index)
{
    struct known *k;

    if (u->mine_count == 0) {
        return NULL;
    }
    k = u->mine[rng_next(&u->rng, u->mine_count)];
    *index = (uint32_t)rng_next(&u->rng, k->to_count);
    return k;
}

static void drop(struct user *u, const struct known *k)
{
    for (uint32_t i = 0; i < u->mine_count; i++) {
        if (u->mine[i] == k) {
            u->mine[i--] = u->mine[--u->mine_count];
        }
    }
}

static void told(struct user *u, struct known *k, uint32_t index, struct err e)
{
    struct told *t = &k->to[index];
    bool is_over = true;

    switch (fate_of(u, e)) {
    case FATE_STORED:
        t->acked = t->posted;
        t->acked_over = t->posted_over;
        break;
    case FATE_REFUSED:
        t->posted = t->acked;
        t->posted_over = t->acked_over;
        if (e.code == ERR_FULL) {
            u->run->results_full++;
        } else {
            oracle_violated(u->run->oracle, k->id, err_name(e.code));
        }
        break;
    case FATE_ASKED:
    case FATE_OVER:
        drop(u, k); /* nobody knows its version now */
        return;
    }
    for (uint32_t i = 0; i < k->to_count; i++) {
        is_over = is_over && k->to[i].acked_over;
    }
    if (is_over) {
        k->fate = FATE_OVER;
        drop(u, k);
    }
}

/* One or more recipients of one message have a result. */
static void record_result(struct user *u)
{
    struct store_change change;
    struct rcpt_state state;
    uint32_t index;
    struct known *k = pick(u, &index);
    struct store_commit c = {.changes = &change, .change_count = 1};
    struct told *t = k ? &k->to[index] : NULL;

    if (k == NULL || t->acked_over) {
        return;
    }
    if (store_room(u->run->store) == STORE_STOPPED) {
        fiber_sleep(when_after(5), WHEN_NEVER); /* no delivery starts now */
        return;
    }
    t->posted_over = rng_next(&u->rng, 100) < 70;
    t->posted++;
    state = state_of(t->posted, t->posted_over);
    change = (struct store_change){k->id, index, t->acked, &state};
    c.lazy = rng_next(&u->rng, 2) == 0;
    told(u, k, index, store_commit(u->run->store, &c, WHEN_NEVER));
}

/* A report, and that it is owed no more: one commit. */
static void send_report(struct user *u)
{
    uint32_t index;
    struct known *of = pick(u, &index), *k;
    struct told *t = of ? &of->to[index] : NULL;
    uint64_t id;
    struct parcel *p;
    struct rcpt_state state;
    struct store_change change;
    struct store_commit c = {
        .messages = &p, .message_count = 1, .changes = &change, .change_count = 1};
    struct err e;

    if (of == NULL || t->acked_over || store_room(u->run->store) == STORE_STOPPED) {
        return;
    }
    id = store_new_id(u->run->store);
    k = oracle_add(u->run->oracle, id, 1, 900);
    p = new_parcel(id, 1, 900, SOURCE_DSN);
    t->posted++;
    t->posted_over = false;
    state = state_of(t->posted, false);
    change = (struct store_change){of->id, index, t->acked, &state};
    k->twin = of;
    k->twin_index = index;
    k->twin_version = t->posted;
    e = store_commit(u->run->store, &c, WHEN_NEVER);
    told(u, of, index, e);
    k->fate = fate_of(u, e);
    if (k->fate != FATE_ASKED) {
        k->twin = NULL;
    }
    keep(u, k);
    parcel_drop(p);
}

static void set_value(struct user *u)
{
    struct value_known *v = &u->run->oracle->values[u->number];
    char name[16], bytes[16];
    struct store_value value = {
        .name = str_make(name, (size_t)snprintf(name, sizeof name, "v%u", u->number))};
    struct store_commit c = {.values = &value, .value_count = 1};

    v->posted = v->posted > v->acked ? v->posted + 1 : v->acked + 1;
    value.bytes = str_make(bytes, (size_t)snprintf(bytes, sizeof bytes, "%u", v->posted));
    if (fate_of(u, store_commit(u->run->store, &c, WHEN_NEVER)) == FATE_STORED) {
        v->acked = v->posted;
    }
}

static void compare(struct user *u, const struct known *k)
{
    struct parcel *p;
    struct buf into = {0};
    struct str run;
    struct err e = store_fetch(u->run->store, k->id, &p, WHEN_NEVER);
    bool is_same = true;

    if (e.code) {
        if (e.code == ERR_NOT_FOUND || e.code == ERR_CORRUPT) {
            u->run->oracle->missing++;
        }
        if (!u->run->oracle->forgives_missing && e.code != ERR_DISK && e.code != ERR_BUSY) {
            oracle_violated(u->run->oracle, k->id, err_name(e.code));
        }
        return;
    }
    for (uint64_t at = 0; !e.code && at < p->message.size; at += run.len) {
        e = store_content(u->run->store, p, at, &into, &run, WHEN_NEVER);
        for (size_t i = 0; !e.code && i < run.len; i++) {
            is_same = is_same && run.ptr[i] == content_byte(k->id, at + i);
        }
    }
    if (!is_same) {
        oracle_violated(u->run->oracle, k->id, "its content is not what was accepted");
    } else if (e.code == ERR_CORRUPT || e.code == ERR_NOT_FOUND) {
        u->run->oracle->missing++;
        if (!u->run->oracle->forgives_missing) {
            oracle_violated(u->run->oracle, k->id, "its content cannot be read");
        }
    }
    buf_done(&into);
    parcel_drop(p);
}

static void read_one(struct user *u)
{
    uint32_t index;
    const struct known *k = pick(u, &index);

    if (k != NULL) {
        compare(u, k);
    }
}

static void operate(struct user *u)
{
    uint64_t kind = rng_next(&u->rng, 100);

    if (kind < (u->run->is_filling ? 70 : 36)) {
        accept_mail(u);
    } else if (kind < 80) {
        record_result(u);
    } else if (kind < 86) {
        send_report(u);
    } else if (kind < 90) {
        set_value(u);
    } else if (kind < 97) {
        read_one(u);
    } else {
        fiber_sleep(when_after((int64_t)rng_next(&u->rng, 30)), WHEN_NEVER);
    }
}

void user_run(void *user)
{
    struct user *u = user;

    for (uint32_t i = 0; i < u->run->operations && u->errors < ERRORS_MAX; i++) {
        if (fiber_is_cancelled()) {
            break;
        }
        operate(u);
        if (u->run->is_filling && store_room(u->run->store) != STORE_ROOM) {
            fiber_sleep(when_after(5), WHEN_NEVER);
        }
    }
}

static void check_values(struct run *r)
{
    for (uint32_t i = 0; i < USERS; i++) {
        struct value_known *v = &r->oracle->values[i];
        struct arena a = {0};
        struct str got = STR_EMPTY;
        uint64_t n = 0;
        struct err e = store_value_read(r->store, arena_printf(&a, "v%u", i), &a, &got, WHEN_NEVER);

        if (e.code == OK || e.code == ERR_NOT_FOUND) {
            if (e.code == OK && !str_to_u64(got, &n)) {
                oracle_violated(r->oracle, 0, "a small value is something else now");
            }
            if ((n < v->acked && !r->oracle->forgives_missing) || n > v->posted) {
                oracle_violated(r->oracle, 0, "a small value was lost, or was never set");
            }
            *v = (struct value_known){(uint32_t)n, (uint32_t)n};
        }
        arena_done(&a);
    }
}

void read_all(struct run *r)
{
    uint64_t after = 0;
    uint32_t count = 0;
    struct err e;

    for (uint32_t i = 0; i < r->oracle->count; i++) {
        r->oracle->all[i]->is_seen = false; /* the machine went down during the last walk */
    }
    do {
        struct arena a = {0};
        struct message *m;

        e = store_walk(r->store, after, 64, &a, &m, &count, WHEN_NEVER);
        for (uint32_t i = 0; !e.code && i < count; i++) {
            oracle_found(r->oracle, &m[i]);
            after = m[i].id;
        }
        arena_done(&a);
    } while (!e.code && count > 0);
    if (e.code || fiber_is_cancelled()) {
        return; /* the machine went down again: judged the next time */
    }
    oracle_judge(r->oracle);
    check_values(r);
    for (uint32_t i = 0; i < r->oracle->count; i++) {
        struct known *k = r->oracle->all[i];

        if (k->fate == FATE_STORED) {
            struct user *u = &r->users[i % USERS];

            if (r->only_checks || rng_next(&r->rng, 4) == 0) {
                compare(u, k);
            }
            keep(u, k);
            r->oracle->accepted--;
        }
    }
}
