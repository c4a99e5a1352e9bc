/*
 * sim_wire: simulated connections, once somebody has been found at the other side. For sim*.c only.
 */
#pragma once

#include "runtime/sim_net.h"
#include "runtime/sim_part.h"

/* Both ends of a new connection: whose opening was asked for, and the far one. */
struct transport *wire_new(struct sim_world *w, struct addr to, const struct sim_net_rule *rule,
                           struct transport **far);
/* The other end is reset as soon as the news arrives there. */
void wire_reset_far(struct transport *t);
void wires_crash(struct sim_world *w);
