#!/usr/bin/env python3
"""make_sentencepiece_data: trains small models with the original SentencePiece on this repository's pages, asks it what it
makes of the lines of test/hostile_lines.h, and keeps both in test/data/tokenizers.

  apt install python3-sentencepiece                        (0.1.97 in Debian 12)
  ./print_hostile_lines > lines                            (tools/print_hostile_lines.c)
  tools/make_sentencepiece_data.py lines test/data/tokenizers

Of each family: NAME.model; NAME.ids, a hash of the ids of every line; NAME.text, one of what the first 1,000 decode to; of each
variant NAME.model and NAME.both, ids and text in one, of the first 1,000. FNV-1a of 32 bits, little-endian. NAME.examples has
the ids of some lines: "LINE: id id id". With --all FOLDER the ids of all lines of all models, as text, go there too.
"""

import argparse
import base64
import json
import os
import struct
import sys
import tempfile

import sentencepiece

DECODED_LINES = 1000
EXAMPLES = range(1, 33)
EXAMPLE_IDS_MOST = 80
PAGES = ["ARCHITECTURE.md", "METHOD.md", "MODELS.md", "FAQ.md", "KERNELS.md", "VERIFY.md", "STATISTICS.md", "WORKLOAD.md"]
# Rules of our own, which map begins of one another, blanks, and to nothing.
RULES = "41\t61\n41 42\t78 79\n41 42 43\t7A\n2E 2E\t2026\n9\t20\n200B\t\nDF\t73 73\n3000\t20 20\nE9\t65 301\n"

FAMILIES = {
    # As T5 and ALBERT have it.
    "sp_unigram": dict(model_type="unigram", vocab_size=900, normalization_rule_name="nmt_nfkc"),
    # As Llama 2, Mistral and Gemma have it.
    "sp_bpe": dict(model_type="bpe", vocab_size=1200, normalization_rule_name="identity", byte_fallback=True,
                   split_digits=True, allow_whitespace_only_pieces=True, remove_extra_whitespaces=False),
}
USER_DEFINED = ["<sep>", "the", "ther", "\u2581\u2581\u2581", "  ", "caf\u00e9", "\u4e2d\u6587", "A"]
VARIANTS = {
    "sp_casefold": dict(model_type="bpe", vocab_size=500, normalization_rule_name="nmt_nfkc_cf"),
    "sp_plain": dict(model_type="unigram", vocab_size=500, normalization_rule_name="identity", byte_fallback=True,
                     remove_extra_whitespaces=False),
    "sp_user": dict(model_type="bpe", vocab_size=800, rules=RULES, byte_fallback=True, user_defined_symbols=USER_DEFINED,
                    control_symbols=["<ctl>"]),
    "sp_user_unigram": dict(model_type="unigram", vocab_size=500, rules=RULES, user_defined_symbols=USER_DEFINED,
                            control_symbols=["<ctl>"], remove_extra_whitespaces=False),
    "sp_no_prefix": dict(model_type="bpe", vocab_size=400, rules=RULES, add_dummy_prefix=False),
    "sp_suffix": dict(model_type="unigram", vocab_size=400, rules=RULES, treat_whitespace_as_suffix=True),
    "sp_suffix_bpe": dict(model_type="bpe", vocab_size=600, rules=RULES, treat_whitespace_as_suffix=True,
                          byte_fallback=True, remove_extra_whitespaces=False),
    "sp_across": dict(model_type="bpe", vocab_size=600, rules=RULES, split_by_whitespace=False,
                      unk_surface="?", unk_id=3, bos_id=0, eos_id=-1, pad_id=2, denormalize="78\t41 42\n2026\t2E 2E\n"),
    "sp_unused": dict(model_type="bpe", vocab_size=700, rules=RULES, byte_fallback=True, unused=3),
    "sp_unused_unigram": dict(model_type="unigram", vocab_size=400, rules=RULES, unused=5),
}


def read_lines(path):
    data = open(path, "rb").read()
    at, lines = 0, []
    while at < len(data):
        (count,) = struct.unpack_from("<I", data, at)
        # Bytes that are not UTF-8 become U+FFFD before the library sees them, one for each maximal subpart.
        lines.append(data[at + 4:at + 4 + count].decode("utf-8", errors="replace"))
        at += 4 + count
    return lines


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def put_varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def fields(message):
    at = 0
    while at < len(message):
        begin = at
        tag, at = varint(message, at)
        if tag & 7 == 2:
            count, at = varint(message, at)
            content = message[at:at + count]
            at += count
        else:
            at = at + 4 if tag & 7 == 5 else at + 8 if tag & 7 == 1 else varint(message, at)[1]
            content = message[begin:at]
        yield tag >> 3, content, message[begin:at]


