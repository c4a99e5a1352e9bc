#include "admin/settings.h"
#include "main/filters.h"
#include "main/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/notify.h"
#include "runtime/offload.h"

/* All or nothing: the new snapshot is made whole beside the old one; what can still fail then is
 * opening a listener, which comes first. */

struct reading {
    struct snapshot_source source;
    struct faults faults;
    struct snapshot ret;
    bool ok;
};

static void read_again(void *arg)
{
    struct reading *r = arg;

    r->ok = snapshot_load(&r->source, &r->faults, &r->ret);
}

static struct err use(struct server *s, struct snapshot *new, struct buf *lines, struct when by)
{
    const struct log_settings *log = config_settings(new->config, &log_table);
    struct buf why BUF_LOCAL = {0};
    struct err e = inbound_use(s->inbound, policy_share(new->policy), &why, by);
    struct snapshot old = s->now;

    if (e.code != OK) {
        buf_put(lines, buf_str(&why));
        buf_byte(lines, '\n');
        return e;
    }
    s->now = *new;
    lookup_use(s->lookups, new->config, by); /* before a plan may ask its stores */
    filters_use(s->delivery, s->engine, new->policy);
    delivery_use_plan(s->delivery, new->plan); /* before the queue has jobs prepared under it */
    queue_use_plan(s->queue, plan_take(new->plan));
    note_ourselves(s);
    log_level((enum event_level)log->level);
    snapshot_drop(&old); /* who still uses a part of it has a reference */
    return ERR_OK;
}

struct err reload(struct server *s, struct buf *lines, struct when by)
{
    struct reading r = {.source = s->options.source};
    struct err e = err_of(ERR_CONFIG);

    if (s->reloading || !s->is_up) {
        buf_put(lines, STR("a reload is under way\n"));
        return err_of(ERR_BUSY);
    }
    s->reloading = true;
    notify_manager("RELOADING=1");
    r.source.number = config_number(s->now.config) + 1;
    offload("the configuration", read_again, &r, by);
    if (r.ok) {
        config_compare(s->now.config, r.ret.config, &r.faults);
    }
    faults_print(&r.faults, lines);
    if (r.ok) {
        e = use(s, &r.ret, lines, by);
    }
    if (e.code == OK) {
        event_raise(&ev_server_reloaded, f_config((int64_t)r.source.number));
    } else {
        event_raise(&ev_reload_failed, f_text(buf_str(lines)));
        snapshot_drop(&r.ret);
    }
    faults_done(&r.faults);
    notify_manager("READY=1");
    s->reloading = false;
    return e;
}
