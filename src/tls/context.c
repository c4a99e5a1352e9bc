/*
 * Servers, clients and trusts: OpenSSL contexts made once and shared.
 *
 *  1. Nothing here is changed after it was made, so any thread may use it.
 *  2. A client that verifies and one that does not are two contexts and two session caches: a
 *     session made without a check is never resumed by a client that must check.
 */
#include "base/arena.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/sim.h"
#include "tls/part.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct tls_trust {
    atomic_uint refs;
    X509_STORE *store;
    SSL_CTX *identity; /* holds certificate, chain and key; NULL: we show nothing */
    char digest[2 * EVP_MAX_MD_SIZE + 1];
};

struct str tls_openssl_says(char *at, size_t size)
{
    unsigned long code = ERR_peek_error();
    const char *reason;
    int n;

    if (ERR_SYSTEM_ERROR(code)) {
        n = snprintf(at, size, "%s", strerror(ERR_GET_REASON(code)));
    } else {
        reason = ERR_reason_error_string(code);
        n = reason != NULL ? snprintf(at, size, "%s", reason)
                           : snprintf(at, size, "error %08lx", code);
    }
    ERR_clear_error();
    return str_make(at, n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1);
}

static struct err refuse_file(struct buf *why, const char *what, const char *path)
{
    char said[128];
    struct str s = tls_openssl_says(said, sizeof said);

    buf_printf(why, "%s %s: %.*s", what, path, STR_ARG(s));
    return err_of(ERR_CONFIG);
}

/* Keys with a pass phrase would ask on the terminal: refuse them instead. */
static int no_pass_phrase(char *at, int size, int writing, void *ctx)
{
    (void)at;
    (void)size;
    (void)writing;
    *(bool *)ctx = true;
    return -1;
}

static SSL_CTX *context_new(const SSL_METHOD *method, const char *ciphers)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    must(ctx != NULL);
    must(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    must(SSL_CTX_set_cipher_list(ctx, ciphers) == 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* One read of the socket a record instead of two; a layer reads until the library has none. */
    SSL_CTX_set_read_ahead(ctx, 1);
    return ctx;
}

static struct err load_key(SSL_CTX *ctx, const char *path, struct buf *why)
{
    bool wants_phrase = false;
    EVP_PKEY *key;
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        buf_printf(why, "key file %s: %s", path, strerror(errno));
        return err_of(ERR_CONFIG);
    }
    key = PEM_read_PrivateKey(file, NULL, no_pass_phrase, &wants_phrase);
    (void)fclose(file);
    if (key == NULL && wants_phrase) {
        ERR_clear_error();
        buf_printf(why, "key file %s: the key is protected by a pass phrase", path);
        return err_of(ERR_CONFIG);
    }
    if (key == NULL) {
        return refuse_file(why, "key file", path);
    }
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        EVP_PKEY_free(key);
        ERR_clear_error();
        buf_printf(why, "key file %s: not the key of the certificate", path);
        return err_of(ERR_CONFIG);
    }
    EVP_PKEY_free(key);
    return ERR_OK;
}

struct load {
    struct str certificate, key; /* of a trust: the bundle, and nothing */
    struct tls_server *server;
    struct tls_trust *trust;
    struct buf *why;
    struct err e;
};

/* NULL: l->e says so. */
static SSL_CTX *load_pair(struct load *l, const SSL_METHOD *method)
{
    struct arena a ARENA_LOCAL = {0};
    const char *certificate = arena_z(&a, l->certificate), *key = arena_z(&a, l->key);
    SSL_CTX *ctx = context_new(method, "DEFAULT:@SECLEVEL=1");

    ERR_clear_error();
    if (access(certificate, R_OK) != 0) {
        buf_printf(l->why, "certificate file %s: %s", certificate, strerror(errno));
        l->e = err_of(ERR_CONFIG);
    } else if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1) {
        l->e = refuse_file(l->why, "certificate file", certificate);
    } else {
        l->e = load_key(ctx, key, l->why);
    }
    if (l->e.code != OK) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static void load_server(void *arg)
{
    static const unsigned char id[] = "postyard";
    struct load *l = arg;
    SSL_CTX *ctx = load_pair(l, TLS_server_method());

    if (ctx == NULL) {
        return;
    }
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need no memory of ours */
    must(SSL_CTX_set_num_tickets(ctx, 1) == 1);
    must(SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1) == 1);
    must(SSL_CTX_set_dh_auto(ctx, 1) == 1);
    l->server = MEM_NEW(struct tls_server);
    l->server->ctx = ctx;
    l->server->refs = 1;
}

