/*
 * Sessions a client remembers, so that the next connection to the same host costs less.
 *
 * One client is shared by all loops, and a session may be used by any of them: the one lock here is
 * OpenSSL's own (its reference counts are atomic anyway), held for a look into a table. A cache per
 * loop would need no lock and miss most of the time.
 */
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "runtime/random.h"
#include "tls/part.h"

#include <openssl/crypto.h>

struct tls_sessions {
    CRYPTO_RWLOCK *lock;
    struct map by_key;
    struct list oldest_first;
};

struct entry {
    struct link link;
    struct str key; /* right behind this struct */
    SSL_SESSION *session;
};

struct tls_sessions *tls_sessions_new(void)
{
    struct tls_sessions *c = MEM_NEW(struct tls_sessions);

    c->lock = CRYPTO_THREAD_lock_new();
    must(c->lock != NULL);
    c->by_key.seed = random_u64();
    list_init(&c->oldest_first);
    return c;
}

static void forget(struct tls_sessions *c, struct entry *e)
{
    map_take(&c->by_key, e->key);
    list_remove(&e->link);
    SSL_SESSION_free(e->session);
    mem_free(e);
}

void tls_sessions_free(struct tls_sessions *c)
{
    struct link *k;

    if (c == NULL) {
        return;
    }
    while ((k = list_first(&c->oldest_first)) != NULL) {
        forget(c, CONTAINER_OF(k, struct entry, link));
    }
    map_done(&c->by_key);
    CRYPTO_THREAD_lock_free(c->lock);
    mem_free(c);
}

void tls_sessions_put(struct tls_sessions *c, struct str key, SSL_SESSION *session)
{
    struct entry *e;

    must(CRYPTO_THREAD_write_lock(c->lock) == 1);
    e = map_get(&c->by_key, key);
    if (e != NULL) {
        forget(c, e);
    } else if (c->by_key.count >= TLS_SESSIONS_MAX) {
        forget(c, CONTAINER_OF(list_first(&c->oldest_first), struct entry, link));
    }
    e = mem_alloc(sizeof *e + key.len);
    memcpy(e + 1, key.ptr, key.len);
    e->key = str_make((const char *)(e + 1), key.len);
    e->session = session;
    map_put(&c->by_key, e->key, e);
    list_push(&c->oldest_first, &e->link);
    CRYPTO_THREAD_unlock(c->lock);
}

SSL_SESSION *tls_sessions_take(struct tls_sessions *c, struct str key)
{
    SSL_SESSION *session = NULL;
    struct entry *e;

    must(CRYPTO_THREAD_write_lock(c->lock) == 1);
    e = map_get(&c->by_key, key);
    if (e != NULL) {
        session = e->session;
        must(SSL_SESSION_up_ref(session) == 1);
        if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) {
            forget(c, e);
        }
    }
    CRYPTO_THREAD_unlock(c->lock);
    return session;
}
