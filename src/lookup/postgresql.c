/*
 * PostgreSQL by its client library, without blocking: the library says what it waits for, our loop
 * waits. It never resolves a name (addresses only) and reads no file and no environment of its own.
 * What parses or goes deep in it (authentication, results) runs on the big stack.
 */
#include "base/mem.h"
#include "lookup/part.h"
#include "runtime/stream.h"
#include "runtime/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PG_PORT = 5432,
    PARAMETERS_MAX = 12,
    /* Of the server's own type table, which does not change. */
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701
};

struct pg {
    PGconn *db;
    int fd; /* a second one of its socket: the library closes its own when the server goes */
    struct watch *watch;
    bool is_over; /* in the middle of what we do not speak */
};

static struct str message_of(const PGconn *db, struct arena *a)
{
    struct str first = STR_EMPTY, rest = str_trim_ws(str_of(PQerrorMessage(db)));
    struct str copy;

    (void)str_cut(&rest, '\n', &first);
    copy = arena_dup(a, str_head(first, 200));
    for (size_t i = 0; i < copy.len; i++) {
        if ((unsigned char)copy.ptr[i] < 0x20) {
            ((char *)(uintptr_t)copy.ptr)[i] = ' ';
        }
    }
    return copy;
}

/* ---- connecting ---- */

struct parameters {
    const char *keys[PARAMETERS_MAX + 1], *values[PARAMETERS_MAX + 1];
    unsigned count;
    PGconn *ret;
};

static void parameter(struct parameters *p, const char *key, const char *value)
{
    must(p->count < PARAMETERS_MAX);
    p->keys[p->count] = key;
    p->values[p->count++] = value;
}

static void start_there(void *arg)
{
    struct parameters *p = arg;

    p->ret = PQconnectStartParams(p->keys, p->values, 0);
}

static PGconn *start(const struct lookup_settings *s, struct arena *a)
{
    struct parameters p = {.count = 0};
    char at[ADDR_BYTES];

    if (s->address.family != 0) {
        parameter(&p, "hostaddr", arena_z(a, addr_print_ip(&s->address, at)));
    } else {
        parameter(&p, "host", arena_z(a, s->socket));
    }
    parameter(&p, "port", arena_printf(a, "%u", s->port > 0 ? s->port : (unsigned)PG_PORT).ptr);
    parameter(&p, "user", s->username.len > 0 ? arena_z(a, s->username) : "postyard");
    parameter(&p, "password", s->password.is_given ? arena_z(a, s->password.text) : "");
    parameter(&p, "dbname",
              s->database.len > 0   ? arena_z(a, s->database)
              : s->username.len > 0 ? arena_z(a, s->username)
                                    : "postyard");
    parameter(&p, "sslmode", "disable");
    parameter(&p, "gssencmode", "disable");
    parameter(&p, "passfile", "/dev/null/none");
    parameter(&p, "client_encoding", "UTF8");
    parameter(&p, "application_name", "postyard");
    parameter(&p, "options",
              arena_printf(a, "-c statement_timeout=%lld", (long long)s->timeout_ms).ptr);
    on_big_stack(start_there, &p);
    return p.ret;
}

struct polling {
    PGconn *db;
    PostgresPollingStatusType is;
};

static void poll_there(void *arg)
{
    struct polling *p = arg;

    p->is = PQconnectPoll(p->db);
}

/* The library may change sockets between two polls, so the watch lives for one wait. */
static struct err connect_on(PGconn *db, struct when by)
{
    struct polling p = {db, PGRES_POLLING_WRITING};

    while (p.is != PGRES_POLLING_OK) {
        struct watch *w;
        struct err e;

        if (p.is == PGRES_POLLING_FAILED || PQsocket(db) < 0) {
            return err_of(ERR_NETWORK);
        }
        w = watch_open(PQsocket(db));
        e = watch_wait(w, p.is == PGRES_POLLING_READING ? WANT_READ : WANT_WRITE,
                       "PostgreSQL to connect", by);
        watch_close(w);
        if (e.code != OK) {
            return e;
        }
        on_big_stack(poll_there, &p);
    }
    return ERR_OK;
}

