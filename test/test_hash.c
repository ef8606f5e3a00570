// SHA-256: the standard's examples, and that pieces of any size and place give what the whole gives.
#include "base/hash.h"
#include "base/random.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, const char *expected)
{
    char hash[QM_HASH_TEXT_BYTES];
    qm_hash_bytes(text, strlen(text), hash);
    assert_string_equal(hash, expected);
}

// FIPS 180-4's examples.
static void test_examples(void **state)
{
    (void)state;
    check("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = malloc(1000001);
    memset(million, 'a', 1000000);
    million[1000000] = '\0';
    check(million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

static void test_pieces(void **state)
{
    (void)state;
    enum {
        BYTES = 5000,
        TURNS = 3000
    };
    unsigned char bytes[BYTES], digest[crypto_hash_sha256_BYTES];
    char expected[QM_HASH_TEXT_BYTES], text[QM_HASH_TEXT_BYTES];
    struct qm_random random;
    qm_random_seed(&random, 5, 0);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)qm_random_u32(&random);
    for (int turn = 0; turn < TURNS; turn++) {
        size_t begin = qm_random_below(&random, BYTES), count = qm_random_below(&random, (uint32_t)(BYTES - begin) + 1);
        size_t longest = turn % 3 == 0 ? 10 : turn % 3 == 1 ? 200 : BYTES;
        struct qm_hash hash;
        crypto_hash_sha256(digest, bytes + begin, count);
        sodium_bin2hex(expected, sizeof(expected), digest, sizeof(digest));
        qm_hash_begin(&hash);
        for (size_t done = 0; done < count;) {
            size_t some = qm_random_below(&random, (uint32_t)longest + 1);
            some = some < count - done ? some : count - done;
            qm_hash_add(&hash, bytes + begin + done, some);
            done += some;
        }
        qm_hash_end(&hash, text);
        assert_string_equal(text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples), cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
