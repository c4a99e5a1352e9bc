/*
 * paused: whether an operator's pause covers a job that is being prepared, or a part of it. The
 * pauses that name a queue or a destination alone are the queue's business; these need the
 * envelope.
 */
#include "delivery/part.h"
#include "queue/pause.h"
#include "runtime/clock.h"

/* Covered recipients become a job of their own: their time moves by a millisecond, which is what
 * keeps jobs apart (queue/job.h). No attempt is spent. */
static void part(struct job *j, const struct pause *const *covers)
{
    struct work *w = j->work;

    w->results = arena_array(&w->arena, w->to_count, sizeof *w->results);
    for (uint32_t i = 0; i < w->to_count; i++) {
        w->results[i] = state_next(job_recipient(j, i));
        if (covers[i] != NULL) {
            w->results[i].next = date_add(w->results[i].next, 1);
        }
    }
    queue_prepared(w, PREPARED_RESULTS, STR_EMPTY, WAIT_NOT_DUE, DATE_NEVER, STR_EMPTY);
}

bool answer_paused(struct job *j)
{
    struct work *w = j->work;
    struct date now = clock_date();
    const struct pause **covers;
    uint32_t covered = 0;

    if (w->pauses == NULL) {
        return false;
    }
    covers = arena_array(&w->arena, w->to_count, sizeof(*covers));
    for (uint32_t i = 0; i < w->to_count; i++) {
        covers[i] = pauses_match(w->pauses, &w->parcel->message, job_recipient(j, i), now,
                                 &w->arena);
        covered += covers[i] != NULL;
    }
    if (covered == 0) {
        return false;
    }
    if (covered < w->to_count) {
        part(j, covers);
    } else {
        must(covers[0] != NULL);
        queue_prepared(w, PREPARED_WAIT, STR_EMPTY, WAIT_PAUSED, covers[0]->until,
                       pause_text(covers[0], &w->arena));
    }
    return true;
}
