/*
 * The library, and the fiber that drives it.
 *
 * It opens its sockets itself and tells which it waits for; they stand behind one descriptor
 * (watches.h), and one fiber of the pool waits for that and for the library's timer. A caller's
 * fiber starts its own transfer, sleeps until the driver finds it done, and takes it out again. The
 * library runs on the big stack always: certificate checks are deep.
 */
#include "base/mem.h"
#include "http/client_part.h"
#include "runtime/clock.h"

#include <stdlib.h>

enum {
    LOOK_MAX = 64, /* sockets a turn */
    /* The library's buffers of one transfer: the least that it takes of what is sent, and enough of
     * what is read for most answers. A thousand calls under way have a thousand of them. */
    SEND_BYTES_EACH = 16 * 1024,
    READ_BYTES_EACH = 8 * 1024,
};

/* What is set here can fail only by our own mistake, or for want of memory. */
#define SET(easy, option, value) must(curl_easy_setopt((easy), (option), (value)) == CURLE_OK)
#define SET_MULTI(multi, option, value)                                                            \
    must(curl_multi_setopt((multi), (option), (value)) == CURLM_OK)

/* ---- turns of the library ---- */

static void settle(struct client *c)
{
    const CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        void *private = NULL;
        struct exchange *x;

        must(m->msg == CURLMSG_DONE);
        must(curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK);
        x = private;
        x->result = m->data.result;
        x->is_done = true;
        fiber_wake(x->caller);
    }
}

static void act(struct client *c, curl_socket_t fd, int events)
{
    int running;
    CURLMcode code = curl_multi_socket_action(c->multi, fd, events, &running);

    must(code == CURLM_OK);
}

/* The driver is woken when it would come too late. */
static void call_driver(struct client *c)
{
    if (when_earlier(c->timer, c->idle_at).ns < c->waits_until.ns) {
        watches_wake(c->watches);
    }
}

/* What a caller's fiber began goes on at once. */
static void go_on(struct client *c)
{
    act(c, CURL_SOCKET_TIMEOUT, 0);
    settle(c);
    call_driver(c);
}

static void turn(void *arg)
{
    struct client *c = arg;
    struct watches_event events[LOOK_MAX];
    size_t count = watches_take(c->watches, events, LOOK_MAX);

    for (size_t i = 0; i < count; i++) {
        act(c, events[i].fd,
            (events[i].ready & WANT_READ ? CURL_CSELECT_IN : 0) |
                (events[i].ready & WANT_WRITE ? CURL_CSELECT_OUT : 0));
    }
    if (c->timer.ns <= clock_read().ns) {
        c->timer = WHEN_NEVER;
        act(c, CURL_SOCKET_TIMEOUT, 0);
    }
    settle(c);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *unused)
{
    struct client *c = ctx;

    (void)easy;
    (void)unused;
    watches_set(c->watches, fd,
                what == CURL_POLL_IN      ? WANT_READ
                : what == CURL_POLL_OUT   ? WANT_WRITE
                : what == CURL_POLL_INOUT ? WANT_READ | WANT_WRITE
                                          : 0);
    return 0;
}

/* One that is still connecting when it is given up is closed by the library itself. */
static int on_open(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    (void)purpose;
    watches_begin(ctx, fd);
    return CURL_SOCKOPT_OK;
}

static int on_close(void *ctx, curl_socket_t fd)
{
    watches_end(ctx, fd);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *ctx)
{
    struct client *c = ctx;

    (void)multi;
    c->timer = ms < 0 ? WHEN_NEVER : when_add(clock_read(), (int64_t)ms * NS_PER_MS);
    return 0;
}

/* ---- life ---- */