static struct err pg_open(struct store *s, void **ret, struct buf *why, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    PGconn *db = start(s->settings, &a);
    struct err e = err_of(ERR_NETWORK);
    struct pg *pg;
    int fd;

    must(db != NULL);
    if (PQstatus(db) != CONNECTION_BAD) {
        e = connect_on(db, by);
    }
    if (e.code != OK) {
        struct str said = message_of(db, &a);

        buf_put(why, said.len > 0 && e.code == ERR_NETWORK ? said : str_of(err_text(e.code)));
        PQfinish(db);
        return e;
    }
    must(PQsetnonblocking(db, 1) == 0);
    fd = fcntl(PQsocket(db), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        e = err_sys(ERR_LIMIT, errno);
        PQfinish(db);
        return e;
    }
    pg = MEM_NEW(struct pg);
    pg->db = db;
    pg->fd = fd;
    pg->watch = watch_open(fd);
    *ret = pg;
    return ERR_OK;
}

static void pg_close(void *connection)
{
    struct pg *pg = connection;

    watch_close(pg->watch);
    close(pg->fd);
    PQfinish(pg->db);
    mem_free(pg);
}

/* ---- asking ---- */

static struct err flush(struct pg *pg, struct when by)
{
    int left;

    while ((left = PQflush(pg->db)) > 0) {
        struct err e = watch_wait(pg->watch, WANT_WRITE, "PostgreSQL to take a question", by);

        if (e.code != OK) {
            return e;
        }
    }
    return left == 0 ? ERR_OK : err_of(ERR_CLOSED);
}

struct receiving {
    PGconn *db;
    PGresult *result;
    bool ok;
};

static void consume_there(void *arg)
{
    struct receiving *r = arg;

    r->ok = PQconsumeInput(r->db) != 0;
}

static void result_there(void *arg)
{
    struct receiving *r = arg;

    r->result = PQgetResult(r->db);
}

/* The next result; *ret NULL: there is none any more. */
static struct err next_result(struct pg *pg, PGresult **ret, struct when by)
{
    struct receiving r = {.db = pg->db};

    while (PQisBusy(pg->db)) {
        struct err e = watch_wait(pg->watch, WANT_READ, "answer of PostgreSQL", by);

        if (e.code != OK) {
            return e;
        }
        on_big_stack(consume_there, &r);
        if (!r.ok) {
            return err_of(ERR_CLOSED);
        }
    }
    on_big_stack(result_there, &r);
    *ret = r.result;
    return ERR_OK;
}

static struct lookup_cell cell_of(const PGresult *r, int row, int column, struct arena *a)
{
    struct str text = str_make(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
    int64_t n;

    if (PQgetisnull(r, row, column)) {
        return cell_text(STR_EMPTY);
    }
    switch (PQftype(r, column)) {
    case OID_BOOL:
        return cell_int(str_eq(text, STR("t")));
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        return str_to_i64(text, &n) ? cell_int(n) : cell_text(arena_dup(a, text));
    case OID_FLOAT4:
    case OID_FLOAT8:
        return cell_real(strtod(arena_z(a, text), NULL));
    default:
        return cell_text(arena_dup(a, text));
    }
}

static struct err take_rows(const PGresult *r, struct arena *a, struct lookup_answer *ret)
{
    int rows = PQntuples(r), columns = PQnfields(r);
    size_t bytes = 0;

    if (!answer_room(a, ret, (size_t)rows, (size_t)columns)) {
        return answer_failed(a, ret, err_of(ERR_SYNTAX), "the answer is too big");
    }
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < columns; k++) {
            struct lookup_cell c = cell_of(r, i, k, a);

            bytes += c.text.len;
            if (bytes > LOOKUP_BYTES_MAX) {
                return answer_failed(a, ret, err_of(ERR_SYNTAX), "the answer is too big");
            }
            ret->cells[i * columns + k] = c;
        }
    }
    return ERR_OK;
}

