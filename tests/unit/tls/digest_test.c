#include "../unit.h"
#include "base/buf.h"
#include "base/check.h"
#include "tls/digest.h"

static void each_algorithm_gives_what_its_standard_says(void **state)
{
    static const struct {
        const char *algorithm, *bytes, *want;
    } rows[] = {
        {"md5", "", "d41d8cd98f00b204e9800998ecf8427e"},
        {"md5", "abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"sha256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"sha512", "abc",
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
         "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
        {"SHA256", "abc", ""},
        {"sha3", "abc", ""},
        {"", "abc", ""},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t bytes[DIGEST_BYTES_MAX];
        size_t len = digest_of(str_of(rows[i].algorithm), str_of(rows[i].bytes), bytes);
        struct buf hex BUF_LOCAL = {0};

        for (size_t at = 0; at < len; at++) {
            buf_printf(&hex, "%02x", bytes[at]);
        }
        EXPECT_STR(buf_str(&hex), rows[i].want);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm_gives_what_its_standard_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
