/*
 * SQLite on the offload threads: it blocks. A question has its time there too: the library is
 * stopped when the deadline is over, also while it waits for a lock.
 */
#include "base/mem.h"
#include "lookup/part.h"
#include "runtime/clock.h"
#include "runtime/offload.h"

#include <sqlite3.h>

enum { STEPS_BETWEEN_LOOKS = 1000 };

struct sqlite {
    sqlite3 *db;
    struct when until;
    struct file_mark mark;
};

/* ---- on a thread of offload ---- */

struct opening {
    const char *path;
    struct sqlite *ret;
    struct buf *why;
    struct err e;
};

static int is_over(void *arg)
{
    const struct sqlite *s = arg;

    return clock_read().ns >= s->until.ns;
}

static struct err err_of_code(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_INTERRUPT:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_of(ERR_TIMEOUT);
    case SQLITE_FULL:
        return err_of(ERR_FULL);
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return err_of(ERR_DISK);
    default:
        return err_of(ERR_SYNTAX);
    }
}

static void open_there(void *arg)
{
    struct opening *o = arg;
    struct sqlite *s = MEM_NEW(struct sqlite);
    int code = sqlite3_open_v2(o->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (code != SQLITE_OK || !file_mark(o->path, &s->mark)) {
        buf_printf(o->why, "%s: %s", o->path,
                   s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
        o->e = err_of(ERR_DISK);
        sqlite3_close(s->db);
        mem_free(s);
        return;
    }
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, LOOKUP_BYTES_MAX * 4);
    sqlite3_progress_handler(s->db, STEPS_BETWEEN_LOOKS, is_over, s);
    o->ret = s;
}

struct asking {
    struct sqlite *s;
    const char *path;
    const struct lookup_question *q;
    struct arena *arena;
    struct lookup_answer *ret;
    struct err e;
};

static struct err refused(struct asking *k, int code)
{
    struct err e = err_of_code(code);

    return answer_failed(k->arena, k->ret, e, "%s",
                         e.code == ERR_TIMEOUT ? "no answer in time" : sqlite3_errmsg(k->s->db));
}

static int bind(sqlite3_stmt *st, int at, const struct lookup_cell *c)
{
    switch (c->type) {
    case LOOKUP_TEXT:
        return sqlite3_bind_text(st, at, c->text.ptr, (int)c->text.len, SQLITE_STATIC);
    case LOOKUP_INT:
        return sqlite3_bind_int64(st, at, c->num);
    case LOOKUP_REAL:
        return sqlite3_bind_double(st, at, c->real);
    }
    never("all types were named");
}

static int bind_all(sqlite3_stmt *st, const struct lookup_question *q)
{
    int code = SQLITE_OK;

    for (size_t i = 0; i < q->arg_count && code == SQLITE_OK; i++) {
        code = bind(st, (int)i + 1, &q->args[i]);
    }
    return code;
}

static struct lookup_cell cell_of(sqlite3_stmt *st, int at, struct arena *a)
{
    switch (sqlite3_column_type(st, at)) {
    case SQLITE_INTEGER:
        return cell_int(sqlite3_column_int64(st, at));
    case SQLITE_FLOAT:
        return cell_real(sqlite3_column_double(st, at));
    case SQLITE_NULL:
        return cell_text(STR_EMPTY);
    default: {
        const void *bytes = sqlite3_column_blob(st, at);
        int len = sqlite3_column_bytes(st, at);

        return cell_text(bytes != NULL ? arena_dup(a, str_make(bytes, (size_t)len)) : STR_EMPTY);
    }
    }
}

/* All rows. */
static struct err take_rows(struct asking *k, sqlite3_stmt *st)
{
    size_t columns = (size_t)sqlite3_column_count(st), rows = 0, bytes = 0;
    struct buf b BUF_LOCAL = {0};
    int code;

    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        for (size_t i = 0; i < columns; i++) {
            struct lookup_cell c = cell_of(st, (int)i, k->arena);

            bytes += c.text.len;
            buf_put(&b, str_make((const char *)&c, sizeof c));
        }
        rows++;
        if (bytes > LOOKUP_BYTES_MAX || rows * columns > LOOKUP_CELLS_MAX) {
            return answer_failed(k->arena, k->ret, err_of(ERR_SYNTAX), "the answer is too big");
        }
    }
    if (code != SQLITE_DONE) {
        return refused(k, code);
    }
    if (columns == 0) {
        answer_one(k->arena, k->ret, cell_int(sqlite3_changes(k->s->db)));
        k->ret->is_count = true;
        return ERR_OK;
    }
    must(answer_room(k->arena, k->ret, rows, columns));
    if (b.len > 0) {
        memcpy(k->ret->cells, b.ptr, b.len);
    }
    return ERR_OK;
}