/* Classes of SQLSTATE that speak of the server, not of the question. */
static bool is_servers_fault(const char *state)
{
    static const char *const classes[] = {"08", "53", "57", "58", "F0", "XX"};

    for (size_t i = 0; state != NULL && i < COUNT_OF(classes); i++) {
        if (state[0] == classes[i][0] && state[1] == classes[i][1]) {
            return true;
        }
    }
    return state == NULL;
}

static struct err take_result(struct pg *pg, const PGresult *r, struct arena *a,
                              struct lookup_answer *ret)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    ExecStatusType status = PQresultStatus(r);
    int64_t n = 0;

    if (status == PGRES_TUPLES_OK) {
        return take_rows(r, a, ret);
    }
    if (status == PGRES_COMMAND_OK) {
        (void)str_to_i64(str_of(PQcmdTuples((PGresult *)(uintptr_t)r)), &n);
        answer_one(a, ret, cell_int(n));
        ret->is_count = true;
        return ERR_OK;
    }
    if (status == PGRES_EMPTY_QUERY) {
        return answer_failed(a, ret, err_of(ERR_SYNTAX), "one statement is asked");
    }
    if (status != PGRES_FATAL_ERROR) { /* COPY and its like would go on for ever */
        pg->is_over = true;
        return answer_failed(a, ret, err_of(ERR_SYNTAX), "this statement cannot be asked");
    }
    if (state != NULL && str_eq(str_of(state), STR("57014"))) { /* statement_timeout */
        return answer_failed(a, ret, err_of(ERR_TIMEOUT), "no answer in time");
    }
    return answer_failed(a, ret, err_of(is_servers_fault(state) ? ERR_NETWORK : ERR_SYNTAX), "%.*s",
                         STR_ARG(message_of(pg->db, a)));
}

struct sending {
    struct pg *pg;
    const char *statement;
    const char *const *values;
    int count, ok;
};

static void send_there(void *arg)
{
    struct sending *s = arg;

    s->ok = PQsendQueryParams(s->pg->db, s->statement, s->count, NULL, s->values, NULL, NULL, 0);
}

static struct err ask_statement(struct pg *pg, struct str statement, const struct lookup_cell *args,
                                size_t count, struct arena *a, struct lookup_answer *ret,
                                struct when by)
{
    const char **values = arena_array(a, count + 1, sizeof *values);
    struct sending sending = {pg, arena_z(a, statement), values, (int)count, 0};
    PGresult *r = NULL;
    struct err e, result = err_of(ERR_PROTOCOL);

    for (size_t i = 0; i < count; i++) {
        values[i] = args[i].type == LOOKUP_TEXT ? arena_z(a, args[i].text)
                    : args[i].type == LOOKUP_INT
                        ? arena_printf(a, "%lld", (long long)args[i].num).ptr
                        : arena_printf(a, "%.17g", args[i].real).ptr;
    }
    on_big_stack(send_there, &sending);
    if (!sending.ok) {
        return answer_failed(a, ret, err_of(ERR_CLOSED), "%.*s", STR_ARG(message_of(pg->db, a)));
    }
    e = flush(pg, by);
    while (e.code == OK && !pg->is_over && (e = next_result(pg, &r, by)).code == OK && r != NULL) {
        result = take_result(pg, r, a, ret);
        PQclear(r);
        r = NULL;
    }
    if (e.code == ERR_CLOSED) {
        return answer_failed(a, ret, e, "%.*s", STR_ARG(message_of(pg->db, a)));
    }
    return e.code != OK ? e : result;
}

static struct err pg_ask(struct store *s, void *connection, const struct lookup_question *q,
                         struct arena *a, struct lookup_answer *ret, struct when by)
{
    struct lookup_cell key = cell_text(q->key);
    bool is_sql = q->verb == LOOKUP_SQL;
    struct err e;

    if (((struct pg *)connection)->is_over) {
        return err_of(ERR_STALE);
    }
    e = ask_statement(connection, is_sql ? q->key : s->settings->query, is_sql ? q->args : &key,
                      is_sql ? q->arg_count : 1, a, ret, by);

    return e.code == OK ? answer_by_key(a, q, ret) : e;
}

const struct backend postgresql_backend = {pg_open, pg_ask, pg_close};
