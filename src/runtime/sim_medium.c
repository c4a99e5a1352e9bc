#include "runtime/sim_medium.h"

#include "base/mem.h"

struct change {
    struct link link;
    uint64_t number;
    bool is_size;
    uint64_t offset; /* or the new size */
    uint64_t len;
    char bytes[];
};

struct folder_change {
    struct link link;
    uint64_t number;
    enum folder_change_kind kind;
    struct str from, to;
    struct inode *inode;
};

/* ---- images ---- */

static void image_room(struct image *g, uint64_t room)
{
    if (room > g->room) {
        uint64_t more = room > g->room * 2 ? room : g->room * 2;

        g->bytes = mem_grow(g->bytes, more, 1);
        memset(g->bytes + g->room, 0, more - g->room);
        g->room = more;
    }
}

static void image_blank_from(struct image *g, uint64_t from)
{
    if (from < g->room) {
        memset(g->bytes + from, 0, g->room - from);
    }
}

static void image_resize(struct image *g, uint64_t size)
{
    image_room(g, size);
    if (size < g->size) {
        memset(g->bytes + size, 0, g->size - size);
    }
    g->size = size;
}

static void image_write(struct image *g, uint64_t offset, const char *bytes, uint64_t len)
{
    if (len > 0) {
        image_room(g, offset + len);
        memcpy(g->bytes + offset, bytes, len);
        g->size = offset + len > g->size ? offset + len : g->size;
    }
}

static void image_copy(struct image *to, const struct image *from)
{
    image_resize(to, 0);
    image_write(to, 0, from->bytes, from->size);
    image_resize(to, from->size);
}

static void apply(struct image *g, const struct change *c)
{
    if (c->is_size) {
        image_resize(g, c->offset);
    } else {
        image_write(g, c->offset, c->bytes, c->len);
    }
}

static void changes_drop(struct list *changes)
{
    struct link *k;

    while ((k = list_pop(changes)) != NULL) {
        mem_free(CONTAINER_OF(k, struct change, link));
    }
}

static void inode_free(struct inode *i)
{
    list_remove(&i->link);
    changes_drop(&i->changes);
    mem_free(i->now.bytes);
    mem_free(i->kept.bytes);
    mem_free(i);
}

/* ---- folders ---- */

static struct entry *folder_find(const struct folder *f, struct str name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (str_eq(f->entries[i].name, name)) {
            return &f->entries[i];
        }
    }
    return NULL;
}

static void folder_put(struct folder *f, struct str name, struct inode *inode)
{
    struct entry *e = folder_find(f, name);

    if (e != NULL) {
        e->inode = inode;
        return;
    }
    if (f->count == f->size) {
        f->size = f->size ? f->size * 2 : 16;
        f->entries = mem_grow(f->entries, f->size, sizeof *f->entries);
    }
    f->entries[f->count++] = (struct entry){name, inode};
}

static void folder_drop(struct folder *f, struct str name)
{
    struct entry *e = folder_find(f, name);

    if (e != NULL) {
        *e = f->entries[--f->count];
    }
}

/* False when what it needs is not there. */
static bool folder_apply(struct folder *f, const struct folder_change *c)
{
    const struct entry *e = folder_find(f, c->from);

    if (c->kind == NAME_MADE) {
        folder_put(f, c->from, c->inode);
        return true;
    }
    if (e == NULL || e->inode != c->inode) {
        return false;
    }
    folder_drop(f, c->from);
    if (c->kind == NAME_MOVED) {
        folder_put(f, c->to, c->inode);
    }
    return true;
}

static void folder_copy(struct folder *to, const struct folder *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        folder_put(to, from->entries[i].name, from->entries[i].inode);
    }
}

static void change_folder(struct medium *m, enum folder_change_kind kind, struct str from,
                          struct str to, struct inode *inode)
{
    struct folder_change *c = MEM_NEW(struct folder_change);

    *c = (struct folder_change){.number = ++m->number,
                                .kind = kind,
                                .from = arena_dup(&m->names, from),
                                .to = arena_dup(&m->names, to),
                                .inode = inode};
    must(folder_apply(&m->now, c));
    list_push(&m->folder_changes, &c->link);
}

struct inode *medium_find(const struct medium *m, struct str name)
{
    const struct entry *e = folder_find(&m->now, name);

    return e ? e->inode : NULL;
}

struct inode *medium_create(struct medium *m, struct str name)
{
    struct inode *i = MEM_NEW(struct inode);

    must(medium_find(m, name) == NULL);
    list_init(&i->changes);
    list_push(&m->inodes, &i->link);
    change_folder(m, NAME_MADE, name, STR_EMPTY, i);
    return i;
}

bool medium_rename(struct medium *m, struct str from, struct str to)
{
    struct inode *i = medium_find(m, from);

    if (i != NULL && !str_eq(from, to)) {
        change_folder(m, NAME_MOVED, from, to, i);
        medium_sweep(m);
    }
    return i != NULL;
}

bool medium_unlink(struct medium *m, struct str name)
{
    struct inode *i = medium_find(m, name);

    if (i != NULL) {
        change_folder(m, NAME_REMOVED, name, STR_EMPTY, i);
        medium_sweep(m);
    }
    return i != NULL;
}

static void mark(const struct folder *f)
{
    for (size_t i = 0; i < f->count; i++) {
        f->entries[i].inode->marked = true;
    }
}

