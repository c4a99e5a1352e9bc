#include "base/mem.h"
#include "base/version.h"
#include "dns/settings.h"
#include "main/filters.h"
#include "main/part.h"
#include "runtime/clock.h"
#include "runtime/interfaces.h"
#include "runtime/log.h"
#include "runtime/notify.h"

/* From start to end, in the order that server.h tells. Whatever fails on the way says so in one
 * event, and everything that was begun is taken down the ordinary way. */

static bool failed(struct server *s, const char *what, struct err e, struct str why)
{
    char text[128];

    if (s->stop) {
        return false; /* told to end before it was up */
    }
    s->exit_status = 1;
    event_raise(&ev_start_failed, f_name(str_of(what)),
                f_text(why.len > 0 ? why : err_say(e, text, sizeof text)));
    return false;
}

/* ---- who is ourselves ---- */

static bool is_own_name(void *ctx, struct str host)
{
    const struct ourselves *us = atomic_load(&((struct server *)ctx)->ourselves);

    return us != NULL && str_eq_nocase(host, us->hostname);
}

static bool is_own_address(void *ctx, const struct addr *at)
{
    const struct ourselves *us = atomic_load(&((struct server *)ctx)->ourselves);

    for (size_t i = 0; us != NULL && i < us->bound_count; i++) {
        if (addr_eq(&us->bound[i], at)) {
            return true;
        }
    }
    return false;
}

/* Bound to all addresses means each that this machine has. */
static void spell_out(struct ourselves *us, const struct addr *bound, size_t count)
{
    struct addr *mine, *all;
    size_t mine_count = interfaces_list(&us->arena, &mine);

    all = arena_array(&us->arena, count * (mine_count + 1), sizeof *all);
    us->bound = all;
    for (size_t i = 0; i < count; i++) {
        all[us->bound_count++] = bound[i];
        for (size_t k = 0; addr_is_any(&bound[i]) && k < mine_count; k++) {
            if (mine[k].family == bound[i].family) {
                all[us->bound_count] = mine[k];
                all[us->bound_count++].port = bound[i].port;
            }
        }
    }
}

void note_ourselves(struct server *s)
{
    struct ourselves *us = MEM_NEW(struct ourselves);
    const struct addr *bound;
    size_t count = inbound_bound(s->inbound, &us->arena, &bound);

    us->older = atomic_load(&s->ourselves);
    us->hostname = arena_dup(&us->arena, s->now.policy->hostname);
    spell_out(us, bound, count);
    atomic_store(&s->ourselves, us);
}

/* ---- start ---- */

static bool start_store(struct server *s)
{
    struct err e = store_ready(s->store, WHEN_NEVER);

    return e.code == OK || failed(s, "store", e, buf_str(&s->store_why));
}

static bool start_resolver(struct server *s)
{
    const struct resolver_settings *set = config_settings(s->now.config, &resolver_table);
    struct buf why BUF_LOCAL = {0};
    struct err e = dns_open(set, &s->dns, &why);

    engine_use_dns(s->engine, s->dns);
    return e.code == OK || failed(s, "resolver", e, buf_str(&why));
}

static void lookup_told(void *ctx, struct str store, enum lookup_news news, struct str text)
{
    static const struct event_kind *const kinds[] = {
        [LOOKUP_AWAY] = &ev_lookup_away,
        [LOOKUP_BACK] = &ev_lookup_back,
        [LOOKUP_FILE_READ] = &ev_lookup_file_read,
        [LOOKUP_FILE_BAD] = &ev_lookup_file_bad,
    };

    (void)ctx;
    event_raise(kinds[news], f_name(store), f_text(text));
}

static bool start_lookups(struct server *s)
{
    struct lookup_options o = {.told = lookup_told};

    s->lookups = lookup_open(s->now.config, &o, WHEN_NEVER);
    s->asker = (struct asker){s->lookups, s->dns};
    queue_use_asker(s->queue, &s->asker);
    admin_use_lookups(s->admin, s->lookups);
    return true;
}

static bool start_deliveries(struct server *s)
{
    struct buf why BUF_LOCAL = {0};
    struct loop *loops[WORKERS_MAX];
    struct delivery_options o = {.loops = loops,
                                 .loop_count = s->worker_count,
                                 .store = s->store,
                                 .dns = s->dns,
                                 .asker = &s->asker,
                                 .hostname = s->now.policy->hostname,
                                 .is_own_name = is_own_name,
                                 .is_own_address = is_own_address,
                                 .ctx = s,
                                 .idle_max = 1000};
    struct err e = tls_trust_load(STR_EMPTY, &s->trust, &why);

    if (e.code != OK) {
        return failed(s, "authorities", e, buf_str(&why));
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        loops[i] = s->workers[i].loop;
    }
    o.trust = s->trust;
    s->delivery = delivery_new(&o, s->now.plan);
    delivery_use_queue(s->delivery, s->queue);
    admin_use_delivery(s->admin, s->delivery);
    filters_use(s->delivery, s->engine, s->now.policy);
    return true;
}

