// A tokenizer.model: SentencePiece's ModelProto. Source of the fields: sentencepiece_model.proto. Those that only say how the
// model was trained are passed over, as are extensions.
#include "sys/file.h"
#include "text/protobuf.h"
#include "text/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_BYTES 32

enum {
    MODEL_PIECES = 1,
    MODEL_TRAINER = 2,
    MODEL_NORMALIZER = 3,
    MODEL_DENORMALIZER = 5,
    PIECE_TEXT = 1,
    PIECE_SCORE = 2,
    PIECE_TYPE = 3,
    TRAINER_TYPE = 3,
    TRAINER_SUFFIX = 24,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNKNOWN_SURFACE = 44,
    TRAINER_BEGIN = 46,
    TRAINER_END = 47,
    NORMALIZER_CHARSMAP = 2,
    NORMALIZER_PREFIX = 3,
    NORMALIZER_REMOVES_EXTRA = 4,
    NORMALIZER_ESCAPES = 5,
};

struct text {
    const char *data;
    size_t count;
};

struct reader {
    struct qm_tokenizer *tokenizer;
    const char *file;
    struct text begin, end; // the texts of the pieces that go before and behind a text
};

static enum qm_status read_flag(const struct qm_protobuf *message, const struct qm_protobuf_field *field,
                                const char *name, bool *out)
{
    QM_TRY(qm_protobuf_expect(message, field, QM_PROTOBUF_VARINT, name));
    *out = field->value != 0;
    return QM_OK;
}

static enum qm_status read_text(const struct qm_protobuf *message, const struct qm_protobuf_field *field,
                                const char *name, struct text *out)
{
    QM_TRY(qm_protobuf_expect(message, field, QM_PROTOBUF_BYTES, name));
    *out = (struct text){(const char *)field->bytes, field->count};
    if (qm_utf8_valid(out->data, out->count) < out->count)
        return QM_FAIL(QM_INVALID, "%s: %s: '%s' is not UTF-8; the file is damaged, fetch it again", message->file,
                       message->place, name);
    return QM_OK;
}

// Pieces -----------------------------------------------------------------------------------------------------------------

static enum qm_status read_score(const struct qm_protobuf *message, const struct qm_protobuf_field *field, float *out)
{
    QM_TRY(qm_protobuf_expect(message, field, QM_PROTOBUF_FIXED32, "score"));
    uint32_t bits = (uint32_t)field->value;
    memcpy(out, &bits, sizeof(*out));
    return QM_OK;
}

static enum qm_status read_piece(struct reader *reader, const struct qm_protobuf_field *of, uint32_t id)
{
    struct text text = {0};
    float score = 0;
    uint64_t type = QM_PIECE_NORMAL;
    char place[PLACE_BYTES];
    bool found = true;
    snprintf(place, sizeof(place), "pieces[%u]", id);
    struct qm_protobuf message = {.bytes = of->bytes, .count = of->count, .file = reader->file, .place = place};
    for (;;) {
        struct qm_protobuf_field field;
        QM_TRY(qm_protobuf_next(&message, &field, &found));
        if (!found)
            break;
        if (field.number == PIECE_TEXT)
            QM_TRY(read_text(&message, &field, "piece", &text));
        else if (field.number == PIECE_SCORE)
            QM_TRY(read_score(&message, &field, &score));
        else if (field.number == PIECE_TYPE)
            QM_TRY(qm_protobuf_expect(&message, &field, QM_PROTOBUF_VARINT, "type"));
        if (field.number == PIECE_TYPE)
            type = field.value;
    }
    return qm_tokenizer_add_piece(reader->tokenizer, id, text.data, text.count, score, type);
}

// How many there are, so that nothing has to grow.
static enum qm_status count_pieces(const struct qm_protobuf *whole, uint32_t *count)
{
    struct qm_protobuf message = *whole;
    struct qm_protobuf_field field;
    bool found = true;
    *count = 0;
    while (found) {
        QM_TRY(qm_protobuf_next(&message, &field, &found));
        if (!found || field.number != MODEL_PIECES)
            continue;
        if (++*count > QM_TOKEN_ID_MAX)
            return QM_FAIL(QM_INVALID, "%s: more than %u pieces; at most so many are supported", message.file,
                           QM_TOKEN_ID_MAX);
    }
    return QM_OK;
}

// Specifications ---------------------------------------------------------------------------------------------------------

