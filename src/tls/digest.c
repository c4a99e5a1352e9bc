#include "tls/digest.h"

#include "base/check.h"

#include <openssl/evp.h>

static const struct {
    const char *name;
    const EVP_MD *(*algorithm)(void);
} algorithms[] = {
    {"md5", EVP_md5},
    {"sha1", EVP_sha1},
    {"sha256", EVP_sha256},
    {"sha512", EVP_sha512},
};

size_t digest_of(struct str algorithm, struct str bytes, uint8_t out[DIGEST_BYTES_MAX])
{
    for (size_t i = 0; i < COUNT_OF(algorithms); i++) {
        unsigned len = 0;

        if (str_eq(algorithm, str_of(algorithms[i].name))) {
            return EVP_Digest(bytes.ptr, bytes.len, out, &len, algorithms[i].algorithm(), NULL) == 1
                       ? len
                       : 0;
        }
    }
    return 0;
}
