#include "crowd.h"

#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "store/parcel.h"

#include <stdlib.h>

static int64_t now_us(void)
{
    return clock_now().ns / 1000;
}

void times_init(struct times *t, unsigned size)
{
    *t = (struct times){.size = size};
    t->began_us = mem_array(size, sizeof *t->began_us);
    t->took_us = mem_array(size, sizeof *t->took_us);
}

void times_done(struct times *t)
{
    mem_free(t->began_us);
    mem_free(t->took_us);
    *t = (struct times){0};
}

void times_began(struct times *t, unsigned number)
{
    must(number < t->size);
    t->began_us[number] = now_us();
}

void times_took(struct times *t, unsigned number)
{
    if (number < t->size && t->took_us[number] == 0) {
        t->took_us[number] = now_us() - t->began_us[number];
        t->done++;
    }
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int64_t times_percentile(const struct times *t, unsigned percent)
{
    int64_t *sorted = mem_array(t->size, sizeof *sorted), ret = 0;
    unsigned count = 0;

    for (unsigned i = 0; i < t->size; i++) {
        if (t->took_us[i] != 0) {
            sorted[count++] = t->took_us[i];
        }
    }
    if (count > 0) {
        qsort(sorted, count, sizeof *sorted, by_size);
        ret = sorted[percent >= 100 ? count - 1 : (uint64_t)count * percent / 100];
    }
    mem_free(sorted);
    return ret;
}

bool crowd_number(struct str address, char kind, unsigned *ret)
{
    struct str rest = address, number;
    uint64_t n;

    if (address.len == 0 || address.ptr[0] != kind) {
        return false;
    }
    rest = str_skip(rest, 1);
    str_cut(&rest, '@', &number);
    if (!str_to_u64(number, &n) || n > UINT32_MAX) {
        return false;
    }
    *ret = (unsigned)n;
    return true;
}

void crowd_inject(struct machine *m, enum source source, int priority, const char *from,
                  const char *to, struct when by)
{
    struct parcel *p = parcel_new();
    struct message *n = &p->message;

    n->id = store_new_id(m->store);
    n->arrived = clock_date();
    n->source = source;
    n->is_trusted = true;
    n->priority = (int8_t)priority;
    n->sender = arena_dup(&p->arena, str_of(from));
    n->envid = n->client_ip = n->client_name = n->listener = n->authenticated_as = STR_EMPTY;
    buf_put(&p->head, STR("Subject: x\r\n\r\nhello\r\n"));
    n->size = p->head.len;
    n->header_bytes = 14;
    n->to = ARENA_NEW(&p->arena, struct recipient);
    n->to_count = 1;
    n->to[0].address = arena_dup(&p->arena, str_of(to));
    n->to[0].orcpt = STR_EMPTY;
    n->to[0].state.deadline = DATE_NEVER;
    if (queue_accept(m->queue, m->plan, p, NULL, NULL, 0, by).code != OK &&
        sim_end(m->world) == SIM_RUNNING) {
        sim_fail(m->run, "mail to %s could not be stored", to);
    }
    parcel_drop(p);
}

static void crowd_fiber(void *arg)
{
    struct crowd *c = arg;
    struct yard_client client;
    struct when start = clock_now();

    if (!client_open(&client, c->machine, WHEN_NEVER)) {
        sim_fail(c->machine->run, "a client could not connect");
        return;
    }
    while (c->given < c->count) {
        char to[64];
        unsigned n = c->given++;
        struct yard_mail mail = {
            .from = "", .to = to, .content = STR("Subject: x\r\n\r\nhello\r\n")};

        (void)fiber_sleep(when_add(start, (int64_t)n * c->each_us * 1000), WHEN_NEVER);
        if (c->next(c->machine, n, to) &&
            client_mail(&client, &mail, WHEN_NEVER) != ANSWERED_TAKEN) {
            sim_fail(c->machine->run, "mail to %s was not taken: %u", to, client.code);
            break;
        }
    }
    client_close(&client, WHEN_NEVER);
}

void crowd_send(struct crowd *c, unsigned clients, struct when by)
{
    struct group g;

    group_init(&g, "senders", 0);
    for (unsigned i = 0; i < clients; i++) {
        must(group_spawn_now(&g, "sender", crowd_fiber, c).code == OK);
    }
    (void)group_join(&g, by);
}
