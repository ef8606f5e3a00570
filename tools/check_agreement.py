#!/usr/bin/env python3
"""Do several results of one profile say the same of each scheme's accuracy?

  tools/check_agreement.py RESULT.yaml RESULT.yaml...

The samples files must lie beside the results. For every scheme and pair of devices: the means of KL(fp32 || device) may
differ by the largest of 2 %, three standard errors of the paired difference (clustered by sequence) and 1e-6 nats; f32 is
exempt. On every device the mean rises strictly from f16 over w8a16 and w8a8 to w4a16-g32. Exit: 0 all hold, 1 one does
not, 2 bad input. Needs python3-yaml.
"""
import array
import json
import os
import struct
import sys

import yaml

RISING = ["f16", "w8a16", "w8a8", "w4a16-g32"]


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


class Result:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
        self.name = "%s %s" % (content["device"]["driver"], content["device"]["api"])
        self.schemes = {scheme["name"]: scheme for scheme in content["schemes"]}
        self.samples = Samples(os.path.join(os.path.dirname(path), content["samples"]["file"]))

    def mean_kl(self, scheme):
        return self.schemes[scheme]["accuracy"]["kl_divergence"]["mean"]

    def tokens(self, scheme):
        """(sequence, KL) of each scored token."""
        kl = self.samples.read(scheme + ".prefill.kl.f64", "d")
        name = scheme + ".prefill.sequence"
        return list(zip(self.samples.read(name if name in self.samples.header else "prefill.sequence", "I"), kl))


def paired_error(a, b):
    """Standard error of the mean of per-token differences, whole sequences being what was drawn."""
    sums = {}
    for (sequence, x), (other, y) in zip(a, b):
        assert sequence == other, "the results scored other tokens"
        total, count = sums.get(sequence, (0.0, 0))
        sums[sequence] = (total + x - y, count + 1)
    tokens = len(a)
    mean = sum(total for total, _ in sums.values()) / tokens
    spread = sum((total - mean * count) ** 2 for total, count in sums.values())
    n = len(sums)
    return (spread * n / (n - 1)) ** 0.5 / tokens


def main(paths):
    results = [Result(path) for path in paths]
    failures = 0
    for result in results:
        not_ok = [name for name, scheme in result.schemes.items() if scheme["status"] != "ok"]
        incomplete = [name for name, s in result.schemes.items() if not s.get("throughput") or not s.get("accuracy")]
        values = [result.mean_kl(name) for name in RISING if name not in not_ok]
        rises = all(x < y for x, y in zip(values, values[1:]))
        failures += bool(not_ok) + bool(incomplete) + (not rises)
        print("%-22s %d schemes, not ok: %s, without a half: %s; %s: %s" % (
            result.name, len(result.schemes), ", ".join(not_ok) or "none", ", ".join(incomplete) or "none",
            " < ".join("%.3g" % value for value in values), "rises" if rises else "DOES NOT RISE"))
    for scheme in results[0].schemes:
        if any(r.schemes.get(scheme, {}).get("status") != "ok" for r in results):
            print("%-27s not ok everywhere" % scheme)
            continue
        worst = ""
        for i, a in enumerate(results):
            for b in results[i + 1:]:
                x, y = a.mean_kl(scheme), b.mean_kl(scheme)
                error = paired_error(a.tokens(scheme), b.tokens(scheme))
                allowed = max(0.02 * min(x, y), 3 * error, 1e-6)
                if scheme == "f32" or abs(x - y) <= allowed:
                    continue
                failures += 1
                worst += "; %s %.4g, %s %.4g differ by more than %.2g" % (a.name, x, b.name, y, allowed)
        means = [result.mean_kl(scheme) for result in results]
        print("%-27s %s%s" % (scheme, " ".join("%.4g" % mean for mean in means), worst or "  agree"))
    print("%d do not hold" % failures if failures else "all hold")
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        print("check_agreement: %s: %s" % (type(error).__name__, error), file=sys.stderr)
        sys.exit(2)
