#include "runtime/sim_medium.h"

#include "base/mem.h"

/* ---- images ---- */

void image_room(struct image *g, uint64_t room)
{
    if (room > g->room) {
        uint64_t more = room > g->room * 2 ? room : g->room * 2;

        g->bytes = mem_grow(g->bytes, more, 1);
        memset(g->bytes + g->room, 0, more - g->room);
        g->room = more;
    }
}

void image_blank_from(struct image *g, uint64_t from)
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

void image_write(struct image *g, uint64_t offset, const char *bytes, uint64_t len)
{
    if (len > 0) {
        image_room(g, offset + len);
        memcpy(g->bytes + offset, bytes, len);
        g->size = offset + len > g->size ? offset + len : g->size;
    }
}

void image_copy(struct image *to, const struct image *from)
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

void changes_drop(struct list *changes)
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
bool folder_apply(struct folder *f, const struct folder_change *c)
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

void folder_copy(struct folder *to, const struct folder *from)
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

uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static struct change *change_new(struct medium *m, struct inode *i, uint64_t len)
{
    struct change *c = mem_alloc_raw(sizeof *c + len);

    *c = (struct change){.number = ++m->number, .len = len};
    list_push(&i->changes, &c->link);
    return c;
}

/* Whole sectors are remembered, as they are now: whichever version of a sector is written back, it
 * is one that programs could once read. */
void medium_write(struct medium *m, struct inode *i, uint64_t offset, const struct iovec *iov,
                  unsigned count, uint64_t most)
{
    uint64_t start = offset / SECTOR_BYTES * SECTOR_BYTES, end = offset;
    struct change *c;

    for (unsigned k = 0; k < count && end - offset < most; k++) {
        uint64_t left = most - (end - offset);
        uint64_t n = iov[k].iov_len < left ? iov[k].iov_len : left;

        image_write(&i->now, end, iov[k].iov_base, n);
        end += n;
    }
    if (end == offset) {
        return;
    }
    end = sector_end(end - 1) < i->now.size ? sector_end(end - 1) : i->now.size;
    c = change_new(m, i, end - start);
    c->offset = start;
    memcpy(c->bytes, i->now.bytes + start, end - start);
    if (i->reserved < whole_pages(i->now.size)) {
        i->reserved = whole_pages(i->now.size);
    }
}

void medium_resize(struct medium *m, struct inode *i, uint64_t size)
{
    struct change *c = change_new(m, i, 0);

    c->is_size = true;
    c->offset = size;
    apply(&i->now, c);
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

struct change *inode_first_up_to(struct inode *i, uint64_t up_to)
{
    struct link *k = list_first(&i->changes);
    struct change *c = k ? CONTAINER_OF(k, struct change, link) : NULL;

    return c != NULL && c->number <= up_to ? c : NULL;
}

void medium_sync(struct medium *m, struct inode *i, uint64_t up_to)
{
    struct change *c;

    (void)m;
    while ((c = inode_first_up_to(i, up_to)) != NULL) {
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
void inode_forget_ghosts(struct inode *i)
{
    image_copy(&i->now, &i->kept);
    LIST_EACH (&i->changes, k) {
        apply(&i->now, CONTAINER_OF(k, struct change, link));
    }
    i->ghosts = false;
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
