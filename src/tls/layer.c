/*
 * The layer: a transport over another transport, with OpenSSL between them.
 *
 *  1. OpenSSL reads and writes through a BIO of our own that calls the lower transport's try
 *     functions, so nothing here suspends but the handshake's waits.
 *  2. OpenSSL's error queue belongs to the thread: it is emptied before each call, and read right
 *     after it, before anything can suspend.
 *  3. A call that wants more remembers which wait of the lower transport would help.
 */
#include "base/addr.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "tls/part.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>

enum { RECEIVE, SEND };
enum { RECORD_MAX = 16384 };

struct err tls_fail(struct tls_layer *t, struct err e, const char *format, ...)
{
    va_list args;

    if (t->failed.code == OK) {
        t->failed = e;
        va_start(args, format);
        (void)vsnprintf(t->failure, sizeof t->failure, format, args);
        va_end(args);
    }
    return t->failed;
}

/* The BIO: data is the layer. */

static int bio_done(BIO *b, struct tls_layer *t, struct err e, int direction, size_t n,
                    unsigned want)
{
    if (e.code != OK) {
        t->lower_said = e;
        return e.code == ERR_CLOSED && direction == RECEIVE ? 0 : -1;
    }
    if (n > 0) {
        return (int)n;
    }
    t->lower_wants[direction] = want;
    if (direction == RECEIVE) {
        BIO_set_retry_read(b);
    } else {
        BIO_set_retry_write(b);
    }
    return -1;
}

static int bio_read(BIO *b, char *at, int size)
{
    struct tls_layer *t = BIO_get_data(b);
    unsigned want = WANT_READ;
    size_t n = 0;
    struct err e;

    BIO_clear_retry_flags(b);
    if (at == NULL || size <= 0) {
        return 0;
    }
    e = t->lower->ops->try_recv(t->lower, at, (size_t)size, &n, &want);
    return bio_done(b, t, e, RECEIVE, n, want);
}

static int bio_write(BIO *b, const char *at, int size)
{
    struct tls_layer *t = BIO_get_data(b);
    struct iovec iov = {(void *)(uintptr_t)at, size > 0 ? (size_t)size : 0};
    unsigned want = WANT_WRITE;
    size_t n = 0;
    struct err e;

    BIO_clear_retry_flags(b);
    if (at == NULL || size <= 0) {
        return 0;
    }
    e = t->lower->ops->try_send(t->lower, &iov, 1, &n, &want);
    return bio_done(b, t, e, SEND, n, want);
}

static long bio_ctrl(BIO *b, int cmd, long number, void *pointer)
{
    const struct tls_layer *t = BIO_get_data(b);

    (void)number;
    (void)pointer;
    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return t->lower_said.code == ERR_CLOSED;
    default:
        return 0;
    }
}

static BIO_METHOD *bio_method;

static void bio_method_make(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "postyard transport");
    must(bio_method != NULL);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static BIO *bio_over(struct tls_layer *t)
{
    static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
    BIO *b;

    must(CRYPTO_THREAD_run_once(&once, bio_method_make) == 1);
    b = BIO_new(bio_method);
    must(b != NULL);
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    return b;
}

/* What OpenSSL's answer means: a wait (OK, with *want), the end, or a failure for good. */
static struct err judge(struct tls_layer *t, int ret, unsigned *want, const char *doing)
{
    char said[128];
    struct str s;
    long verdict;

    switch (SSL_get_error(t->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        *want = t->lower_wants[RECEIVE] ? t->lower_wants[RECEIVE] : WANT_READ;
        return ERR_OK;
    case SSL_ERROR_WANT_WRITE:
        *want = t->lower_wants[SEND] ? t->lower_wants[SEND] : WANT_WRITE;
        return ERR_OK;
    case SSL_ERROR_ZERO_RETURN:
        return tls_fail(t, err_of(ERR_CLOSED), "closed by the other side");
    default:
        break;
    }
    if (t->lower_said.code != OK) {
        ERR_clear_error();
        s = err_say(t->lower_said, said, sizeof said);
        return tls_fail(t, t->lower_said, "%s: %.*s", doing, STR_ARG(s));
    }
    s = tls_openssl_says(said, sizeof said);
    verdict = SSL_get_verify_result(t->ssl);
    if (t->client != NULL && t->client->verify && verdict != X509_V_OK) {
        return tls_fail(t, err_of(ERR_TLS), "certificate of %s refused: %s", t->name,
                        X509_verify_cert_error_string(verdict));
    }
    return tls_fail(t, err_of(ERR_TLS), "%s: %.*s", doing, STR_ARG(s));
}

static struct err layer_try_recv(struct transport *transport, char *at, size_t size, size_t *got,
                                 unsigned *want)
{
    struct tls_layer *t = CONTAINER_OF(transport, struct tls_layer, transport);
    int ret;

    *got = 0;
    if (t->failed.code != OK) {
        return t->failed;
    }
    ERR_clear_error();
    ret = SSL_read_ex(t->ssl, at, size, got);
    return ret == 1 ? ERR_OK : judge(t, ret, want, "TLS read");
}

/*
 * One record's worth as one run of bytes: a record for each small piece would cost more than the
 * copy. After "not now" OpenSSL wants to be called with the same bytes again, at least as many: the
 * caller still has them unsent, so the run is the same or longer.
 */
static struct str gather(const struct iovec *iov, unsigned count)
{
    static _Thread_local char run[RECORD_MAX];
    size_t len = 0, n;