void medium_sweep(struct medium *m)
{
    struct link *k = list_first(&m->inodes), *next;

    LIST_EACH (&m->inodes, each) {
        struct inode *i = CONTAINER_OF(each, struct inode, link);

        i->marked = i->handles > 0;
    }
    mark(&m->now);
    mark(&m->kept);
    LIST_EACH (&m->folder_changes, each) {
        CONTAINER_OF(each, struct folder_change, link)->inode->marked = true;
    }
    for (; k != NULL; k = next) {
        struct inode *i = CONTAINER_OF(k, struct inode, link);

        next = list_next(&m->inodes, k);
        if (!i->marked) {
            inode_free(i);
        }
    }
}

/* ---- files ---- */

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static void change_file(struct medium *m, struct inode *i, bool is_size, uint64_t offset,
                        struct str bytes)
{
    struct change *c = mem_alloc_raw(sizeof *c + bytes.len);

    *c = (struct change){
        .number = ++m->number, .is_size = is_size, .offset = offset, .len = bytes.len};
    if (bytes.len > 0) {
        memcpy(c->bytes, bytes.ptr, bytes.len);
    }
    apply(&i->now, c);
    list_push(&i->changes, &c->link);
}

void medium_write(struct medium *m, struct inode *i, uint64_t offset, struct str bytes)
{
    if (bytes.len > 0) {
        change_file(m, i, false, offset, bytes);
        if (i->reserved < whole_pages(i->now.size)) {
            i->reserved = whole_pages(i->now.size);
        }
    }
}

void medium_resize(struct medium *m, struct inode *i, uint64_t size)
{
    change_file(m, i, true, size, STR_EMPTY);
    i->reserved = whole_pages(size);
}

uint64_t medium_used(const struct medium *m)
{
    uint64_t used = 0;

    for (size_t i = 0; i < m->now.count; i++) {
        used += m->now.entries[i].inode->reserved;
    }
    return used;
}

/* ---- flushing ---- */

static struct change *first_up_to(struct inode *i, uint64_t up_to)
{
    struct link *k = list_first(&i->changes);
    struct change *c = k ? CONTAINER_OF(k, struct change, link) : NULL;

    return c != NULL && c->number <= up_to ? c : NULL;
}

void medium_sync(struct medium *m, struct inode *i, uint64_t up_to)
{
    struct change *c;

    (void)m;
    while ((c = first_up_to(i, up_to)) != NULL) {
        apply(&i->kept, c);
        list_remove(&c->link);
        mem_free(c);
    }
}

void medium_sync_folder(struct medium *m, uint64_t up_to)
{
    struct link *k;

    while ((k = list_first(&m->folder_changes)) != NULL) {
        struct folder_change *c = CONTAINER_OF(k, struct folder_change, link);

        if (c->number > up_to) {
            break;
        }
        must(folder_apply(&m->kept, c));
        list_remove(k);
        mem_free(c);
    }
    medium_sweep(m);
}

/* What is seen becomes what is durable, and what is still dirty over it. */
static void forget_ghosts(struct inode *i)
{
    image_copy(&i->now, &i->kept);
    LIST_EACH (&i->changes, k) {
        apply(&i->now, CONTAINER_OF(k, struct change, link));
    }
    i->ghosts = false;
}

static uint64_t sector_end(uint64_t at)
{
    return (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
}

void medium_sync_fails(struct medium *m, struct inode *i, uint64_t up_to)
{
    struct change *c;

    while ((c = first_up_to(i, up_to)) != NULL) {
        uint64_t end = c->offset + c->len, next;

        if (c->is_size) {
            if (rng_below(&m->rng, 2) == 0) {
                apply(&i->kept, c);
            }
            end = c->offset;
        }
        for (uint64_t at = c->offset; at < end; at = next) {
            next = sector_end(at) < end ? sector_end(at) : end;
            if (rng_below(&m->rng, 2) == 0) {
                image_write(&i->kept, at, c->bytes + (at - c->offset), next - at);
            }
        }
        list_remove(&c->link);
        mem_free(c);
    }
    i->ghosts = true;
    if (rng_below(&m->rng, 4) == 0) {
        forget_ghosts(i);
    }
}

/* ---- crashes ---- */

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

static void cut_inode(struct medium *m, struct inode *i, struct cut *cut)
{
    enum flavour flavour = draw_flavour(m);
    uint64_t salt = rng_next(&m->rng), n = 0, index = 0, size = i->kept.size, sizes;
    uint32_t lost = 0, whole = 0;
    struct image *g = &i->kept;

    LIST_EACH (&i->changes, k) {
        n++;
    }
    sizes = reach(flavour, salt, UINT64_MAX, n);
    LIST_EACH (&i->changes, k) {
        const struct change *c = CONTAINER_OF(k, struct change, link);
        bool sized = index < sizes;

        if (!c->is_size) {
            uint32_t missing = cut_bytes(g, c, flavour, salt, index, n);

            lost += missing;
            whole += missing == 0;
            size = sized && c->offset + c->len > size ? c->offset + c->len : size;
        } else if (sized) {
            image_room(g, c->offset);
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
    changes_drop(&i->changes);
    image_copy(&i->now, &i->kept);
    i->ghosts = false;
    i->reserved = whole_pages(size);
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
            forget_ghosts(i);
        }
    }
    medium_sweep(m);
}

void medium_init(struct medium *m, uint64_t seed)
{
    *m = (struct medium){.rng = {seed}};
    list_init(&m->inodes);
    list_init(&m->folder_changes);
}

void medium_done(struct medium *m)
{
    struct link *k;

    while ((k = list_pop(&m->folder_changes)) != NULL) {
        mem_free(CONTAINER_OF(k, struct folder_change, link));
    }
    while ((k = list_first(&m->inodes)) != NULL) {
        must(CONTAINER_OF(k, struct inode, link)->handles == 0);
        inode_free(CONTAINER_OF(k, struct inode, link));
    }
    mem_free(m->now.entries);
    mem_free(m->kept.entries);
    arena_done(&m->names);
}
