/*
 * sim_net: the network of a simulated world. Streams and listeners of the world use it by
 * themselves; this is for whoever sets the weather.
 *
 * Model     Each connection has two ways. Bytes sent are cut into pieces at random, each under way
 *           for latency + jitter + its size over the bandwidth, in order. At most `window` bytes of
 *           one way are under way or unread; what is read makes room at the sender a latency later.
 *           Closing with bytes unread resets; so does writing to an end that is closed.
 * Rules     The newest that fits the listening side's address holds for a new connection, from its
 *           first packet to its end. A new world has one rule, for all: 50 µs and as much jitter,
 *           1 GB/s, a window of 512 KiB, no harm.
 * Listening A listener on 0.0.0.0 or :: answers at loopback and at the world's local address.
 * Sources   Any address may be connected from but those a rule makes NET_UNREACHABLE, which are
 *           none of this machine's.
 * Faults    net-refused net-silent net-reset net-stall net-cut; points net-connect net-accept.
 */
#pragma once

#include "base/addr.h"
#include "runtime/loop.h"

enum sim_net_way { NET_OPEN, NET_REFUSED, NET_SILENT, NET_UNREACHABLE };

struct sim_net_rule {
    struct cidr to;       /* family 0: every address */
    uint16_t port;        /* 0: every port */
    enum sim_net_way way; /* of connecting there */
    int64_t latency_ns, jitter_ns;
    uint64_t bytes_per_s;  /* 0: no limit */
    uint32_t window_bytes; /* 0: 512 KiB */
    /* Of a million connections: so many meet this. The last two after a random number of bytes. */
    uint32_t refused_ppm, silent_ppm, reset_ppm, stall_ppm;
};

void sim_net_rule(struct world *w, const struct sim_net_rule *r);
/* Resets all connections to these addresses, at once and for both sides. */
void sim_net_cut(struct world *w, const struct cidr *to);

struct stream;
/* Ends the writing way of a stream without a layer (shutdown(2)); its owner goes on reading. */
void sim_net_end(struct stream *s);
