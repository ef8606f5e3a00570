#include "cli/options.h"
#include "cli/verbs.h"
#include "record/node.h"
#include "record/result.h"
#include "record/sign.h"

#include <stdio.h>

static enum qm_status new_key(const char *path, const char *comment)
{
    struct qm_public_key key;
    QM_TRY(qm_key_pair_create(path, comment ? comment : "", &key));
    printf("%s: the secret key; keep it to yourself, with a copy in a safe place\n"
           "%s.pub: the public key; publish it where people know you\n"
           "fingerprint: %s\n",
           path, path, key.fingerprint);
    return QM_OK;
}

static enum qm_status sign_result(const char *path, const struct qm_secret_key *key)
{
    char written[QM_PATH_BYTES];
    char content[QM_HASH_TEXT_BYTES];
    struct qm_node *result = NULL;
    QM_TRY(qm_result_load(path, &result, NULL));
    enum qm_status status = qm_signature_write(path, result, key, written, content);
    qm_node_destroy(&result);
    if (status == QM_OK)
        printf("%s: content %s\n", written, content);
    return status;
}

static enum qm_status sign_results(const char *key_path, const char *const *paths, size_t count)
{
    struct qm_secret_key key;
    enum qm_status status = qm_secret_key_load(key_path, &key);
    for (size_t i = 0; i < count && status == QM_OK; i++)
        status = sign_result(paths[i], &key);
    if (status == QM_OK)
        printf("signed by key %s\n", key.fingerprint);
    qm_secret_key_wipe(&key);
    return status;
}

int qm_verb_sign(int argc, char **argv)
{
    bool done = false;
    const char *key_path = NULL;
    const char *new_path = NULL;
    const char *comment = NULL;
    const struct qm_option options[] = {
        {"key", QM_OPTION_TEXT, &key_path, "FILE", "sign with this secret key"},
        {"new-key", QM_OPTION_TEXT, &new_path, "FILE", "make a key pair: FILE and FILE.pub; nothing is replaced"},
        {"comment", QM_OPTION_TEXT, &comment, "TEXT", "whose key it is, for FILE.pub"},
    };
    const struct qm_command command = {
        .verb = "sign",
        .operands = "RESULT...",
        .operands_max = 1000,
        .meaning = "Vouch for results: write RESULT.sig, an Ed25519 signature over the content hash.",
        .details = "It proves that whoever holds the key vouched for this content, and not that its numbers are true;\n"
                   "docs/SIGNING.md has the formats. 'qmark sign --new-key FILE' makes a key.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **files = NULL;
    size_t count = 0;
    enum qm_status status = qm_command_parse(&command, argc, argv, &files, &count, &done);
    if (status == QM_OK && done)
        return QM_EXIT_OK;
    if (status == QM_OK && new_path && (key_path || count > 0))
        status = QM_FAIL(QM_INVALID, "sign: --new-key only makes a key; sign in a second call, with --key FILE");
    if (status == QM_OK && comment && !new_path)
        status = QM_FAIL(QM_INVALID, "sign: --comment is of a new key; add --new-key FILE");
    if (status == QM_OK && !new_path && (!key_path || count == 0))
        status = QM_FAIL(QM_INVALID, "sign: expected a result and a key; write 'qmark sign RESULT... --key FILE', or "
                                     "'qmark sign --new-key FILE'");
    if (status == QM_OK)
        status = new_path ? new_key(new_path, comment) : sign_results(key_path, files, count);
    return status == QM_OK ? QM_EXIT_OK : qm_verb_fail(status);
}