struct tls_server *tls_server_sim(struct tls_sim what)
{
    struct tls_server *s = MEM_NEW(struct tls_server);

    s->sim = what;
    s->sim.names.ptr = mem_dup_z(what.names.ptr, what.names.len);
    s->refs = 1;
    return s;
}

struct err tls_server_load(struct str certificate, struct str key, struct tls_server **ret,
                           struct buf *why)
{
    struct load l = {.certificate = certificate, .key = key, .why = why};

    if (world_is_simulated()) {
        const struct tls_sim *sim = sim_service("tls");

        if (sim == NULL) {
            buf_printf(why, "certificate: the scenario has none");
            return err_of(ERR_CONFIG);
        }
        *ret = tls_server_sim(*sim);
        return ERR_OK;
    }
    on_big_stack(load_server, &l);
    if (l.e.code == OK) {
        *ret = l.server;
    }
    return l.e;
}

struct tls_server *tls_server_keep(struct tls_server *s)
{
    s->refs++;
    return s;
}

void tls_server_drop(struct tls_server *s)
{
    if (s == NULL || --s->refs > 0) {
        return;
    }
    SSL_CTX_free(s->ctx);
    if (s->ctx == NULL) {
        mem_free((void *)(uintptr_t)s->sim.names.ptr);
    }
    mem_free(s);
}

/* Digests of what was read, not of files: the order of a bundle counts, its comments do not. A key
 * is known by its certificate. */
