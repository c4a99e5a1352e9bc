#include "base/mem.h"
#include "config/config.h"
#include "inbound/events.h"
#include "inbound/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"

#include <errno.h>

static const int64_t rest_ms = 100;

/* Whom a limit by address counts as one: an IPv4 address, an IPv6 network of /64. */
static struct addr client_of(const struct addr *remote)
{
    struct addr c = *remote;

    c.port = 0;
    if (c.family == 6) {
        memset(c.ip + 8, 0, 8);
    }
    return c;
}

static struct str client_key(const struct addr *client)
{
    return str_make((const char *)client, sizeof *client);
}

static uint32_t client_sessions(const struct inbound *in, const struct addr *remote)
{
    struct addr client = client_of(remote);
    const struct client_count *c = map_get(&in->clients, client_key(&client));

    return c != NULL ? c->count : 0;
}

static void client_came(struct inbound *in, const struct addr *remote)
{
    struct addr client = client_of(remote);
    struct client_count *c = map_get(&in->clients, client_key(&client));

    if (c == NULL) {
        c = MEM_NEW(struct client_count);
        c->client = client;
        if (in->clients.count == 0) {
            in->clients.seed = random_u64();
        }
        map_put(&in->clients, client_key(&c->client), c);
    }
    c->count++;
}

void client_left(struct inbound *in, const struct session *s)
{
    struct addr client = client_of(&s->remote);
    struct client_count *c = map_get(&in->clients, client_key(&client));

    must(c != NULL && c->count > 0);
    c->count--;
    if (c->count == 0) {
        map_take(&in->clients, client_key(&client));
        mem_free(c);
    }
}

void clients_free(struct inbound *in)
{
    struct client_count *c;
    size_t at = 0;

    while ((c = map_each(&in->clients, &at)) != NULL) {
        mem_free(c);
    }
    map_done(&in->clients);
}

/* ANSWER_OK, or why this client cannot be served now. */
static enum answer_row admit(const struct inbound *in, const struct addr *remote)
{
    const struct server_settings *limits = in->policy->settings;
    uint64_t held = atomic_load_explicit(&in->place.held, memory_order_relaxed) + parcel_bytes();

    if (in->stopping) {
        return ANSWER_STOPPING;
    }
    if (in->sessions >= limits->sessions_max ||
        (in->sessions_cap > 0 && in->sessions >= in->sessions_cap)) {
        return ANSWER_SESSIONS_MANY;
    }
    if (in->policy->memory_bytes > 0 && held >= in->policy->memory_bytes) {
        return ANSWER_MEMORY;
    }
    if (!policy_is_trusted(in->policy, remote) &&
        client_sessions(in, remote) >= limits->sessions_per_address) {
        return ANSWER_SESSIONS_PEER;
    }
    return ANSWER_OK;
}

static void refuse(struct door *d, struct guest *g, const struct addr *remote, enum answer_row row)
{
    char line[ANSWER_LINE_BYTES], at[ADDR_BYTES];
    struct answer a;

    answer_fixed(&a, row);
    guest_refuse(g, answer_line(&a, line));
    event_raise(&ev_session_refused, f_listener(str_of(d->name)), f_remote(addr_print(remote, at)),
                f_code(a.code), f_text(a.text));
}

static struct worker *least_loaded(struct inbound *in)
{
    struct worker *best = &in->workers[0];

    for (unsigned i = 1; i < in->worker_count; i++) {
        if (in->workers[i].count < best->count) {
            best = &in->workers[i];
        }
    }
    return best;
}

static void welcome(struct door *d, struct guest *g)
{
    struct inbound *in = d->in;
    struct addr remote = guest_remote(g);
    enum answer_row row;
    struct session *s;

    remote = addr_unmap(&remote);
    row = admit(in, &remote);
    if (row != ANSWER_OK) {
        refuse(d, g, &remote, row);
        return;
    }
    s = MEM_NEW(struct session);
    s->guest = g;
    s->remote = remote;
    s->id = ++in->sessions_ever;
    s->submission = d->submission;
    s->starttls = d->starttls;
    s->wishes = d->wishes;
    memcpy(s->listener, d->name, sizeof s->listener);
    s->worker = least_loaded(in);
    s->worker->count++;
    in->sessions++;
    client_came(in, &remote);
    s->connections = client_sessions(in, &remote);
    list_push(&in->all, &s->all);
    s->post.run = session_arrive;
    loop_post(s->worker->loop, &s->post);
}

static void accept_fiber(void *arg)
{
    struct door *d = arg;
    bool resting = false; /* one event for each time it begins */
    struct guest *g;
    struct err e;

    for (;;) {
        e = listener_accept(d->listener, &g, WHEN_NEVER);
        if (e.code == OK) {
            resting = false;
            welcome(d, g);
            continue;
        }
        if (e.code == ERR_CANCELLED) {
            return;
        }
        /* Out of descriptors, or a client that left in the queue of the kernel: never spin. */
        if (e.code == ERR_LIMIT && !resting) {
            resting = true;
            event_raise(&ev_listener_rests, f_listener(str_of(d->name)), f_count(d->in->sessions));
        }
        if (fiber_sleep(when_after(rest_ms), WHEN_NEVER).code != OK) {
            return;
        }
    }
}