static void open_multi(struct client *c)
{
    long connections = (long)c->options->connections_max;

    c->multi = curl_multi_init();
    must(c->multi != NULL);
    SET_MULTI(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    SET_MULTI(c->multi, CURLMOPT_SOCKETDATA, c);
    SET_MULTI(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    SET_MULTI(c->multi, CURLMOPT_TIMERDATA, c);
    SET_MULTI(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    SET_MULTI(c->multi, CURLMOPT_MAXCONNECTS, connections);
    c->timer = c->idle_at = WHEN_NEVER;
}

static void close_multi(struct client *c)
{
    while (c->kept_count > 0) {
        curl_easy_cleanup(c->kept[--c->kept_count]);
    }
    must(curl_multi_cleanup(c->multi) == CURLM_OK);
}

static void open_library(void *arg)
{
    must(curl_global_init(CURL_GLOBAL_SSL) == CURLE_OK);
    must(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_THREADSAFE);
    open_multi(arg);
}

static void close_library(void *arg)
{
    close_multi(arg);
    curl_global_cleanup();
}

/* The library looks at idle connections only when it wants one, so that those of a pool that rests
 * would stay, also such as the other side has closed. */
static void forget(void *arg)
{
    close_multi(arg);
    open_multi(arg);
}

static void drive(void *arg)
{
    struct client *c = arg;
    struct err e;

    do {
        c->waits_until = when_earlier(c->timer, c->idle_at);
        e = watches_wait(c->watches, "HTTP traffic of calls", c->waits_until);
        c->waits_until = (struct when){0};
        if (e.code != ERR_CANCELLED) {
            on_big_stack(turn, c);
        }
        if (e.code == ERR_TIMEOUT) {
            if (c->idle_at.ns <= clock_now().ns) {
                on_big_stack(forget, c);
            }
            e = fiber_yield(WHEN_NEVER);
        }
    } while (e.code != ERR_CANCELLED);
}

struct err fetch_client_open(const struct fetch_pool_options *o, struct client **ret,
                             struct buf *why)
{
    struct client *c = MEM_NEW(struct client);
    struct err e;

    c->options = o;
    on_big_stack(open_library, c);
    c->watches = watches_open();
    group_init(&c->driver, "HTTP calls", 0);
    *ret = c;
    e = group_spawn_now(&c->driver, "HTTP driver", drive, c);
    if (e.code != OK) {
        buf_printf(why, "HTTP: no stack for another fiber");
    }
    return e;
}

void fetch_client_close(struct client *c, struct when by)
{
    (void)by; /* says that this suspends; children are always joined */
    group_cancel(&c->driver);
    (void)group_join(&c->driver, WHEN_NEVER);
    on_big_stack(close_library, c);
    watches_close(c->watches);
    mem_free(c);
}

/* ---- handles ---- */

/* Rounded up: at its end a connection may still be used. */
static long idle_s(const struct fetch_pool_options *o)
{
    int64_t s = o->idle_ms / 1000 + (o->idle_ms % 1000 > 0);

    return s < 1 ? 1 : s > 86400 ? 86400 : (long)s;
}

static CURLcode give_trust(CURL *easy, void *ssl_ctx, void *ctx)
{
    const struct fetch_trust *t = ctx;

    (void)easy;
    t->give(t->trust, ssl_ctx);
    return CURLE_OK;
}

static void set_trust(CURL *easy, const struct fetch_pool_options *o, struct arena *a)
{
    bool checks = !o->allow_invalid_certs;

    SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(easy, CURLOPT_SSL_VERIFYPEER, checks ? 1L : 0L);
    SET(easy, CURLOPT_SSL_VERIFYHOST, checks ? 2L : 0L);
    SET(easy, CURLOPT_KEYPASSWD, ""); /* or OpenSSL asks on the terminal */
    /* Without a folder the library reads the bundle once, not for each connection. */
    SET(easy, CURLOPT_CAPATH, NULL);
    if (o->trust.give != NULL) {
        SET(easy, CURLOPT_CAINFO, NULL);
        SET(easy, CURLOPT_SSL_CTX_FUNCTION, give_trust);
        SET(easy, CURLOPT_SSL_CTX_DATA, (void *)(uintptr_t)&o->trust);
    } else if (o->ca_file.len > 0) {
        SET(easy, CURLOPT_CAINFO, arena_z(a, o->ca_file));
    }
    if (o->certificate.len > 0) {
        SET(easy, CURLOPT_SSLCERT, arena_z(a, o->certificate));
        SET(easy, CURLOPT_SSLKEY, arena_z(a, o->key));
    }
}

/* What is the same for all calls of a pool. */
static CURL *new_handle(const struct client *c)
{
    const struct fetch_pool_options *o = c->options;
    struct arena a ARENA_LOCAL = {0};
    CURL *easy = curl_easy_init();

    must(easy != NULL);
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_PROXY, ""); /* nor from the environment */
    SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, CURLOPT_PATH_AS_IS, 1L);
    SET(easy, CURLOPT_BUFFERSIZE, (long)READ_BYTES_EACH);
    SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BYTES_EACH);
    SET(easy, CURLOPT_MAXAGE_CONN, idle_s(o));
    SET(easy, CURLOPT_HEADERFUNCTION, exchange_take_head);
    SET(easy, CURLOPT_WRITEFUNCTION, exchange_take_body);
    SET(easy, CURLOPT_READFUNCTION, exchange_give_body);
    SET(easy, CURLOPT_SEEKFUNCTION, exchange_rewind);
    SET(easy, CURLOPT_PREREQFUNCTION, exchange_may_send);
    SET(easy, CURLOPT_SOCKOPTFUNCTION, on_open);
    SET(easy, CURLOPT_SOCKOPTDATA, c->watches);
    SET(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(easy, CURLOPT_CLOSESOCKETDATA, c->watches);
    if (o->socket.len > 0) {
        SET(easy, CURLOPT_UNIX_SOCKET_PATH, arena_z(&a, o->socket));
    }
    set_trust(easy, o, &a);
    return easy;
}

static void set_body(CURL *easy, const struct fetch_request *r, struct arena *a)
{
    bool is_get = str_eq(r->method, STR("GET")), is_head = str_eq(r->method, STR("HEAD"));
    bool has_body = !is_get && !is_head && !(str_eq(r->method, STR("DELETE")) && !r->body.len);

    SET(easy, CURLOPT_HTTPGET, 1L); /* and not what the last call was */
    SET(easy, CURLOPT_CUSTOMREQUEST, is_get || is_head ? NULL : arena_z(a, r->method));
    if (is_head) {
        SET(easy, CURLOPT_NOBODY, 1L);
    } else if (r->source != NULL) {
        SET(easy, CURLOPT_UPLOAD, 1L);
        SET(easy, CURLOPT_INFILESIZE_LARGE,
            r->source->length == FETCH_LENGTH_UNKNOWN ? (curl_off_t)-1
                                                      : (curl_off_t)r->source->length);
    } else if (has_body) {
        SET(easy, CURLOPT_POSTFIELDS, r->body.ptr);
        SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
    }
}

static void add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);

    must(more != NULL);
    *list = more;
}