static enum qm_status read_model_type(struct reader *reader, uint64_t type)
{
    static const char *const names[] = {"of no type", "UNIGRAM", "BPE", "WORD", "CHAR"};
    reader->tokenizer->pieces.is_unigram = type == 1;
    if (type == 1 || type == 2)
        return QM_OK;
    return QM_FAIL(QM_UNSUPPORTED, "%s: trainer_spec: the model is %s; UNIGRAM and BPE are supported", reader->file,
                   type < sizeof(names) / sizeof(names[0]) ? names[type] : "of an unknown type");
}

static enum qm_status read_trainer(struct reader *reader, const struct qm_protobuf_field *of)
{
    struct qm_pieces *pieces = &reader->tokenizer->pieces;
    struct qm_protobuf message = {
        .bytes = of->bytes, .count = of->count, .file = reader->file, .place = "trainer_spec"};
    for (;;) {
        struct qm_protobuf_field field;
        struct text surface;
        bool found = true;
        QM_TRY(qm_protobuf_next(&message, &field, &found));
        if (!found)
            return QM_OK;
        switch (field.number) {
        case TRAINER_TYPE:
            QM_TRY(qm_protobuf_expect(&message, &field, QM_PROTOBUF_VARINT, "model_type"));
            QM_TRY(read_model_type(reader, field.value));
            break;
        case TRAINER_SUFFIX:
            QM_TRY(read_flag(&message, &field, "treat_whitespace_as_suffix", &pieces->normalizer.at_end));
            break;
        case TRAINER_BYTE_FALLBACK:
            QM_TRY(read_flag(&message, &field, "byte_fallback", &pieces->byte_fallback));
            break;
        case TRAINER_UNKNOWN_SURFACE:
            QM_TRY(read_text(&message, &field, "unk_surface", &surface));
            pieces->unknown_surface.count = 0;
            QM_TRY(qm_bytes_add(&pieces->unknown_surface, surface.data, surface.count));
            break;
        case TRAINER_BEGIN:
            QM_TRY(read_text(&message, &field, "bos_piece", &reader->begin));
            break;
        case TRAINER_END:
            QM_TRY(read_text(&message, &field, "eos_piece", &reader->end));
            break;
        default:
            break;
        }
    }
}

static enum qm_status read_normalizer(const struct reader *reader, const struct qm_protobuf_field *of,
                                      const char *place, struct qm_piece_normalizer *out)
{
    struct qm_protobuf message = {.bytes = of->bytes, .count = of->count, .file = reader->file, .place = place};
    for (;;) {
        struct qm_protobuf_field field;
        bool found = true;
        QM_TRY(qm_protobuf_next(&message, &field, &found));
        if (!found)
            return QM_OK;
        switch (field.number) {
        case NORMALIZER_CHARSMAP:
            QM_TRY(qm_protobuf_expect(&message, &field, QM_PROTOBUF_BYTES, "precompiled_charsmap"));
            qm_charsmap_free(&out->charsmap);
            QM_TRY(qm_charsmap_read(field.bytes, field.count, reader->file, place, &out->charsmap));
            break;
        case NORMALIZER_PREFIX:
            QM_TRY(read_flag(&message, &field, "add_dummy_prefix", &out->adds_prefix));
            break;
        case NORMALIZER_REMOVES_EXTRA:
            QM_TRY(read_flag(&message, &field, "remove_extra_whitespaces", &out->removes_extra));
            break;
        case NORMALIZER_ESCAPES:
            QM_TRY(read_flag(&message, &field, "escape_whitespaces", &out->escapes));
            break;
        default:
            break;
        }
    }
}

static enum qm_status read_model(struct reader *reader, struct qm_protobuf message)
{
    struct qm_pieces *pieces = &reader->tokenizer->pieces;
    uint32_t id = 0;
    for (;;) {
        struct qm_protobuf_field field;
        bool found = true;
        QM_TRY(qm_protobuf_next(&message, &field, &found));
        if (!found)
            return QM_OK;
        if (field.number > MODEL_DENORMALIZER)
            continue; // an extension
        QM_TRY(qm_protobuf_expect(&message, &field, QM_PROTOBUF_BYTES, "a part of the model"));
        if (field.number == MODEL_PIECES)
            QM_TRY(read_piece(reader, &field, id++));
        else if (field.number == MODEL_TRAINER)
            QM_TRY(read_trainer(reader, &field));
        else if (field.number == MODEL_NORMALIZER)
            QM_TRY(read_normalizer(reader, &field, "normalizer_spec", &pieces->normalizer));
        else if (field.number == MODEL_DENORMALIZER)
            QM_TRY(read_normalizer(reader, &field, "denormalizer_spec", &pieces->denormalizer));
    }
}

