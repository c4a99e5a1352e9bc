#include "admin/events.h"
#include "admin/json.h"
#include "admin/part.h"
#include "base/check.h"
#include "base/mem.h"
#include "queue/queue.h"
#include "runtime/log.h"
#include "store/store.h"

/* Long enough to walk a deep queue. */
enum { HANDLER_MS = 120000 };

static const struct http_route routes[] = {
    {"GET", "/healthz", admin_health},
    {"GET", "/metrics", admin_metrics},
    {"GET", "/api/v1/queue", admin_queue_list},
    {"GET", "/api/v1/queue/count", admin_queue_count},
    {"GET", "/api/v1/queue/pauses", admin_queue_pauses},
    {"POST", "/api/v1/queue/pause", admin_queue_pause},
    {"POST", "/api/v1/queue/resume", admin_queue_resume},
    {"POST", "/api/v1/queue/*", admin_queue_change},
    {"GET", "/api/v1/queue/*", admin_queue_show},
    {"POST", "/api/v1/messages", admin_own_mail},
    {"POST", "/api/v1/reload", admin_reload},
    {"GET", "/api/v1/fibers", admin_fibers},
    {"GET", "/api/v1/events", admin_events},
};

struct admin *admin_new(const struct admin_options *o)
{
    struct admin *ad = MEM_NEW(struct admin);

    must(o->loop_count <= LOOPS_SHOWN_MAX);
    ad->options = *o;
    for (unsigned i = 0; i < o->loop_count; i++) {
        ad->loops[i] = o->loops[i];
    }
    ad->options.loops = ad->loops;
    ad->options.hostname = arena_dup(&ad->arena, o->hostname);
    list_init(&ad->followers);
    return ad;
}

static void tap(void *ctx, const struct event_kind *kind, const struct event_field *fields,
                size_t count)
{
    struct admin *ad = ctx;

    admin_count(ad, kind);
    if (atomic_load_explicit(&ad->follower_count, memory_order_acquire) > 0) {
        admin_tell(ad, kind, fields, count);
    }
}

void admin_watch(struct admin *ad)
{
    log_tap(tap, ad);
}

void admin_use_delivery(struct admin *ad, const struct delivery *delivery)
{
    ad->options.delivery = delivery;
}

void admin_use_lookups(struct admin *ad, const struct lookups *lookups)
{
    ad->options.lookups = lookups;
}

struct err admin_open(struct admin *ad, const struct admin_settings *settings, struct buf *why)
{
    struct http_server_options o = {.bind = settings->bind.items,
                                    .bind_count = settings->bind.count,
                                    .socket = settings->socket,
                                    .socket_mode = settings->socket_group ? 0660 : 0600,
                                    .routes = routes,
                                    .route_count = COUNT_OF(routes),
                                    .ctx = ad,
                                    .handler_ms = HANDLER_MS};
    struct err e;

    ad->home = loop_self();
    ad->settings = (struct admin_settings){
        .token = {arena_dup(&ad->arena, settings->token.text), settings->token.is_given}};
    e = http_server_open(&o, &ad->server, why);
    if (e.code != OK) {
        ad->server = NULL;
        return e;
    }
    for (size_t i = 0; i < settings->bind.count; i++) {
        struct addr at = http_server_addr(ad->server, i);
        char text[ADDR_BYTES];

        event_raise(&ev_admin_listens, f_local(addr_print(&at, text)));
    }
    if (settings->socket.len > 0) {
        event_raise(&ev_admin_listens, f_path(settings->socket));
    }
    return ERR_OK;
}

void admin_close(struct admin *ad, struct when by)
{
    ad->is_closing = true;
    if (ad->server != NULL) {
        http_server_close(ad->server, by);
        ad->server = NULL;
    }
}

void admin_free(struct admin *ad)
{
    arena_done(&ad->arena);
    mem_free(ad);
}

/* ---- small answers ---- */

void admin_health(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = r->ctx;
    enum store_room room = store_room(ad->options.store);

    (void)by; /* whoever can reach us may know whether we are well */
    answer->status = room == STORE_STOPPED ? 503 : 200;
    buf_byte(&answer->body, '{');
    json_text(&answer->body, "status",
              room == STORE_ROOM  ? STR("ok")
              : room == STORE_LOW ? STR("store is low on room: new mail is put off")
                                  : STR("store has failed: restart needed"));
    buf_put(&answer->body, STR("}\n"));
}

void admin_reload(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct admin *ad = admin_enter(r, answer, ADMIN_CHANGES);
    struct buf lines BUF_LOCAL = {0};
    struct err e;

    if (ad == NULL) {
        return;
    }
    e = ad->options.reload(ad->options.ctx, &lines, by);
    answer->status = e.code == OK ? 200 : e.code == ERR_BUSY ? 409 : 422;
    event_raise(&ev_admin_action, f_name(STR("reload")),
                f_text(e.code == OK ? STR("done") : STR("refused")));
    buf_byte(&answer->body, '{');
    json_bool(&answer->body, "reloaded", e.code == OK);
    json_text(&answer->body, "lines", buf_str(&lines));
    buf_put(&answer->body, STR("}\n"));
}