/* "Name:" takes out a field that the library would send by itself, "Name;" sends an empty one. */
static void set_fields(struct exchange *x, struct arena *a)
{
    bool has_type = false;

    add_line(&x->fields, "Expect:");
    for (size_t i = 0; i < x->request->field_count; i++) {
        const struct fetch_field *f = &x->request->fields[i];
        struct str value = str_trim(f->value);

        has_type = has_type || str_eq_nocase(f->name, STR("Content-Type"));
        add_line(&x->fields,
                 arena_z(a, value.len > 0
                                ? arena_printf(a, "%.*s: %.*s", STR_ARG(f->name), STR_ARG(value))
                                : arena_printf(a, "%.*s;", STR_ARG(f->name))));
    }
    if (!has_type) {
        add_line(&x->fields, "Content-Type:");
    }
    SET(x->easy, CURLOPT_HTTPHEADER, x->fields);
}

/* "host:port:address,address": the library finds the name known and asks nobody. */
static void set_addrs(struct exchange *x, struct arena *a)
{
    struct buf line BUF_LOCAL = {0};
    char text[ADDR_BYTES];

    if (x->addr_count > 0) {
        buf_printf(&line, "%.*s:%u:", STR_ARG(x->request->target->host), x->request->target->port);
        for (size_t i = 0; i < x->addr_count; i++) {
            struct str ip = addr_print_ip(&x->addrs[i], text);

            buf_printf(&line, x->addrs[i].family == 6 ? "%s[%.*s]" : "%s%.*s", i > 0 ? "," : "",
                       STR_ARG(ip));
        }
        add_line(&x->resolve, arena_z(a, buf_str(&line)));
    }
    SET(x->easy, CURLOPT_RESOLVE, x->resolve);
}