static void add_certificate(EVP_MD_CTX *all, const X509 *certificate)
{
    unsigned char one[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    must(X509_digest(certificate, EVP_sha256(), one, &len) == 1);
    must(EVP_DigestUpdate(all, one, len) == 1);
}

static void add_revocations(EVP_MD_CTX *all, const X509_CRL *list)
{
    unsigned char one[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    must(X509_CRL_digest(list, EVP_sha256(), one, &len) == 1);
    must(EVP_DigestUpdate(all, one, len) == 1);
}

static void add_identity(EVP_MD_CTX *all, SSL_CTX *identity)
{
    STACK_OF(X509) *chain = NULL;

    must(EVP_DigestUpdate(all, "we", 2) == 1);
    add_certificate(all, SSL_CTX_get0_certificate(identity));
    must(SSL_CTX_get0_chain_certs(identity, &chain) == 1);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        add_certificate(all, sk_X509_value(chain, i));
    }
}

static void make_digest(struct tls_trust *t)
{
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(t->store);
    unsigned char out[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *all = EVP_MD_CTX_new();
    unsigned len = 0;

    must(all != NULL);
    must(EVP_DigestInit_ex(all, EVP_sha256(), NULL) == 1);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        const X509_OBJECT *o = sk_X509_OBJECT_value(objects, i);

        if (X509_OBJECT_get_type(o) == X509_LU_X509) {
            add_certificate(all, X509_OBJECT_get0_X509(o));
        } else if (X509_OBJECT_get_type(o) == X509_LU_CRL) {
            add_revocations(all, X509_OBJECT_get0_X509_CRL(o));
        }
    }
    if (t->identity != NULL) {
        add_identity(all, t->identity);
    }
    must(EVP_DigestFinal_ex(all, out, &len) == 1);
    EVP_MD_CTX_free(all);
    for (unsigned i = 0; i < len; i++) {
        (void)snprintf(t->digest + (size_t)2 * i, 3, "%02x", out[i]);
    }
}

static void load_trust(void *arg)
{
    struct load *l = arg;
    struct arena a ARENA_LOCAL = {0};
    const char *path = arena_z(&a, l->certificate);
    struct tls_trust *t = MEM_NEW(struct tls_trust);

    atomic_init(&t->refs, 1);
    ERR_clear_error();
    t->store = X509_STORE_new();
    must(t->store != NULL);
    if (l->certificate.len == 0 ? X509_STORE_set_default_paths(t->store) != 1
                                : X509_STORE_load_file(t->store, path) != 1) {
        l->e = refuse_file(l->why, "authorities", l->certificate.len ? path : "of the system");
        tls_trust_drop(t);
        return;
    }
    ERR_clear_error(); /* a system without a bundle loads, and then trusts nobody */
    make_digest(t);
    l->trust = t;
}

static void load_identity(void *arg)
{
    struct load *l = arg;

    l->trust->identity = load_pair(l, TLS_client_method());
    if (l->trust->identity != NULL) {
        make_digest(l->trust);
    }
}

struct err tls_trust_load(struct str file, struct tls_trust **ret, struct buf *why)
{
    struct load l = {.certificate = file, .why = why};

    on_big_stack(load_trust, &l);
    if (l.e.code == OK) {
        *ret = l.trust;
    }
    return l.e;
}

struct err tls_trust_identify(struct tls_trust *t, struct str certificate, struct str key,
                              struct buf *why)
{
    struct load l = {.certificate = certificate, .key = key, .trust = t, .why = why};

    must(t->identity == NULL);
    on_big_stack(load_identity, &l);
    return l.e;
}

struct tls_trust *tls_trust_keep(struct tls_trust *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_trust_drop(struct tls_trust *t)
{
    if (t != NULL && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        X509_STORE_free(t->store);
        SSL_CTX_free(t->identity);
        mem_free(t);
    }
}

struct str tls_trust_digest(const struct tls_trust *t)
{
    return str_of(t->digest);
}

/* What the identity was read with is as good for another context: it was looked at then. */
static void give_identity(SSL_CTX *from, SSL_CTX *to)
{
    STACK_OF(X509) *chain = NULL;
    int level = SSL_CTX_get_security_level(to);

    must(SSL_CTX_get0_chain_certs(from, &chain) == 1);
    SSL_CTX_set_security_level(to, SSL_CTX_get_security_level(from));
    must(SSL_CTX_use_cert_and_key(to, SSL_CTX_get0_certificate(from), SSL_CTX_get0_privatekey(from),
                                  chain, 1) == 1);
    SSL_CTX_set_security_level(to, level);
}

void tls_trust_give(void *trust, void *ssl_ctx)
{
    const struct tls_trust *t = trust;

    SSL_CTX_set1_cert_store(ssl_ctx, t->store);
    if (t->identity != NULL) {
        give_identity(t->identity, ssl_ctx);
    }
    SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
}

/* The opportunistic client does not look: a chain nobody judges is not worth the time and stack. */
static int accept_any(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 1;
}

static void verify_now(void *arg)
{
    struct {
        X509_STORE_CTX *store;
        int ret;
    } *v = arg;

    v->ret = X509_verify_cert(v->store);
}

static int verify_deep(X509_STORE_CTX *store, void *arg)
{
    struct {
        X509_STORE_CTX *store;
        int ret;
    } v = {store, 0};

    (void)arg;
    on_big_stack(verify_now, &v);
    return v.ret;
}

/* OpenSSL calls this for each ticket; returning 1 takes the reference. */
static int remember(SSL *ssl, SSL_SESSION *session)
{
    struct tls_layer *t = SSL_get_app_data(ssl);

    if (t == NULL || t->key[0] == '\0') {
        return 0;
    }
    tls_sessions_put(t->client->sessions, str_of(t->key), session);
    return 1;
}

static struct tls_client *client_new(SSL_CTX *ctx, bool verify)
{
    struct tls_client *c = MEM_NEW(struct tls_client);

    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, remember);
    c->ctx = ctx;
    c->sessions = tls_sessions_new();
    c->verify = verify;
    c->refs = 1;
    return c;
}

struct tls_client *tls_client_opportunistic(void)
{
    SSL_CTX *ctx = context_new(TLS_client_method(), "DEFAULT:@SECLEVEL=0");

    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
    return client_new(ctx, false);
}

struct tls_client *tls_client_verified(struct tls_trust *trust)
{
    SSL_CTX *ctx = context_new(TLS_client_method(), "DEFAULT:@SECLEVEL=2");

    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify_deep, NULL);
    SSL_CTX_set1_cert_store(ctx, trust->store);
    return client_new(ctx, true);
}

struct tls_client *tls_client_keep(struct tls_client *c)
{
    c->refs++;
    return c;
}

void tls_client_drop(struct tls_client *c)
{
    if (c == NULL || --c->refs > 0) {
        return;
    }
    SSL_CTX_free(c->ctx);
    tls_sessions_free(c->sessions);
    mem_free(c);
}
