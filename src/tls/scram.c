#include "tls/scram.h"

#include "base/base64.h"
#include "base/check.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

enum { SALT_BYTES_MAX = 1024 };

void scram_begin(struct scram *s, struct str user, struct str nonce, struct buf *out)
{
    *s = (struct scram){0};
    buf_put(&s->first, STR("n="));
    for (size_t i = 0; i < user.len; i++) {
        buf_put(&s->first, user.ptr[i] == '='   ? STR("=3D")
                           : user.ptr[i] == ',' ? STR("=2C")
                                                : str_make(user.ptr + i, 1));
    }
    buf_put(&s->first, STR(",r="));
    buf_put(&s->first, nonce);
    s->nonce = str_skip(buf_str(&s->first), s->first.len - nonce.len);
    buf_put(out, STR("n,,"));
    buf_put(out, buf_str(&s->first));
}

/* "k=value" from the front; false: it begins with something else. */
static bool attribute(struct str *rest, char key, struct str *ret)
{
    struct str head;

    if (rest->len < 2 || rest->ptr[0] != key || rest->ptr[1] != '=') {
        return false;
    }
    str_cut(rest, ',', &head);
    *ret = str_skip(head, 2);
    return true;
}

struct challenge {
    struct str nonce;
    struct buf salt;
    uint64_t rounds;
};

static bool read_challenge(const struct scram *s, struct str text, struct challenge *ret,
                           const char **why)
{
    struct str salt, rounds;

    if (!attribute(&text, 'r', &ret->nonce) || !attribute(&text, 's', &salt) ||
        !attribute(&text, 'i', &rounds) || !base64_decode(&ret->salt, salt) || ret->salt.len == 0 ||
        ret->salt.len > SALT_BYTES_MAX || !str_to_u64(rounds, &ret->rounds)) {
        *why = "the host's challenge is no challenge of SCRAM";
        return false;
    }
    if (!str_starts(ret->nonce, s->nonce) || ret->nonce.len == s->nonce.len) {
        *why = "the host's challenge does not answer ours";
        return false;
    }
    if (ret->rounds < SCRAM_ROUNDS_MIN || ret->rounds > SCRAM_ROUNDS_MAX) {
        *why = "the host wants fewer rounds than are safe, or more than are sane";
        return false;
    }
    return true;
}

static void hmac(const unsigned char key[SCRAM_DIGEST_BYTES], struct str text,
                 unsigned char ret[SCRAM_DIGEST_BYTES])
{
    must(HMAC(EVP_sha256(), key, SCRAM_DIGEST_BYTES, (const unsigned char *)text.ptr, text.len, ret,
              NULL) != NULL);
}

static void prove(struct scram *s, struct str secret, const struct challenge *c,
                  struct str said_by_all, struct buf *out)
{
    unsigned char salted[SCRAM_DIGEST_BYTES], key[SCRAM_DIGEST_BYTES], stored[SCRAM_DIGEST_BYTES];

    must(PKCS5_PBKDF2_HMAC(secret.ptr, (int)secret.len, (const unsigned char *)c->salt.ptr,
                           (int)c->salt.len, (int)c->rounds, EVP_sha256(), SCRAM_DIGEST_BYTES,
                           salted) == 1);
    hmac(salted, STR("Server Key"), key);
    hmac(key, said_by_all, s->theirs);
    hmac(salted, STR("Client Key"), key);
    must(SHA256(key, sizeof key, stored) != NULL);
    hmac(stored, said_by_all, salted); /* now the client's signature */
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] ^= salted[i];
    }
    base64_encode(out, str_make((const char *)key, sizeof key));
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(stored, sizeof stored);
}

bool scram_answer(struct scram *s, struct str secret, struct str text, struct buf *out,
                  const char **why)
{
    struct challenge c = {.nonce = STR_EMPTY};
    struct buf all BUF_LOCAL = {0};
    bool ok = read_challenge(s, text, &c, why);
    size_t from = out->len;

    if (ok) {
        buf_put(out, STR("c=biws,r=")); /* "n,," */
        buf_put(out, c.nonce);
        buf_put(&all, buf_str(&s->first));
        buf_byte(&all, ',');
        buf_put(&all, text);
        buf_byte(&all, ',');
        buf_put(&all, str_skip(buf_str(out), from));
        buf_put(out, STR(",p="));
        prove(s, secret, &c, buf_str(&all), out);
    }
    buf_done(&c.salt);
    return ok;
}

bool scram_is_proof(const struct scram *s, struct str final)
{
    struct buf proof BUF_LOCAL = {0};
    struct str text;

    return attribute(&final, 'v', &text) && base64_decode(&proof, text) &&
           proof.len == SCRAM_DIGEST_BYTES &&
           CRYPTO_memcmp(proof.ptr, s->theirs, SCRAM_DIGEST_BYTES) == 0;
}

void scram_done(struct scram *s)
{
    buf_done(&s->first);
    OPENSSL_cleanse(s, sizeof *s);
}