    if (count == 1 || iov[0].iov_len >= RECORD_MAX) {
        return str_make(iov[0].iov_base, iov[0].iov_len < RECORD_MAX ? iov[0].iov_len : RECORD_MAX);
    }
    for (unsigned i = 0; i < count && len < RECORD_MAX; i++) {
        n = RECORD_MAX - len < iov[i].iov_len ? RECORD_MAX - len : iov[i].iov_len;
        if (n > 0) {
            memcpy(run + len, iov[i].iov_base, n);
        }
        len += n;
    }
    return str_make(run, len);
}

static struct err layer_try_send(struct transport *transport, const struct iovec *iov,
                                 unsigned count, size_t *sent, unsigned *want)
{
    struct tls_layer *t = CONTAINER_OF(transport, struct tls_layer, transport);
    struct str run = count > 0 ? gather(iov, count) : STR_EMPTY;
    int ret;

    *sent = 0;
    if (t->failed.code != OK || run.len == 0) {
        return t->failed;
    }
    ERR_clear_error();
    ret = SSL_write_ex(t->ssl, run.ptr, run.len, sent);
    return ret == 1 ? ERR_OK : judge(t, ret, want, "TLS write");
}

static struct err layer_wait(struct transport *transport, unsigned want, const char *what,
                             struct when by)
{
    struct tls_layer *t = CONTAINER_OF(transport, struct tls_layer, transport);

    if (t->failed.code != OK) {
        return t->failed;
    }
    return t->lower->ops->wait(t->lower, want, what, by);
}

void tls_layer_free(struct tls_layer *t)
{
    t->lower->ops->close(t->lower);
    tls_server_drop(t->server);
    tls_client_drop(t->client);
    mem_free(t);
}

static void layer_close(struct transport *transport)
{
    struct tls_layer *t = CONTAINER_OF(transport, struct tls_layer, transport);

    if (t->ssl != NULL) {
        ERR_clear_error();
        if (t->open && (t->failed.code == OK || t->failed.code == ERR_CLOSED)) {
            (void)SSL_shutdown(t->ssl); /* close_notify, if the socket takes it now */
        }
        SSL_free(t->ssl);
        ERR_clear_error();
    }
    tls_layer_free(t);
}

const struct transport_ops tls_layer_ops = {layer_try_recv, layer_try_send, layer_wait,
                                            layer_close};

/* The name to ask for and, when the client must verify, to find in the certificate. */
static void expect_name(struct tls_layer *t)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    struct addr a;
    bool is_address = addr_parse_ip(str_of(t->name), &a);

    if (!is_address) {
        must(SSL_set_tlsext_host_name(t->ssl, t->name) == 1);
    }
    if (!t->client->verify) {
        return;
    }
    if (is_address) {
        must(X509_VERIFY_PARAM_set1_ip_asc(param, t->name) == 1);
    } else {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        must(X509_VERIFY_PARAM_set1_host(param, t->name, 0) == 1);
    }
}

static void prepare(struct tls_layer *t)
{
    SSL_SESSION *session;
    BIO *b;

    t->ssl = SSL_new(t->client != NULL ? t->client->ctx : t->server->ctx);
    must(t->ssl != NULL);
    SSL_set_app_data(t->ssl, t);
    b = bio_over(t);
    SSL_set_bio(t->ssl, b, b);
    if (t->client == NULL) {
        SSL_set_accept_state(t->ssl);
        return;
    }
    SSL_set_connect_state(t->ssl);
    expect_name(t);
    session = tls_sessions_take(t->client->sessions, str_of(t->key));
    if (session != NULL) {
        (void)SSL_set_session(t->ssl, session);
        SSL_SESSION_free(session);
    }
}

struct err tls_handshake_real(struct tls_layer *t, struct when by)
{
    unsigned want = 0;
    struct err e;
    int ret;

    prepare(t);
    for (;;) {
        ERR_clear_error();
        ret = SSL_do_handshake(t->ssl);
        if (ret == 1) {
            t->verified = t->client != NULL && t->client->verify &&
                          SSL_get_verify_result(t->ssl) == X509_V_OK;
            return ERR_OK;
        }
        e = judge(t, ret, &want, "TLS handshake");
        if (e.code != OK) {
            return e;
        }
        e = t->lower->ops->wait(t->lower, want, "TLS handshake", by);
        if (e.code != OK) {
            return tls_fail(t, e, "TLS handshake: %s", err_text(e.code));
        }
    }
}
