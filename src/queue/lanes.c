#include "base/mem.h"
#include "queue/part.h"

#include <stdio.h>

/* Lanes of a virtual queue, by name. */

void lanes_init(struct lanes *l)
{
    *l = (struct lanes){.unnamed = {.name = STR_EMPTY, .weight = 1}};
}

void lanes_done(struct lanes *l)
{
    must(l->by_name.count == 0 && l->unnamed.jobs == 0);
    map_done(&l->by_name);
    mem_free(l->shared);
    l->shared = NULL;
}

static struct lane *lane_new(struct str name)
{
    struct lane *lane = MEM_NEW(struct lane);

    lane->name = (struct str){mem_dup_z(name.ptr, name.len), name.len};
    lane->weight = 1;
    return lane;
}

static struct lane *shared_lane(struct lanes *l, struct str name)
{
    unsigned number = (unsigned)(str_hash(name, 0) % LANES_SHARED);
    char shown[32];

    if (l->shared == NULL) {
        l->shared = mem_array(LANES_SHARED, sizeof(struct lane *));
    }
    if (l->shared[number] == NULL) {
        snprintf(shown, sizeof shown, "(shared %u)", number + 1);
        l->shared[number] = lane_new(str_of(shown));
        l->shared[number]->share_no = (uint16_t)(number + 1);
    }
    return l->shared[number];
}

void lane_weigh(const struct queue *q, const struct vqueue *v, struct lane *lane)
{
    uint64_t number = q->plan ? q->plan->number : 0;

    if (lane->weighed != number) {
        lane->weighed = number;
        lane->weight = v->planned ? decide_weight(v->planned, lane->name) : 1;
    }
}

struct lane *lane_take(const struct queue *q, struct vqueue *v, struct str name)
{
    struct lanes *l = &v->lanes;
    struct lane *lane = name.len > 0 ? map_get(&l->by_name, name) : &l->unnamed;

    if (lane == NULL && l->by_name.count >= l->max) {
        lane = shared_lane(l, name);
    } else if (lane == NULL) {
        lane = lane_new(name);
        map_put(&l->by_name, lane->name, lane);
    }
    lane_weigh(q, v, lane);
    lane->jobs++;
    return lane;
}

void lane_drop(struct lanes *l, struct lane *lane)
{
    must(lane->jobs > 0);
    if (--lane->jobs > 0 || lane == &l->unnamed) {
        return;
    }
    turns_lane_ends(lane);
    if (lane->share_no > 0) {
        l->shared[lane->share_no - 1] = NULL;
    } else {
        map_take(&l->by_name, lane->name);
    }
    mem_free((char *)(uintptr_t)lane->name.ptr);
    mem_free(lane);
}