def with_unused(model, every):
    """Every so many-th normal piece of more than one character becomes an unused one; what only says how it was made goes."""
    out, index = b"", 0
    for number, content, whole in fields(model):
        if number == 1:
            kinds = [n for n, _, _ in fields(content)]
            text = next(c for n, c, _ in fields(content) if n == 1).decode()
            if 3 not in kinds and len(text) > 1:
                index += 1
                if every and index % every == 0:
                    content += b"\x18\x05"
            whole = b"\x0a" + put_varint(len(content)) + content
        if number == 2:  # trainer_spec: without the paths of its input and output
            content = b"".join(w for n, _, w in fields(content) if n not in (1, 2, 16))
            whole = b"\x12" + put_varint(len(content)) + content
        out += whole
    return out


def train(folder, name, options):
    options = dict(options)
    every = options.pop("unused", 0)
    pages = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs")
    with tempfile.TemporaryDirectory() as work:
        for key, argument in (("rules", "normalization_rule_tsv"), ("denormalize", "denormalization_rule_tsv")):
            if key in options:
                path = os.path.join(work, key + ".tsv")
                open(path, "w").write(options.pop(key))
                options[argument] = path
        corpus = os.path.join(work, "corpus")
        with open(corpus, "w") as out:
            for page in PAGES:
                out.write(open(os.path.join(pages, page)).read())
            out.write("caf\u00e9 na\u00efve \u4e2d\u6587 \u65e5\u672c\u8a9e \u0440\u0443\u0441\u0441\u043a\u0438\u0439\n" * 20)
        sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=os.path.join(work, "m"), num_threads=1,
                                                 minloglevel=2, **options)
        model = open(os.path.join(work, "m.model"), "rb").read()
    open(os.path.join(folder, name + ".model"), "wb").write(with_unused(model, every))


def write_json(folder, name, model_name, with_bytes, pre_tokenizer):
    """The unigram model as a tokenizer.json, as converters of T5 and XLM-R write it: NAME.json."""
    vocab, unk, charsmap = [], 0, b""
    for number, content, _ in fields(open(os.path.join(folder, model_name + ".model"), "rb").read()):
        parts = {n: c for n, c, _ in fields(content)} if number in (1, 3) else {}
        if number == 1:
            (score,) = struct.unpack("<f", parts[2][1:]) if 2 in parts else (0.0,)
            if parts.get(3, b"\x18\x01")[1] == 2:
                unk = len(vocab)
            vocab.append([parts[1].decode(), score])
        if number == 3:
            charsmap = parts.get(2, b"")
    mapped = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    added = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for i, (text, _) in enumerate(vocab) if text in ("<unk>", "<s>", "</s>")]
    file = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            mapped, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]} if charsmap else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre_tokenizer + [metaspace]},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, metaspace]} if with_bytes else metaspace,
        "model": {"type": "Unigram", "unk_id": unk, "vocab": vocab, "byte_fallback": with_bytes},
    }
    with open(os.path.join(folder, name + ".json"), "w") as out:
        json.dump(file, out, ensure_ascii=False, separators=(",", ":"))


def fnv(value, data):
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def hash_ids(ids):
    return fnv(2166136261, struct.pack("<%dI" % len(ids), *ids))


def write_hashes(path, hashes):
    open(path, "wb").write(struct.pack("<%dI" % len(hashes), *hashes))


def make_data(lines, folder, name, is_family, everything):
    path = os.path.join(folder, name)
    processor = sentencepiece.SentencePieceProcessor(model_file=path + ".model")
    ids, texts, both, examples = [], [], [], ""
    out = open(os.path.join(everything, name + ".all"), "w") if everything else None
    for index, text in enumerate(lines):
        if not is_family and not out and index == DECODED_LINES:
            break
        line = processor.encode(text)
        if out:
            out.write("%d: %s\n" % (index, " ".join(map(str, line))))
        if is_family:
            ids.append(hash_ids(line))
        if index < DECODED_LINES:
            decoded = processor.decode(line).encode()
            texts.append(fnv(2166136261, decoded))
            both.append(fnv(hash_ids(line), decoded))
        if index in EXAMPLES and len(line) <= EXAMPLE_IDS_MOST:
            examples += "\n%d: %s" % (index, " ".join(map(str, line)))
    if is_family:
        write_hashes(path + ".ids", ids)
        write_hashes(path + ".text", texts)
        open(path + ".examples", "w").write(examples + "\n")
    else:
        write_hashes(path + ".both", both)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lines")
    parser.add_argument("folder")
    parser.add_argument("--all")
    parser.add_argument("--keep", action="store_true", help="do not train; ask the models that there are")
    options = parser.parse_args()
    lines = read_lines(options.lines)
    for name, arguments in {**FAMILIES, **VARIANTS}.items():
        if not options.keep:
            train(options.folder, name, arguments)
        make_data(lines, options.folder, name, name in FAMILIES, options.all)
    # What these are to Hugging Face's reader: make_tokenizer_data.js.
    write_json(options.folder, "unigram", "sp_user_unigram", False, [])
    write_json(options.folder, "unigram_bytes", "sp_plain", True, [{"type": "WhitespaceSplit"}])


sys.exit(main())