static void start_workers(struct server *s)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        stage_open(&s->workers[i].start);
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        (void)stage_join(&s->workers[i].start, "a worker to start", WHEN_NEVER);
    }
}

/* Mail comes in while what is stored is loaded (P11). Half a queue is none: when it cannot be
 * loaded the server ends, and says why. */
static void await_queue(void *arg)
{
    struct server *s = arg;
    struct err e = queue_ready(s->queue, WHEN_NEVER);

    if (e.code != OK && !s->stop) {
        (void)failed(s, "queue", e, STR_EMPTY);
        s->stop = true;
        signal_raise(&s->wake);
    }
}

static bool start_queue(struct server *s)
{
    struct err e;

    stage_open(&s->queue_start);
    e = group_spawn_now(&s->signals, "loading", await_queue, s);
    return e.code == OK || failed(s, "queue", e, STR_EMPTY);
}

static bool start_listeners(struct server *s)
{
    struct buf why BUF_LOCAL = {0};
    struct err e = inbound_use(s->inbound, policy_share(s->now.policy), &why, WHEN_NEVER);

    if (e.code != OK) {
        return failed(s, "listeners", e, buf_str(&why));
    }
    note_ourselves(s);
    return true;
}

static bool start_admin(struct server *s)
{
    struct buf why BUF_LOCAL = {0};
    struct err e = admin_open(s->admin, config_settings(s->now.config, &admin_table), &why);

    return e.code == OK || failed(s, "admin", e, buf_str(&why));
}

static bool start(struct server *s)
{
    bool ok = start_store(s) && start_resolver(s) && start_lookups(s) && start_deliveries(s);

    start_workers(s); /* in any case: they are taken down together */
    return ok && start_queue(s) && start_admin(s) && start_listeners(s);
}

/* ---- end ---- */

static void end(struct server *s)
{
    struct when cut = when_after(GRACE_MS);

    admin_close(s->admin, WHEN_NEVER);
    inbound_stop(s->inbound, s->is_up ? GRACE_MS : 0, WHEN_NEVER);
    /* Nothing new starts; what runs may finish within what is left of the grace. */
    loop_cancel(s->queue_loop);
    stage_open(&s->queue_start);
    (void)stage_join(&s->queue_end, "the queue to come to rest", cut);
    for (unsigned i = 0; i < s->worker_count; i++) {
        stage_open(&s->workers[i].stop);
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        (void)stage_join(&s->workers[i].stop, "a worker to stop", WHEN_NEVER);
    }
    (void)stage_join(&s->queue_end, "the last results", WHEN_NEVER);
    for (unsigned i = 0; i < s->worker_count; i++) {
        stage_open(&s->workers[i].last);
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        (void)stage_join(&s->workers[i].last, "a worker to end", WHEN_NEVER);
    }
    engine_home_stop(s->engine, WHEN_NEVER); /* nobody asks filters any more */
    loop_cancel(s->store_loop);
    (void)stage_join(&s->store_end, "the store's checkpoint", WHEN_NEVER);
    if (s->lookups != NULL) {
        lookup_close(s->lookups, WHEN_NEVER);
    }
    if (s->dns != NULL) {
        dns_close(s->dns, WHEN_NEVER);
    }
}

static void serve(struct server *s)
{
    while (!s->stop) {
        if (signal_wait(&s->wake, "a signal", WHEN_NEVER).code != OK) {
            return;
        }
        if (s->want_reload) {
            struct buf lines BUF_LOCAL = {0};

            s->want_reload = false;
            (void)reload(s, &lines, WHEN_NEVER);
        }
    }
}

void life(void *arg)
{
    struct server *s = arg;

    event_raise(&ev_server_starting, f_name(STR(POSTYARD_VERSION)));
    if (start(s)) {
        s->is_up = true;
        event_raise(&ev_server_ready, f_config((int64_t)config_number(s->now.config)));
        notify_manager("READY=1");
        serve(s);
        event_raise(&ev_server_stopping, f_count(inbound_sessions(s->inbound)));
        notify_manager("STOPPING=1");
    }
    end(s);
    event_raise(&ev_server_stopped, f_code(s->exit_status));
}
