#!/usr/bin/env python3
"""Makes a result claim more than was measured, for trials of `qmark reproduce`.

  tools/raise_rates.py RESULT.yaml FACTOR

Multiplies every absolute rate of `throughput`, with its interval, and writes the hash of the new content, so that nothing in
the file tells of the change (its samples do: `qmark verify` finds it). Needs python3-yaml.
"""
import hashlib
import re
import sys

import yaml


def scalars(node, path):
    """(JSON pointer, text) of every scalar, keys by their bytes, as core/record/node.h has it."""
    if isinstance(node, dict):
        if not node:
            yield path + "/", "{}"
        for key in sorted(node, key=lambda k: k.encode()):
            yield from scalars(node[key], path + "/" + key.replace("~", "~0").replace("/", "~1"))
    elif isinstance(node, list):
        if not node:
            yield path + "/", "[]"
        for i, item in enumerate(node):
            yield from scalars(item, "%s/%d" % (path, i))
    else:
        yield path, node


def content_hash(text):
    root = yaml.load(text, Loader=yaml.BaseLoader)
    root.pop("hash", None)
    digest = hashlib.sha256()
    for path, value in scalars(root, ""):
        digest.update(path.encode() + b"\0" + value.encode() + b"\0")
    return digest.hexdigest()


def main(path, factor):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    stated = re.search(r'^hash: "?([0-9a-f]{64})"?$', text, re.M)
    if not stated or stated.group(1) != content_hash(text):
        sys.exit("raise_rates: %s is not as qmark wrote it" % path)
    number = r"[-+.0-9e]+"

    def raised(match):
        return re.sub(r": (%s)" % number, lambda m: ": %r" % (float(m.group(1)) * factor), match.group(0))

    text, count = re.subn(r"^ +rate_tokens_per_s: %s\n +low: %s\n +high: %s\n +wall_rate_tokens_per_s: %s\n" % (
        (number,) * 4), raised, text, flags=re.M)
    if count == 0:
        sys.exit("raise_rates: %s has no rate" % path)
    text = re.sub(r"^hash: .*$", 'hash: "%s"' % content_hash(text), text, flags=re.M)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], float(sys.argv[2]))
