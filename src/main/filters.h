/*
 * filters: the filters of a configuration, given to delivery with what it may not know itself: who
 * may be sent mail.
 */
#pragma once

struct delivery;
struct engine;
struct policy;

/* On home, when the engine knows its names. Takes a reference of the policy. */
void filters_use(struct delivery *d, struct engine *e, struct policy *p);