static struct door *door_find(struct inbound *in, const struct addr *bind)
{
    LIST_EACH (&in->doors, k) {
        struct door *d = CONTAINER_OF(k, struct door, link);

        if (addr_eq(&d->bind, bind)) {
            return d;
        }
    }
    return NULL;
}

static void door_settings(struct door *d, const struct config_object *o)
{
    const struct listener_settings *l = o->settings;

    must(o->name.len <= NAME_BYTES_MAX);
    memset(d->name, 0, sizeof d->name);
    memcpy(d->name, o->name.ptr, o->name.len);
    d->submission = l->submission;
    d->starttls = l->starttls;
    d->wishes = l->wishes;
    d->wanted = true;
}

/* A machine without IPv6 is no reason not to start where nobody asked for it by hand. */
static bool may_miss(const struct config_object *o, const struct addr *bind, struct err e)
{
    return o->is_builtin && bind->family == 6 && (e.sys == EAFNOSUPPORT || e.sys == EADDRNOTAVAIL);
}

static struct err door_open(struct inbound *in, const struct config_object *o,
                            const struct addr *bind, struct list *opened, struct buf *why)
{
    struct listener *listener;
    char at[ADDR_BYTES], text[128];
    struct err e = listener_open(*bind, &listener);

    if (e.code) {
        if (may_miss(o, bind, e)) {
            return ERR_OK;
        }
        buf_printf(why, "listener %.*s: cannot bind %.*s: %.*s", STR_ARG(o->name),
                   STR_ARG(addr_print(bind, at)), STR_ARG(err_say(e, text, sizeof text)));
        return e;
    }
    struct door *d = MEM_NEW(struct door);

    d->in = in;
    d->listener = listener;
    d->bind = *bind;
    group_init(&d->group, "listener", 1);
    door_settings(d, o);
    list_push(opened, &d->link);
    return ERR_OK;
}

static bool any_declared(const struct config_object *o, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!o[i].is_builtin) {
            return true;
        }
    }
    return false;
}

static void door_free(struct door *d)
{
    listener_close(d->listener);
    mem_free(d);
}

/* New ones begin to accept only when all could be had. */
static void doors_begin(struct inbound *in, struct list *opened)
{
    struct link *k;

    while ((k = list_pop(opened)) != NULL) {
        struct door *d = CONTAINER_OF(k, struct door, link);
        struct addr local = listener_addr(d->listener);
        char at[ADDR_BYTES];

        list_push(&in->doors, k);
        must(group_spawn_now(&d->group, "accept", accept_fiber, d).code == OK);
        event_raise(&ev_listener_opened, f_listener(str_of(d->name)),
                    f_local(addr_print(&local, at)));
    }
}

struct err doors_use(struct inbound *in, const struct policy *policy, struct buf *why)
{
    size_t count;
    const struct config_object *o = config_objects(policy->config, &listeners_table, &count);
    bool declared = any_declared(o, count);
    struct list opened;
    struct link *k;
    struct err e = ERR_OK;

    list_init(&opened);
    for (size_t i = 0; i < count && !e.code; i++) {
        const struct listener_settings *l = o[i].settings;

        for (size_t j = 0; j < l->bind.count && !e.code && declared != o[i].is_builtin; j++) {
            if (door_find(in, &l->bind.items[j]) == NULL) {
                e = door_open(in, &o[i], &l->bind.items[j], &opened, why);
            }
        }
    }
    if (e.code) {
        while ((k = list_pop(&opened)) != NULL) {
            door_free(CONTAINER_OF(k, struct door, link));
        }
        return e;
    }
    LIST_EACH (&in->doors, old) {
        CONTAINER_OF(old, struct door, link)->wanted = false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct listener_settings *l = o[i].settings;

        for (size_t j = 0; j < l->bind.count && declared != o[i].is_builtin; j++) {
            struct door *d = door_find(in, &l->bind.items[j]);

            if (d != NULL) {
                door_settings(d, &o[i]);
            }
        }
    }
    doors_begin(in, &opened);
    return ERR_OK;
}

void doors_close_unwanted(struct inbound *in, struct when by)
{
    struct link *next;

    for (struct link *k = list_first(&in->doors); k != NULL; k = next) {
        struct door *d = CONTAINER_OF(k, struct door, link);
        char at[ADDR_BYTES];

        next = list_next(&in->doors, k);
        if (d->wanted) {
            continue;
        }
        list_remove(k);
        group_cancel(&d->group);
        (void)group_join(&d->group, by);
        event_raise(&ev_listener_closed, f_listener(str_of(d->name)),
                    f_local(addr_print(&d->bind, at)));
        door_free(d);
    }
}
