/*
 * socket: listening descriptors for an outside library that does its own accepting (the HTTP
 * server). Everything else listens through stream.h. Real worlds only.
 *
 * Owns      The library closes the descriptor.
 * Errors    ERR_NETWORK with errno; socket_listen_path: ERR_BUSY when somebody listens there,
 *           ERR_EXISTS when the path is something else than a socket.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"

/* *bound: where it really listens (port 0 was asked). */
struct err socket_listen(struct addr at, int *ret, struct addr *bound);
/* A local (Unix) socket with these permissions from its first moment. One that was left behind by a
 * process that has ended is replaced. */
struct err socket_listen_path(struct str path, unsigned mode, int *ret);
/* Takes the name away. */
void socket_remove_path(struct str path);
/* An address as the system's calls and callbacks give it (struct sockaddr); family 0 for others. */
struct addr socket_addr(const void *sockaddr);