static struct err prepare(struct asking *k, struct str text, sqlite3_stmt **ret)
{
    const char *tail = NULL;
    int code = sqlite3_prepare_v2(k->s->db, text.ptr, (int)text.len, ret, &tail);

    if (code != SQLITE_OK) {
        return refused(k, code);
    }
    if (*ret == NULL || str_trim_ws(str_skip(text, (size_t)(tail - text.ptr))).len > 0) {
        return answer_failed(k->arena, k->ret, err_of(ERR_SYNTAX), "one statement is asked");
    }
    if (sqlite3_bind_parameter_count(*ret) != (int)k->q->arg_count) {
        return answer_failed(k->arena, k->ret, err_of(ERR_SYNTAX),
                             "the statement has %d parameters, not %zu",
                             sqlite3_bind_parameter_count(*ret), k->q->arg_count);
    }
    return ERR_OK;
}

static void ask_there(void *arg)
{
    struct asking *k = arg;
    int64_t left_ms = (k->s->until.ns - clock_read().ns) / NS_PER_MS;
    sqlite3_stmt *st = NULL;
    struct file_mark now;

    if (!file_mark(k->path, &now) || now.inode != k->s->mark.inode ||
        now.device != k->s->mark.device) {
        k->e = answer_failed(k->arena, k->ret, err_of(ERR_STALE), "the file was replaced");
        return;
    }
    sqlite3_busy_timeout(k->s->db, (int)(left_ms > 1 ? left_ms : 1));
    k->e = prepare(k, k->q->key, &st);
    if (k->e.code == OK) {
        int code = bind_all(st, k->q);

        k->e = code == SQLITE_OK ? take_rows(k, st) : refused(k, code);
    }
    sqlite3_finalize(st);
}

/* ---- on the home loop ---- */

static struct err sqlite_open(struct store *s, void **ret, struct buf *why, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct opening o = {.path = arena_z(&a, s->settings->path), .why = why};
    struct err e = blocking_begin(s->lookups, by);

    if (e.code != OK) {
        return e;
    }
    offload("a database file", open_there, &o, by);
    blocking_end(s->lookups);
    *ret = o.ret;
    return o.e;
}

static struct err sqlite_ask(struct store *s, void *connection, const struct lookup_question *q,
                             struct arena *a, struct lookup_answer *ret, struct when by)
{
    struct lookup_cell key = cell_text(q->key);
    struct lookup_question by_query = *q;
    struct asking k = {connection, arena_z(a, s->settings->path), &by_query, a, ret, ERR_OK};
    struct err e;

    if (q->verb != LOOKUP_SQL) {
        by_query.key = s->settings->query;
        by_query.args = &key;
        by_query.arg_count = 1;
    }
    e = blocking_begin(s->lookups, by);
    if (e.code != OK) {
        return e;
    }
    k.s->until = by;
    offload("a database file", ask_there, &k, by);
    blocking_end(s->lookups);
    return k.e.code == OK ? answer_by_key(a, q, ret) : k.e;
}

static void close_now(void *arg)
{
    struct sqlite *s = arg;

    sqlite3_close_v2(s->db);
    mem_free(s);
}

/* Short: nothing is under way, and nothing is cleaned up. */
static void sqlite_close(void *connection)
{
    on_big_stack(close_now, connection);
}

const struct backend sqlite_backend = {sqlite_open, sqlite_ask, sqlite_close};