// The whole --------------------------------------------------------------------------------------------------------------

// The id of a control piece; false if there is none, as the original says -1.
static bool find_control(const struct qm_tokenizer *tokenizer, const struct text *text, uint32_t *id)
{
    *id = qm_vocabulary_find(&tokenizer->bpe.vocabulary, text->data, text->count);
    return *id != QM_TOKEN_NONE && tokenizer->pieces.types[*id] == QM_PIECE_CONTROL;
}

static enum qm_status check_bytes(const struct reader *reader)
{
    const struct qm_pieces *pieces = &reader->tokenizer->pieces;
    for (uint32_t id = 0; !pieces->byte_fallback && id < pieces->vocabulary->id_count; id++)
        if (pieces->types[id] == QM_PIECE_BYTE)
            return QM_FAIL(QM_INVALID, "%s: pieces[%u] is a byte, and trainer_spec has no byte_fallback; set it",
                           reader->file, id);
    return QM_OK;
}

static enum qm_status read_all(struct reader *reader, const void *bytes, size_t count, bool adds_begin, bool adds_end)
{
    struct qm_tokenizer *tokenizer = reader->tokenizer;
    struct qm_pieces *pieces = &tokenizer->pieces;
    const struct qm_protobuf message = {.bytes = bytes, .count = count, .file = reader->file, .place = "the file"};
    uint32_t piece_count = 0;
    QM_TRY(count_pieces(&message, &piece_count));
    if (piece_count == 0)
        return QM_FAIL(QM_INVALID, "%s: there is no piece in it; expected a SentencePiece model", reader->file);
    QM_TRY(qm_tokenizer_begin_pieces(tokenizer, piece_count));
    pieces->is_unigram = true; // what the format has where a field is not there
    pieces->normalizer.adds_prefix = pieces->normalizer.removes_extra = pieces->normalizer.escapes = true;
    pieces->denormalizer = pieces->normalizer;
    reader->begin = (struct text){"<s>", 3};
    reader->end = (struct text){"</s>", 4};
    QM_TRY(qm_bytes_add(&pieces->unknown_surface, " \xe2\x81\x87 ", 5));
    QM_TRY(read_model(reader, message));
    QM_TRY(check_bytes(reader));
    QM_TRY(qm_pieces_finish(pieces));
    tokenizer->token_count = tokenizer->bpe.vocabulary.used;
    if (adds_begin && find_control(tokenizer, &reader->begin, &tokenizer->prefix[0]))
        tokenizer->prefix_count = 1;
    if (adds_end && find_control(tokenizer, &reader->end, &tokenizer->suffix[0]))
        tokenizer->suffix_count = 1;
    return QM_OK;
}

enum qm_status qm_tokenizer_parse_pieces(const void *bytes, size_t count, const char *file, bool adds_begin,
                                         bool adds_end, struct qm_tokenizer **out)
{
    struct reader reader = {.file = file};
    *out = NULL;
    if (count > QM_TOKENIZER_FILE_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: %zu bytes; at most %zu can be read", file, count, QM_TOKENIZER_FILE_BYTES_MAX);
    QM_TRY(qm_tokenizer_new(file, &reader.tokenizer));
    qm_hash_bytes(bytes, count, reader.tokenizer->sha256);
    enum qm_status status = read_all(&reader, bytes, count, adds_begin, adds_end);
    if (status != QM_OK)
        qm_tokenizer_destroy(&reader.tokenizer);
    *out = reader.tokenizer;
    return status;
}

enum qm_status qm_tokenizer_load_pieces(const char *path, bool adds_begin, bool adds_end, struct qm_tokenizer **out)
{
    void *bytes = NULL;
    size_t count = 0;
    *out = NULL;
    QM_TRY(qm_file_read(path, QM_TOKENIZER_FILE_BYTES_MAX, &bytes, &count));
    enum qm_status status = qm_tokenizer_parse_pieces(bytes, count, path, adds_begin, adds_end, out);
    free(bytes);
    return status;
}
