#include "base/mem.h"
#include "runtime/sim_medium.h"

/* What a disk remembers of what was never flushed. */

enum flavour { CUT_NOTHING, CUT_ALL, CUT_SOME };

static enum flavour draw_flavour(struct medium *m)
{
    uint64_t n = rng_below(&m->rng, 8);

    return n < 2 ? CUT_ALL : n < 3 ? CUT_NOTHING : CUT_SOME;
}

/* How many of an inode's n changes one sector (or its size) has seen. */
static uint64_t reach(enum flavour flavour, uint64_t salt, uint64_t what, uint64_t n)
{
    struct rng r = {salt ^ what * 0xd6e8feb86659fd93u};

    if (flavour != CUT_SOME) {
        return flavour == CUT_NOTHING ? n : 0;
    }
    switch (rng_below(&r, 3)) {
    case 0:
        return 0;
    case 1:
        return n;
    default:
        return rng_below(&r, n + 1);
    }
}

/* Writes those sectors of change number `index` that reached the medium; how many did not. */
static uint32_t cut_bytes(struct image *g, const struct change *c, enum flavour flavour,
                          uint64_t salt, uint64_t index, uint64_t n)
{
    uint64_t end = c->offset + c->len, next;
    uint32_t lost = 0;

    image_room(g, end);
    for (uint64_t at = c->offset; at < end; at = next) {
        next = sector_end(at) < end ? sector_end(at) : end;
        if (index < reach(flavour, salt, at / SECTOR_BYTES, n)) {
            memcpy(g->bytes + at, c->bytes + (at - c->offset), next - at);
        } else {
            lost++;
        }
    }
    return lost;
}

/* Of the oldest n changes, those parts that reached the medium are made in i->kept. */
static void cut_changes(struct medium *m, struct inode *i, enum flavour flavour, uint64_t n,
                        struct cut *cut)
{
    uint64_t salt = rng_next(&m->rng), index = 0, size = i->kept.size;
    uint64_t sizes = reach(flavour, salt, UINT64_MAX, n);
    uint32_t lost = 0, whole = 0;
    struct image *g = &i->kept;

    LIST_EACH (&i->changes, k) {
        const struct change *c = CONTAINER_OF(k, struct change, link);
        bool sized = index < sizes;

        if (index == n) {
            break;
        }
        if (!c->is_size) {
            uint32_t missing = cut_bytes(g, c, flavour, salt, index, n);

            lost += missing;
            whole += missing == 0;
            size = sized && c->offset + c->len > size ? c->offset + c->len : size;
        } else if (sized) {
            image_blank_from(g, c->offset);
            size = c->offset;
        }
        index++;
    }
    image_room(g, size);
    image_blank_from(g, size);
    g->size = size;
    cut->lost_sectors += lost;
    cut->torn_files += lost > 0 && whole < n && flavour == CUT_SOME;
}

static void cut_inode(struct medium *m, struct inode *i, struct cut *cut)
{
    uint64_t n = 0;

    LIST_EACH (&i->changes, k) {
        n++;
    }
    cut_changes(m, i, draw_flavour(m), n, cut);
    changes_drop(&i->changes);
    image_copy(&i->now, &i->kept);
    i->ghosts = false;
    i->reserved = whole_pages(i->now.size);
}

void medium_sync_fails(struct medium *m, struct inode *i, uint64_t up_to)
{
    struct cut cut = {0};
    struct change *c;
    uint64_t n = 0;

    LIST_EACH (&i->changes, k) {
        n += CONTAINER_OF(k, struct change, link)->number <= up_to;
    }
    cut_changes(m, i, CUT_SOME, n, &cut);
    while ((c = inode_first_up_to(i, up_to)) != NULL) {
        list_remove(&c->link);
        mem_free(c);
    }
    i->ghosts = true;
    if (rng_below(&m->rng, 4) == 0) {
        inode_forget_ghosts(i);
    }
}

static void cut_folder(struct medium *m, struct cut *cut)
{
    enum flavour flavour = draw_flavour(m);
    bool in_order = rng_below(&m->rng, 2) == 0, lost = false;
    struct link *k;

    while ((k = list_pop(&m->folder_changes)) != NULL) {
        struct folder_change *c = CONTAINER_OF(k, struct folder_change, link);

        if (flavour == CUT_ALL) {
            lost = true;
        } else if (flavour == CUT_SOME) {
            /* A journal keeps the first so many; others keep any. */
            lost = (in_order && lost) || rng_below(&m->rng, 2) == 0;
        }
        if (lost || !folder_apply(&m->kept, c)) {
            cut->lost_names++;
        }
        mem_free(c);
    }
    folder_copy(&m->now, &m->kept);
}

struct cut medium_power_cut(struct medium *m)
{
    struct cut cut = {0};

    cut_folder(m, &cut);
    LIST_EACH (&m->inodes, k) {
        must(CONTAINER_OF(k, struct inode, link)->handles == 0);
        cut_inode(m, CONTAINER_OF(k, struct inode, link), &cut);
    }
    medium_sweep(m);
    return cut;
}

void medium_kill(struct medium *m)
{
    LIST_EACH (&m->inodes, k) {
        struct inode *i = CONTAINER_OF(k, struct inode, link);

        must(i->handles == 0);
        if (i->ghosts && rng_below(&m->rng, 2) == 0) {
            inode_forget_ghosts(i);
        }
    }
    medium_sweep(m);
}
