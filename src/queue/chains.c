#include "queue/chains.h"

#include "base/mem.h"
#include "queue/job.h"

enum { SIZE_LEAST = 64 };

/* Ids are ours, rising, and nobody chooses them: mixing is all that a hash must do here. */
static size_t home_of(const struct chains *c, uint64_t message)
{
    uint64_t h = message * 0x9e3779b97f4a7c15u;

    return (size_t)(h ^ h >> 32) & (c->size - 1);
}

/* The place that holds it, or the free one where it would go. */
static size_t find(const struct chains *c, uint64_t message)
{
    size_t at = home_of(c, message);

    while (c->places[at] != NULL && c->places[at]->message != message) {
        at = (at + 1) & (c->size - 1);
    }
    return at;
}

static void grow(struct chains *c)
{
    struct chains old = *c;

    c->size = old.size ? old.size * 2 : SIZE_LEAST;
    c->places = mem_array(c->size, sizeof(struct job *));
    for (size_t i = 0; i < old.size; i++) {
        if (old.places[i] != NULL) {
            c->places[find(c, old.places[i]->message)] = old.places[i];
        }
    }
    mem_free(old.places);
}

struct job *chains_get(const struct chains *c, uint64_t message)
{
    return c->size ? c->places[find(c, message)] : NULL;
}

void chains_put(struct chains *c, struct job *first)
{
    size_t at;

    if (c->count * 4 >= c->size * 3) {
        grow(c);
    }
    at = find(c, first->message);
    c->count += c->places[at] == NULL;
    c->places[at] = first;
}

void chains_take(struct chains *c, uint64_t message)
{
    size_t hole, at;

    must(c->size > 0);
    hole = at = find(c, message);
    must(c->places[hole] != NULL);
    /* Close the gap: move back each later one of the run that may stand in the hole. */
    for (;;) {
        size_t home;

        at = (at + 1) & (c->size - 1);
        if (c->places[at] == NULL) {
            break;
        }
        home = home_of(c, c->places[at]->message);
        if (((at - home) & (c->size - 1)) >= ((at - hole) & (c->size - 1))) {
            c->places[hole] = c->places[at];
            hole = at;
        }
    }
    c->places[hole] = NULL;
    c->count--;
}

struct job *chains_any(const struct chains *c, size_t *at)
{
    while (*at < c->size && c->places[*at] == NULL) {
        (*at)++;
    }
    return *at < c->size ? c->places[*at] : NULL;
}

void chains_done(struct chains *c)
{
    mem_free(c->places);
    *c = (struct chains){0};
}
