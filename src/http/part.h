/*
 * part: what the server's two files share; nobody else includes it.
 */
#pragma once

#include "http/serve.h"
#include "runtime/fiber.h"

#include <microhttpd.h>

enum { HTTP_HEADERS_MAX = 8 };

/* One listening socket is one daemon of the library. */
struct door {
    struct http_server *server;
    struct MHD_Daemon *daemon;
    struct watch *watch;
    struct addr addr; /* family 0: the local socket */
    int fd;
    bool has_work;
    struct signal work, worked;
};

struct http_server {
    struct http_server_options options;
    struct group fibers, handlers;
    struct door *doors;
    size_t door_count;
    struct str socket; /* own copy, to take the name away */
};

struct refusal;

/* A request on its way: the library's until it says completed, the handler's until it returned. */
struct call {
    struct http_request request; /* first */
    struct http_answer answer;
    const struct http_route *route;
    struct door *door;
    struct MHD_Connection *connection;
    struct arena arena;
    struct buf body, allow;
    struct when begun;
    const struct refusal *refused; /* instead of a handler */
    bool is_started, is_suspended, is_returned, is_completed;
    struct {
        const char *name;
        char *value;
    } headers[HTTP_HEADERS_MAX];
    unsigned header_count;

    bool is_pushed; /* what follows is for pushed bodies only */
    struct buf out;
    size_t out_sent;
    struct signal room;
};

/* The library shall be run soon. */
void door_has_work(struct door *d);

/* The library's callbacks, with a door as their ctx. */
enum MHD_Result call_access(void *ctx, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *data, size_t *size,
                            void **state);
void call_completed(void *ctx, struct MHD_Connection *connection, void **state,
                    enum MHD_RequestTerminationCode why);
size_t call_unescape(void *ctx, struct MHD_Connection *connection, char *text);
