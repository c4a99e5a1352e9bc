/*
 * client_part: what the two files over the library share; nobody else includes it.
 */
#pragma once

#include "http/fetch_part.h"
#include "http/reply.h"
#include "runtime/fiber.h"
#include "runtime/watches.h"

#include <curl/curl.h>

enum { HANDLES_KEPT_MAX = 64 }; /* some 14 KiB each, until the pool has rested */

struct client {
    const struct fetch_pool_options *options;
    CURLM *multi;
    struct watches *watches;
    struct when timer;       /* when the library wants to be called */
    struct when waits_until; /* what the driver waits for now; 0 while it works */
    struct group driver;
    unsigned calls;
    struct when idle_at; /* when the library shall forget its connections; never while it works */
    CURL *kept[HANDLES_KEPT_MAX];
    unsigned kept_count;
};

/* One request on its way; in the caller's frame, until client_stop. */
struct exchange {
    struct client *client;
    const struct fetch_request *request;
    const struct addr *addrs;
    size_t addr_count;
    struct when by;
    struct fiber *caller;
    CURL *easy;
    struct curl_slist *fields, *resolve;
    bool is_fresh; /* takes no connection that was kept */

    unsigned requests; /* that the library began to send */
    bool is_stale;     /* the library would send again over another kept connection */
    long opened;       /* connections */
    bool is_done;
    CURLcode result;
    int sys;
    char text[CURL_ERROR_SIZE];
    struct err fault; /* what we found ourselves; then `said` */
    char said[96];

    struct buf head, body;
    size_t head_bytes; /* of all heads and trailers */
    struct reply_head parsed;
    bool has_head;

    struct str piece; /* of the source, not sent yet */
    bool is_ended, wants_piece, must_rewind;
    uint64_t given;
};

/* On the big stack, with an exchange as `arg`. */
void client_start(void *arg);
void client_resume(void *arg);
void client_stop(void *arg);

/* The library's callbacks, with an exchange as ctx. */
size_t exchange_take_head(char *at, size_t size, size_t count, void *ctx);
size_t exchange_take_body(char *at, size_t size, size_t count, void *ctx);
size_t exchange_give_body(char *at, size_t size, size_t count, void *ctx);
int exchange_rewind(void *ctx, curl_off_t offset, int origin);
int exchange_may_send(void *ctx, char *remote_ip, char *local_ip, int remote_port, int local_port);
