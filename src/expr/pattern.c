#include "expr/pattern.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdatomic.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/*
 * 1. A match needs memory of its own (offsets, backtracking, the compiled code's stack). It is
 *    taken from a small shared pool before, and given back after; nothing suspends in between.
 * 2. The pool holds as many as ever ran at once, SCRATCH_MAX at most; it is never emptied.
 * 3. Compiled code never runs on the caller's stack: each scratch has a stack on the heap.
 */
enum { SCRATCH_MAX = 32, JIT_STACK_START = 32 * 1024, JIT_STACK_MAX = 512 * 1024 };

struct pattern {
    struct pattern *next;
    struct str text;
    pcre2_code *code;
    unsigned groups;
};

struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack; /* NULL where the library compiles no code for this machine */
};

static _Atomic(struct scratch *) pool[SCRATCH_MAX];

static struct scratch *scratch_new(void)
{
    struct scratch *s = MEM_NEW(struct scratch);

    s->data = pcre2_match_data_create(PATTERN_GROUPS_MAX, NULL);
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
    must(s->data != NULL);
    must(s->context != NULL);
    pcre2_set_match_limit(s->context, PATTERN_STEPS_MAX);
    pcre2_set_depth_limit(s->context, PATTERN_STEPS_MAX);
    pcre2_set_heap_limit(s->context, PATTERN_HEAP_KIB);
    if (s->stack != NULL) {
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    }
    return s;
}

static struct scratch *scratch_take(void)
{
    for (size_t i = 0; i < SCRATCH_MAX; i++) {
        struct scratch *s = atomic_exchange(&pool[i], NULL);

        if (s != NULL) {
            return s;
        }
    }
    return scratch_new();
}

static void scratch_give(struct scratch *s)
{
    for (size_t i = 0; i < SCRATCH_MAX; i++) {
        struct scratch *none = NULL;

        if (atomic_compare_exchange_strong(&pool[i], &none, s)) {
            return;
        }
    }
    pcre2_jit_stack_free(s->stack);
    pcre2_match_context_free(s->context);
    pcre2_match_data_free(s->data);
    mem_free(s);
}

static struct str say_error(struct arena *a, int number)
{
    unsigned char at[256] = "";

    pcre2_get_error_message(number, at, sizeof at);
    return arena_printf(a, "%s", (const char *)at);
}

static const struct pattern *keep(struct patterns *all, struct str text, pcre2_code *code,
                                  unsigned groups)
{
    struct pattern *p = MEM_NEW(struct pattern);

    p->text = str_make(mem_dup_z(text.ptr, text.len), text.len);
    p->code = code;
    p->groups = groups;
    p->next = all->first;
    all->first = p;
    return p;
}

const struct pattern *pattern_get(struct patterns *all, struct arena *a, struct str text,
                                  struct str *error, size_t *at)
{
    uint32_t options = PCRE2_NEVER_BACKSLASH_C, groups = 0;
    pcre2_code *code;
    int number = 0;

    *at = 0;
    for (struct pattern *p = all->first; p != NULL; p = p->next) {
        if (str_eq(p->text, text)) {
            return p;
        }
    }
    if (text.len > PATTERN_BYTES_MAX) {
        *error = STR("the pattern is longer than 8192 bytes");
        return NULL;
    }
    if (str_is_utf8(text)) {
        options |= PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
    }
    code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options, &number, at, NULL);
    if (code == NULL) {
        *error = say_error(a, number);
        return NULL;
    }
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups >= PATTERN_GROUPS_MAX) {
        pcre2_code_free(code);
        *error = STR("the pattern has more than 31 groups; write (?:...) for those not needed");
        return NULL;
    }
    /* Where no code can be compiled the same pattern is interpreted: slower, with equal answers. */
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    return keep(all, text, code, groups);
}

unsigned pattern_groups(const struct pattern *p)
{
    return p->groups;
}

void patterns_done(struct patterns *all)
{
    while (all->first != NULL) {
        struct pattern *p = all->first;

        all->first = p->next;
        pcre2_code_free(p->code);
        mem_free((void *)(uintptr_t)p->text.ptr);
        mem_free(p);
    }
}

static void fetch(const struct scratch *s, struct str subject, unsigned found,
                  struct str caught[PATTERN_GROUPS_MAX])
{
    const size_t *offsets = pcre2_get_ovector_pointer(s->data);

    for (unsigned i = 0; i < found; i++) {
        size_t from = offsets[2 * i], to = offsets[2 * i + 1];

        /* \K in a look-ahead can put the start behind the end. */
        caught[i] = from == PCRE2_UNSET || to == PCRE2_UNSET || from > to || to > subject.len
                        ? STR_EMPTY
                        : str_make(subject.ptr + from, to - from);
    }
}

enum pattern_found pattern_match(const struct pattern *p, struct str subject,
                                 struct str caught[PATTERN_GROUPS_MAX], unsigned *count)
{
    struct scratch *s = scratch_take();
    struct str text = subject.len > 0 ? subject : STR_EMPTY;
    enum pattern_found ret = PATTERN_LIMIT;
    int found = pcre2_match(p->code, (PCRE2_SPTR)text.ptr, text.len, 0, 0, s->data, s->context);

    *count = 0;
    if (found == PCRE2_ERROR_NOMATCH) {
        ret = PATTERN_NO;
    } else if (found >= 0) {
        ret = PATTERN_YES;
        *count = p->groups + 1;
        for (unsigned i = 0; i < *count; i++) {
            caught[i] = STR_EMPTY;
        }
        fetch(s, text, (unsigned)found, caught);
    }
    scratch_give(s);
    return ret;
}
