/*
 * route: which row of a table of routes serves a request. Pure.
 *
 * Owns      Decoded parts are copied into the arena.
 * Limits    HTTP_PARTS_MAX stars a pattern.
 * Errors    ROUTE_NO_PATH (404), ROUTE_NO_METHOD (405), ROUTE_BAD (400: a wrong %xx).
 */
#pragma once

#include "http/serve.h"

enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD, ROUTE_BAD };

/* *ret and parts are written on ROUTE_FOUND; `allow`, "GET, HEAD, POST", on ROUTE_NO_METHOD. */
enum route_result route_find(const struct http_route *routes, size_t count, struct str method,
                             struct str path, struct arena *a, const struct http_route **ret,
                             struct str parts[HTTP_PARTS_MAX], struct buf *allow);

/* "%41%2f" as "A/"; false on a wrong one. */
bool url_decode(struct str s, struct arena *a, struct str *ret);
