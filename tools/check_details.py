#!/usr/bin/env python3
"""Do a result's details, sets and exact match follow from its samples?

  tools/check_details.py RESULT.yaml...

The samples file must lie beside each result. Every value of `accuracy.details`, the sets' means with their spread, and the
shares of exact match are computed again from the per-token scores, by another program than the one that wrote them, and
must agree to 1e-9. Intervals are not drawn again. Exit: 0 all agree, 1 one does not, 2 bad input. Needs python3-yaml.
"""
import array
import json
import math
import os
import struct
import sys

import yaml

BINS = 15
NOT_GRADED = 2**32 - 1
SCORES = ["kl", "nll", "nll_reference", "confidence", "confidence_reference"]
SOURCE_SCORES = ["source_kl", "source_kl_reference"]
FLAGS = ["same_top", "hit", "hit_reference"]


class Samples:
    """The tensors of a samples file; 64-bit ones are stored as pairs of 32-bit words."""

    def __init__(self, path):
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            self.header = json.loads(file.read(size))
            self.data = file.read()

    def read(self, name, code):
        begin, end = self.header[name]["data_offsets"]
        return array.array(code, self.data[begin:end])


def mean(values):
    return math.fsum(values) / len(values)


def correlation(x, y):
    x_mean, y_mean = mean(x), mean(y)
    product = math.fsum((a - x_mean) * (b - y_mean) for a, b in zip(x, y))
    squares = math.fsum((a - x_mean) ** 2 for a in x) * math.fsum((b - y_mean) ** 2 for b in y)
    return product / math.sqrt(squares)


def calibration_error(confidence, hit):
    gaps = [0.0] * BINS
    bin_of = 0
    order = sorted(range(len(hit)), key=lambda i: confidence[i])
    for rank, i in enumerate(order):
        if rank == 0 or confidence[i] != confidence[order[rank - 1]]:
            bin_of = rank * BINS // len(hit)
        gaps[bin_of] += confidence[i] - hit[i]
    return math.fsum(abs(gap) for gap in gaps) / len(hit)


def expected_details(s, is_answer):
    kl = sorted(s["kl"])
    out = {}
    for name, permille in (("50", 500), ("90", 900), ("95", 950), ("99", 990), ("99.9", 999)):
        out["kl_divergence_p" + name] = kl[-(-len(kl) * permille // 1000) - 1]
    for limit in ("0.01", "0.1", "1"):
        out["kl_divergence_over_" + limit] = mean([k > float(limit) for k in kl])
    out["log_likelihood_correlation"] = correlation(s["nll"], s["nll_reference"])
    drawn = [i for i, has in enumerate(s["has_source"]) if has]
    if drawn:
        out["source_kl"] = mean([s["source_kl"][i] for i in drawn])
        out["source_kl_difference"] = mean([s["source_kl"][i] - s["source_kl_reference"][i] for i in drawn])
    out["calibration_error"] = calibration_error(s["confidence"], s["hit"])
    out["overconfidence"] = mean([c - h for c, h in zip(s["confidence"], s["hit"])])
    reference = mean([c - h for c, h in zip(s["confidence_reference"], s["hit_reference"])])
    out["overconfidence_difference"] = out["overconfidence"] - reference
    examples, first = 0, []
    for sequence, tokens in s["sequences"].items():
        if is_answer[sequence] and all(s["hit_reference"][i] for i in tokens):
            examples += 1
            first += [n + 1 for n, i in enumerate(tokens) if not s["same_top"][i]][:1]
    if examples:
        out["greedy_identical"] = 1 - len(first) / examples
    if first:
        out["greedy_first_difference"] = sorted(first)[(len(first) + 1) // 2 - 1]
    return out


def read_scores(samples, scheme):
    prefix = scheme + ".prefill."
    s = {name: samples.read("%s%s.f64" % (prefix, name), "d") for name in SCORES}
    s.update({name: samples.read(prefix + name, "B") for name in FLAGS})
    if prefix + "has_source" in samples.header:
        s.update({name: samples.read("%s%s.f64" % (prefix, name), "d") for name in SOURCE_SCORES})
        s["has_source"] = samples.read(prefix + "has_source", "B")
    else:
        s["has_source"] = bytes(len(s["kl"]))
    s["sequences"] = {}
    for i, sequence in enumerate(samples.read(prefix + "sequence", "I")):
        s["sequences"].setdefault(sequence, []).append(i)
    return s


class Check:
    def __init__(self, path):
        self.path = path
        self.count = 0
        self.failed = 0

    def near(self, scheme, what, written, computed):
        self.count += 1
        if isinstance(written, str) or abs(written - computed) > 1e-9 * abs(computed) + 1e-12:
            self.failed += 1
            print("%s: %s: %s is %s and should be %.12g" % (self.path, scheme, what, written, computed))


def check_scheme(check, name, accuracy, samples):
    s = read_scores(samples, name)
    expected = expected_details(s, samples.read("evaluation.is_answer", "B"))
    for row in accuracy["details"]:
        if row["value"] != "not measured":
            check.near(name, row["metric"], row["value"], expected[row["metric"]])
    cells, sets = samples.read("evaluation.graded_cell", "I"), samples.read("evaluation.set", "I")
    graded = [tokens for sequence, tokens in s["sequences"].items() if cells[sequence] != NOT_GRADED]
    if graded:
        for key, flag in (("value", "hit"), ("reference", "hit_reference")):
            share = mean([all(s[flag][i] for i in tokens) for tokens in graded])
            check.near(name, "exact_match." + key, accuracy["exact_match"][key], share)
    if "sets" in accuracy:
        by_set = {}
        for sequence, tokens in s["sequences"].items():
            by_set.setdefault(sets[sequence], []).extend(s["kl"][i] for i in tokens)
        means = [mean(by_set[index]) for index in sorted(by_set)]
        for row, value in zip(accuracy["sets"]["seeds"], means):
            check.near(name, "set %s" % row["seed"], row["kl_divergence_mean"], value)
        middle = mean(means)
        spread = math.sqrt(math.fsum((m - middle) ** 2 for m in means) / (len(means) - 1))
        check.near(name, "spread", accuracy["sets"]["spread"], spread)


def main(paths):
    if not paths:
        print(__doc__.split("\n")[2].strip(), file=sys.stderr)
        return 2
    failed = 0
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                result = yaml.safe_load(file)
            samples = Samples(os.path.join(os.path.dirname(path), result["samples"]["file"]))
            check = Check(path)
            for scheme in result["schemes"]:
                if isinstance(scheme.get("accuracy"), dict):
                    check_scheme(check, scheme["name"], scheme["accuracy"], samples)
        except (OSError, ValueError, KeyError, TypeError, struct.error, yaml.YAMLError) as error:
            print("%s: %s: %s" % (path, type(error).__name__, error), file=sys.stderr)
            return 2
        print("%s: %d numbers, %d of them differ" % (path, check.count, check.failed))
        failed += check.failed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
