#include "lookup/answer.h"

#include "base/buf.h"
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const verbs[] = {
    [LOOKUP_GET] = "key_get",
    [LOOKUP_EXISTS] = "key_exists",
    [LOOKUP_SET] = "key_set",
    [LOOKUP_COUNTER] = "counter_get",
    [LOOKUP_COUNTER_INCR] = "counter_incr",
    [LOOKUP_SQL] = "sql_query",
};

const char *lookup_verb_name(enum lookup_verb verb)
{
    return verbs[verb];
}

bool answer_room(struct arena *a, struct lookup_answer *ret, size_t rows, size_t columns)
{
    if (columns > 0 && rows > LOOKUP_CELLS_MAX / columns) {
        return false;
    }
    ret->rows = rows;
    ret->columns = columns;
    ret->cells = arena_array(a, rows * columns + 1, sizeof *ret->cells);
    return true;
}

void answer_one(struct arena *a, struct lookup_answer *ret, struct lookup_cell cell)
{
    must(answer_room(a, ret, 1, 1));
    ret->cells[0] = cell;
    if (cell.type == LOOKUP_TEXT) {
        ret->cells[0].text = arena_dup(a, cell.text);
    }
}

static struct lookup_cell cell_copy(struct arena *a, struct lookup_cell cell)
{
    if (cell.type == LOOKUP_TEXT) {
        cell.text = arena_dup(a, cell.text);
    }
    return cell;
}

void answer_copy(struct arena *a, struct lookup_answer *ret, const struct lookup_answer *from)
{
    *ret = (struct lookup_answer){.is_count = from->is_count, .why = arena_dup(a, from->why)};
    must(answer_room(a, ret, from->rows, from->columns));
    for (size_t i = 0; i < from->rows * from->columns; i++) {
        ret->cells[i] = cell_copy(a, from->cells[i]);
    }
}

size_t answer_bytes(const struct lookup_answer *n)
{
    size_t sum = sizeof *n;

    for (size_t i = 0; i < n->rows * n->columns; i++) {
        sum += sizeof *n->cells + (n->cells[i].type == LOOKUP_TEXT ? n->cells[i].text.len : 0);
    }
    return sum;
}

struct err answer_failed(struct arena *a, struct lookup_answer *ret, struct err e,
                         const char *format, ...)
{
    struct buf text BUF_LOCAL = {0};
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    *ret = (struct lookup_answer){.why = arena_dup(a, buf_str(&text))};
    return e;
}

struct err answer_by_key(struct arena *a, const struct lookup_question *q,
                         struct lookup_answer *ret)
{
    bool is_there = ret->rows > 0 && !ret->is_count;

    if (q->verb == LOOKUP_SQL) {
        return ERR_OK;
    }
    ret->is_count = false;
    if (q->verb == LOOKUP_EXISTS) {
        answer_one(a, ret, cell_int(is_there));
    } else if (!is_there) {
        ret->rows = 0;
    } else {
        answer_one(a, ret, ret->cells[0]);
    }
    return ERR_OK;
}

static void put_bytes(struct buf *b, struct str s)
{
    buf_num(b, (int64_t)s.len);
    buf_byte(b, ':');
    buf_put(b, s);
}

struct str question_key(struct arena *a, const struct lookup_question *q)
{
    struct buf b BUF_LOCAL = {0};

    buf_byte(&b, (char)('a' + q->verb));
    put_bytes(&b, q->key);
    put_bytes(&b, q->verb == LOOKUP_SET ? q->value : STR_EMPTY);
    buf_num(&b, q->by);
    for (size_t i = 0; i < q->arg_count; i++) {
        const struct lookup_cell *cell = &q->args[i];

        buf_byte(&b, (char)('A' + cell->type));
        if (cell->type == LOOKUP_TEXT) {
            put_bytes(&b, cell->text);
        } else if (cell->type == LOOKUP_INT) {
            buf_num(&b, cell->num);
        } else {
            buf_printf(&b, "%a", cell->real);
        }
    }
    return arena_dup(a, buf_str(&b));
}

bool question_is_kept(const struct lookup_question *q)
{
    return q->verb == LOOKUP_GET || q->verb == LOOKUP_EXISTS ||
           (q->verb == LOOKUP_SQL && str_starts_nocase(str_trim_ws(q->key), STR("select ")));
}

bool question_only_reads(const struct lookup_question *q)
{
    return q->verb == LOOKUP_COUNTER || question_is_kept(q);
}

void question_copy(struct arena *a, struct lookup_question *ret, const struct lookup_question *from)
{
    struct lookup_cell *args = arena_array(a, from->arg_count + 1, sizeof *args);

    *ret = *from;
    ret->store = arena_dup(a, from->store);
    ret->key = arena_dup(a, from->key);
    ret->value = arena_dup(a, from->value);
    for (size_t i = 0; i < from->arg_count; i++) {
        args[i] = cell_copy(a, from->args[i]);
    }
    ret->args = args;
}