/* The library shares what is left among the addresses. */
static long left_ms(struct when by)
{
    int64_t ms = when_is_never(by) ? INT32_MAX : (by.ns - clock_now().ns) / NS_PER_MS;

    return ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : (long)ms;
}

void client_start(void *arg)
{
    struct exchange *x = arg;
    struct client *c = x->client;
    struct arena a ARENA_LOCAL = {0};

    c->calls++;
    c->idle_at = WHEN_NEVER;
    x->easy = c->kept_count > 0 ? c->kept[--c->kept_count] : new_handle(c);
    SET(x->easy, CURLOPT_URL, x->request->target->url);
    SET(x->easy, CURLOPT_PRIVATE, x);
    SET(x->easy, CURLOPT_HEADERDATA, x);
    SET(x->easy, CURLOPT_WRITEDATA, x);
    SET(x->easy, CURLOPT_READDATA, x);
    SET(x->easy, CURLOPT_SEEKDATA, x);
    SET(x->easy, CURLOPT_PREREQDATA, x);
    SET(x->easy, CURLOPT_ERRORBUFFER, x->text);
    SET(x->easy, CURLOPT_FRESH_CONNECT, x->is_fresh ? 1L : 0L);
    SET(x->easy, CURLOPT_CONNECTTIMEOUT_MS, left_ms(x->by));
    set_body(x->easy, x->request, &a);
    set_fields(x, &a);
    set_addrs(x, &a);
    must(curl_multi_add_handle(c->multi, x->easy) == CURLM_OK);
    go_on(c);
}

void client_resume(void *arg)
{
    struct exchange *x = arg;

    if (!x->is_done) {
        (void)curl_easy_pause(x->easy, CURLPAUSE_CONT); /* its error comes with the result */
        go_on(x->client);
    }
}

/* Kept without anything that points into the caller's frame. */
static void keep_handle(struct client *c, CURL *easy)
{
    if (c->kept_count == HANDLES_KEPT_MAX) {
        curl_easy_cleanup(easy);
        return;
    }
    SET(easy, CURLOPT_ERRORBUFFER, NULL);
    SET(easy, CURLOPT_HTTPHEADER, NULL);
    SET(easy, CURLOPT_RESOLVE, NULL);
    SET(easy, CURLOPT_POSTFIELDS, NULL);
    SET(easy, CURLOPT_PRIVATE, NULL);
    c->kept[c->kept_count++] = easy;
}

void client_stop(void *arg)
{
    struct exchange *x = arg;
    struct client *c = x->client;
    long sys = 0;

    (void)curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &x->opened);
    (void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &sys);
    x->sys = (int)sys;
    must(curl_multi_remove_handle(c->multi, x->easy) == CURLM_OK);
    keep_handle(c, x->easy);
    curl_slist_free_all(x->fields);
    curl_slist_free_all(x->resolve);
    x->easy = NULL;
    x->fields = x->resolve = NULL;
    if (--c->calls == 0) {
        c->idle_at = when_after(c->options->idle_ms);
        call_driver(c);
    }
}
