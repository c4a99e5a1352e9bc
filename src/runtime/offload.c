#include "runtime/offload.h"

#include "base/mem.h"
#include "runtime/real.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* One pool for the process, started at first use; its threads live as long as the process. They
 * wait for jobs in order; a job that blocks holds one thread, so a flush is never behind more than
 * the few others that block too. */
enum { THREADS = 4 };

struct job {
    struct post post;
    struct job *next;
    void (*fn)(void *);
    void *arg;
    struct loop *back;
    struct fiber *fiber;
    bool done;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *first, **last;
    unsigned idle;
} pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, NULL, 0};

/* Jobs whose thread may still touch the loop they belong to. */
static atomic_uint under_way;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void done(struct post *p)
{
    struct job *j = CONTAINER_OF(p, struct job, post);

    j->done = true;
    fiber_wake_with(j->fiber, OK);
}

static void *work(void *arg)
{
    (void)arg;
    for (;;) {
        struct job *j;

        pthread_mutex_lock(&pool.lock);
        while (pool.first == NULL) {
            pool.idle++;
            pthread_cond_wait(&pool.more, &pool.lock);
            pool.idle--;
        }
        j = pool.first;
        pool.first = j->next;
        if (pool.first == NULL) {
            pool.last = &pool.first;
        }
        pthread_mutex_unlock(&pool.lock);
        j->fn(j->arg);
        loop_post(j->back, &j->post);
        atomic_fetch_sub(&under_way, 1);
    }
    return NULL;
}

static void start(void)
{
    pool.last = &pool.first;
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;

        must(pthread_create(&thread, NULL, work, NULL) == 0);
        pthread_setname_np(thread, "offload");
        pthread_detach(thread);
    }
}

void real_offload(const char *what, void (*fn)(void *), void *arg, struct when by)
{
    struct job j = {.post.run = done, .fn = fn, .arg = arg};
    bool ring;

    j.back = loop_self();
    j.fiber = fiber_self();
    atomic_fetch_add(&under_way, 1);
    pthread_once(&once, start);
    pthread_mutex_lock(&pool.lock);
    *pool.last = &j;
    pool.last = &j.next;
    ring = pool.idle > 0;
    pthread_mutex_unlock(&pool.lock);
    if (ring) {
        pthread_cond_signal(&pool.more);
    }
    while (!j.done) {
        fiber_wait_firm(what, by);
    }
}

/* A job's fiber may go on, and its world end, before its thread has rung the bell: wait for that.
 */
void real_offload_settle(void)
{
    while (atomic_load(&under_way) > 0) {
        sched_yield();
    }
}

void offload(const char *what, void (*fn)(void *), void *arg, struct when by)
{
    loop_self()->world->ops->offload(what, fn, arg, by);
}
