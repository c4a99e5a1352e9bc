/*
 * server: scripted peers behind a listener, on one loop or on several.
 *
 * A lane is a peer and its conversations on one loop. play_accept gives each new client to the next
 * lane in turn; the lanes of one call are copies of one peer on several loops.
 *
 * Owns      A lane owns its peer and its conversations, until play_lane_close on the lane's loop.
 * Errors    play_accept: what ended accepting, ERR_CANCELLED as a rule.
 */
#pragma once

#include "play/peer.h"
#include "runtime/fiber.h"

struct loop;
struct listener;

struct play_lane {
    struct loop *loop;
    struct play_peer peer;
    struct group group;
};

/* Before clients come; from any thread. */
void play_lane_init(struct play_lane *l, const struct play_peer *peer, struct loop *loop);
void play_lane_close(struct play_lane *l, struct when by);

struct err play_accept(struct listener *l, struct play_lane *lanes, unsigned count, struct when by);
