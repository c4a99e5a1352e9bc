/* Files of keys: read at the start, and again whenever they change. What cannot be read leaves the
 * old content in place, and is told once. */
#include "base/mem.h"
#include "lookup/flight.h"
#include "lookup/part.h"
#include "runtime/clock.h"
#include "runtime/offload.h"

struct looking {
    const char *path;
    struct file_mark mark, was;
    bool has_mark, was_marked, is_new;
    struct table *table;
    struct buf why;
};

static void look(void *arg)
{
    struct looking *k = arg;

    k->has_mark = file_mark(k->path, &k->mark);
    k->is_new = k->has_mark != k->was_marked || (k->has_mark && !file_mark_eq(&k->mark, &k->was));
    if (k->is_new) {
        k->table = file_read(k->path, &k->mark, &k->why);
    }
}

void keeper_read(struct store *s, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct looking k = {
        .path = arena_z(&a, s->settings->path), .was = s->mark, .was_marked = s->is_marked};
    bool is_first = s->table == NULL && s->why.len == 0;

    offload("a look-up file", look, &k, by);
    s->mark = k.mark;
    s->is_marked = k.has_mark;
    if (k.table != NULL) {
        table_drop(s->table);
        s->table = k.table;
        buf_clear(&s->why);
        store_tell(s, LOOKUP_FILE_READ, STR_EMPTY);
    } else if (k.is_new || is_first) {
        buf_clear(&s->why);
        if (k.why.len == 0) {
            buf_printf(&k.why, "%s: there is no such file", k.path);
        }
        buf_put(&s->why, buf_str(&k.why));
        store_tell(s, LOOKUP_FILE_BAD, buf_str(&s->why));
    }
    buf_done(&k.why);
}

static void keeper(void *arg)
{
    struct store *s = arg;

    while (!s->is_old && fiber_sleep(when_after(FILE_LOOK_MS), WHEN_NEVER).code == OK) {
        keeper_read(s, WHEN_NEVER);
    }
    s->fiber_count--;
    store_drop_if_over(s);
}

void keeper_start(struct store *s)
{
    if (group_spawn_now(&s->lookups->group, "look-up file", keeper, s).code == OK) {
        s->fiber_count++;
    }
}
