/* destination_part: what the files of the destinations share. */
#pragma once

#include "play/destination.h"

struct host {
    struct destinations *all;
    const struct destination *of;
    uint32_t number; /* from 1 */
    struct listener *listener;
    struct play_lane lane;
    struct play_counts counts;
    int64_t drip_ms;     /* of its own behaviour */
    int64_t tokens_from; /* µs: what it takes by its rate is counted from here */
};

struct destinations {
    const struct scenario *scenario;
    struct host *hosts;
    size_t count, *first; /* first host of each destination */
    bool has_begun;
    struct when began;
    struct world *world;
    struct tls_server **tls; /* of each destination that offers it */
};

int64_t destinations_ms(const struct destinations *d); /* of the run, now */
bool weather_holds(const struct weather *w, int64_t ms);
/* Of a host; with its port. */
struct addr destination_addr(const struct destination *d, uint32_t number);
