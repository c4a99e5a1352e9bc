/*
 * One request, from its first byte to its last.
 *
 *  1. The library calls us for the head, for each piece of the body, and once more when all is
 *     there. Then the connection is suspended, a fiber runs the handler, and resuming makes the
 *     library call once more, for the answer.
 *  2. A suspended connection is never completed by the library, so a plain handler's call cannot
 *     go away under it. A pushed body is sent by the library while the handler runs: then either
 *     may end first, and the second one frees.
 */
#include "base/event.h"
#include "base/mem.h"
#include "http/part.h"
#include "http/route.h"
#include "runtime/clock.h"
#include "runtime/socket.h"

enum { PIECE_BYTES = 16 * 1024 };

struct refusal {
    int status;
    const char *text;
};

static const struct refusal bad_path = {MHD_HTTP_BAD_REQUEST, "wrong percent-encoding in the path"},
                            bad_fields = {MHD_HTTP_BAD_REQUEST,
                                          "fields that say two things about one request"},
                            no_path = {MHD_HTTP_NOT_FOUND, "there is nothing at this path"},
                            no_method = {MHD_HTTP_METHOD_NOT_ALLOWED,
                                         "this path does not take that method"},
                            too_large = {MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large"},
                            too_busy = {MHD_HTTP_SERVICE_UNAVAILABLE,
                                        "too many requests are being served"};

static void call_free(struct call *c)
{
    for (unsigned i = 0; i < c->header_count; i++) {
        mem_free(c->headers[i].value);
    }
    buf_done(&c->answer.body);
    buf_done(&c->body);
    buf_done(&c->allow);
    buf_done(&c->out);
    arena_done(&c->arena);
    mem_free(c);
}

static void suspend(struct call *c)
{
    c->is_suspended = true;
    MHD_suspend_connection(c->connection);
}

static void resume(struct call *c)
{
    if (c->is_suspended) {
        c->is_suspended = false;
        MHD_resume_connection(c->connection);
        door_has_work(c->door);
    }
}

size_t call_unescape(void *ctx, struct MHD_Connection *connection, char *text)
{
    (void)ctx;
    (void)connection;
    return strlen(text); /* url_decode does it, after the path has been cut into parts */
}

/* ---- the answer ---- */

void http_answer_header(struct http_answer *a, const char *name, const char *value)
{
    struct call *c = CONTAINER_OF(a, struct call, answer);

    must(c->header_count < HTTP_HEADERS_MAX);
    c->headers[c->header_count].name = name;
    c->headers[c->header_count++].value = mem_dup_z(value, strlen(value));
}

void http_answer_error(struct http_answer *a, int status, struct str text)
{
    a->status = status;
    a->type = "application/json";
    buf_clear(&a->body);
    buf_put(&a->body, STR("{\"error\":"));
    json_str(&a->body, text);
    buf_put(&a->body, STR("}\n"));
}

static enum MHD_Result send_response(struct call *c, struct MHD_Response *response)
{
    enum MHD_Result done;

    must(response != NULL);
    must(MHD_add_response_header(response, "Content-Type", c->answer.type) == MHD_YES);
    must(MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES);
    for (unsigned i = 0; i < c->header_count; i++) {
        must(MHD_add_response_header(response, c->headers[i].name, c->headers[i].value) == MHD_YES);
    }
    done = MHD_queue_response(c->connection, (unsigned)c->answer.status, response);
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result send_whole(struct call *c)
{
    struct buf *b = &c->answer.body;
    char *bytes = b->ptr;
    size_t len = b->len;

    must_not(b->failed);
    *b = (struct buf){0};
    return send_response(
        c, bytes == NULL
               ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
               : MHD_create_response_from_buffer_with_free_callback(len, bytes, mem_free));
}

static enum MHD_Result send_refusal(struct call *c, const struct refusal *why)
{
    http_answer_error(&c->answer, why->status, str_of(why->text));
    if (why == &no_method) {
        buf_byte(&c->allow, '\0');
        http_answer_header(&c->answer, "Allow", c->allow.ptr);
    }
    return send_whole(c);
}

/* ---- a pushed body ---- */

static ssize_t read_pushed(void *ctx, uint64_t offset, char *at, size_t size)
{
    struct call *c = ctx;
    size_t n = c->out.len - c->out_sent;

    (void)offset;
    if (n == 0) {
        if (c->is_returned) {
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
        suspend(c);
        return 0;
    }
    n = n < size ? n : size;
    memcpy(at, c->out.ptr + c->out_sent, n);
    c->out_sent += n;
    if (c->out_sent == c->out.len) {
        buf_clear(&c->out);
        c->out_sent = 0;
        signal_raise(&c->room);
    }
    return (ssize_t)n;
}

struct err http_push(struct http_answer *a, struct str bytes, struct when by)
{
    struct call *c = CONTAINER_OF(a, struct call, answer);
    struct err e;

    must(a->body.len == 0);
    c->is_pushed = true;
    while (!c->is_completed && c->out.len - c->out_sent > HTTP_UNSENT_MAX) {
        e = signal_wait(&c->room, "the client to read", by);
        if (e.code != OK) {
            return e;
        }
    }
    if (c->is_completed) {
        return err_of(ERR_CLOSED);
    }
    buf_put(&c->out, bytes);
    resume(c);
    return fiber_is_cancelled() ? err_of(ERR_CANCELLED) : ERR_OK;
}

/* ---- the request ---- */

/* A client that left while a body was pushed has taken its head along. */
static const char *look_up(const struct http_request *r, enum MHD_ValueKind kind, const char *name)
{
    const struct call *c = (const struct call *)(const void *)r; /* its first member */

    return c->is_completed ? NULL : MHD_lookup_connection_value(c->connection, kind, name);
}

bool http_header(const struct http_request *r, const char *name, struct str *ret)
{
    const char *value = look_up(r, MHD_HEADER_KIND, name);

    if (value == NULL) {
        return false;
    }
    *ret = str_trim(str_of(value));
    return true;
}

bool http_query(const struct http_request *r, const char *name, struct str *ret)
{
    const char *value = look_up(r, MHD_GET_ARGUMENT_KIND, name);

    return value != NULL && url_decode(str_of(value), r->arena, ret);
}

static void handle(void *arg)
{
    struct call *c = arg;
    int64_t ms = c->door->server->options.handler_ms;

    c->route->fn(&c->request, &c->answer, when_after(ms));
    c->is_returned = true;
    if (c->is_completed) {
        call_free(c);
    } else {
        resume(c);
    }
}

/* How often the fields stand there that decide where a request ends and whom it is for. */
struct telling {
    unsigned lengths, codings, hosts;
};

static enum MHD_Result count_telling(void *ctx, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct telling *t = ctx;

    (void)kind;
    (void)value;
    t->lengths += str_eq_nocase(str_of(name), STR("Content-Length"));
    t->codings += str_eq_nocase(str_of(name), STR("Transfer-Encoding"));
    t->hosts += str_eq_nocase(str_of(name), STR("Host"));
    return MHD_YES;
}

/* The library takes one of two and is silent (RFC 9112 sections 3.2 and 6.3 refuse). */
static bool fields_agree(struct MHD_Connection *connection)
{
    struct telling t = {0};

    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_telling, &t);
    return t.lengths + t.codings <= 1 && t.hosts <= 1;
}

static struct call *call_new(struct door *door, struct MHD_Connection *connection, const char *url,
                             const char *method)
{
    static const struct refusal *const refusals[] = {
        [ROUTE_NO_PATH] = &no_path, [ROUTE_NO_METHOD] = &no_method, [ROUTE_BAD] = &bad_path};
    const struct http_server_options *o = &door->server->options;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct call *c = MEM_NEW(struct call);
    struct http_request *r = &c->request;
    enum route_result found;

    c->door = door;
    c->connection = connection;
    c->begun = clock_now();
    c->body.max = HTTP_BODY_MAX;
    c->answer = (struct http_answer){.status = MHD_HTTP_OK, .type = "application/json"};
    signal_init(&c->room);
    r->arena = &c->arena;
    r->ctx = o->ctx;
    r->method = arena_z(&c->arena, str_of(method));
    r->path = arena_dup(&c->arena, str_of(url));
    if (door->addr.family != 0 && info != NULL) {
        r->remote = socket_addr(info->client_addr);
    }
    found = route_find(o->routes, o->route_count, str_of(method), r->path, &c->arena, &c->route,
                       r->parts, &c->allow);
    c->refused = found == ROUTE_FOUND ? NULL : refusals[found];
    if (!fields_agree(connection)) {
        c->refused = &bad_fields;
    }
    return c;
}

/* False when the announced length is more than we take: no need to read it. */
static bool length_is_fair(struct MHD_Connection *connection)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    uint64_t length;

    return text == NULL || (str_to_u64(str_of(text), &length) && length <= HTTP_BODY_MAX);
}

static enum MHD_Result take_body(struct call *c, const char *data, size_t *size)
{
    buf_put(&c->body, str_make(data, *size));
    *size = 0;
    /* A client that drips keeps the library's timer of silence content, but not this one. */
    return clock_now().ns - c->begun.ns > HTTP_REQUEST_MS * NS_PER_MS ? MHD_NO : MHD_YES;
}

static enum MHD_Result start(struct call *c)
{
    c->request.body = buf_str(&c->body);
    if (group_spawn_now(&c->door->server->handlers, "HTTP request", handle, c).code != OK) {
        return send_refusal(c, &too_busy);
    }
    c->is_started = true;
    suspend(c);
    return MHD_YES;
}

enum MHD_Result call_access(void *ctx, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *data, size_t *size,
                            void **state)
{
    struct call *c = *state;

    (void)version;
    if (c == NULL) {
        *state = c = call_new(ctx, connection, url, method);
        if (c->refused == &bad_fields) {
            return send_refusal(c, c->refused); /* and the connection ends, its body unread */
        }
        return length_is_fair(connection) ? MHD_YES : send_refusal(c, &too_large);
    }
    if (*size != 0) {
        return take_body(c, data, size);
    }
    if (c->body.failed) {
        return send_refusal(c, &too_large);
    }
    if (c->refused != NULL) {
        return send_refusal(c, c->refused);
    }
    if (!c->is_started) {
        return start(c);
    }
    if (c->is_pushed) {
        return send_response(c, MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_BYTES,
                                                                  read_pushed, c, NULL));
    }
    must(c->is_returned);
    return send_whole(c);
}

void call_completed(void *ctx, struct MHD_Connection *connection, void **state,
                    enum MHD_RequestTerminationCode why)
{
    struct call *c = *state;

    (void)ctx;
    (void)connection;
    (void)why;
    if (c == NULL) {
        return;
    }
    *state = NULL;
    c->is_completed = true;
    if (!c->is_started || c->is_returned) {
        call_free(c);
    } else {
        signal_raise(&c->room);
    }
}
