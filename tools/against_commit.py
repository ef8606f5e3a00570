#!/usr/bin/env python3
"""Builds another commit beside this tree, runs both in turns on one device, and prints how the rates compare.

  tools/against_commit.py COMMIT [--device pocl] [--profile standard] [--rounds 3] [--seconds 2] [--schemes LIST]

Both programs run the profile's schemes, the order of the two drawn anew in every round, each with caches of its own. A
point's ratio is the median, over the rounds, of this tree's rate over the other's; the last lines are the geometric means
of prefill and of decode with the range of the rounds. Accuracy must not have moved: every scheme's mean KL of the two may
differ by 2 % or 1e-6 nats. --seconds is what a point is timed at least; the sustained run is left at its shortest.
QM_OTHER names the other commit's build folder where it exists already. Exit: 0, 1 where accuracy moved, 2 bad input.
"""
import argparse
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def build(source, folder):
    subprocess.run(["cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder, "--target", "qmark"], check=True, stdout=subprocess.DEVNULL)


def other_tree(commit, work):
    """The commit's tree and its build folder."""
    if os.environ.get("QM_OTHER"):
        folder = os.path.abspath(os.environ["QM_OTHER"])
        cache = open(os.path.join(folder, "CMakeCache.txt"), encoding="utf-8").read()
        return re.search(r"^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$", cache, re.M).group(1), folder
    tree = os.path.join(work, "other")
    subprocess.run(["git", "clone", "-q", ROOT, tree], check=True)
    subprocess.run(["git", "-C", tree, "checkout", "-q", commit], check=True)
    build(tree, os.path.join(tree, "build"))
    return tree, os.path.join(tree, "build")


def shortened(profile, seconds, path):
    """The stock profile with short points: a profile extends one level, so its text is edited."""
    with open(os.path.join(ROOT, "profiles", profile + ".yaml"), encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"^name: .*$", "name: short", text, flags=re.M)
    sustained = "sustained:\n  seconds: 1\n  cool_down_s: 0\n"
    timing = f"timing:\n  repeats: 16\n  seconds: {seconds}\n"
    for block in ("sustained", "timing"):
        text = re.sub(rf"^{block}:.*\n(?:  .*\n|\n)*", "", text, flags=re.M)
    if not re.search(r"^extends:", text, re.M):
        text = re.sub(r"^schema: 1\n", f"schema: 1\nextends: {profile}\n", text, flags=re.M)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + sustained + timing)


def run(side, profile, args, work, number):
    out = os.path.join(work, f"{side['name']}-{number}")
    environment = dict(os.environ, QM_DATA_DIR=side["tree"], QM_CACHE_DIR=os.path.join(work, "cache-" + side["name"]))
    command = [os.path.join(side["build"], "qmark"), "run", "--device", args.device, "--profile", profile, "--out", out,
               "--progress", "none", "--json"]
    if args.schemes:
        command += ["--scheme", args.schemes]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 5):
        sys.exit(f"{side['name']}: qmark run ended with {done.returncode}")
    return json.loads(done.stdout)


def rows(result):
    """(scheme, point) -> rate, and scheme -> mean KL."""
    rates, losses = {}, {}
    for one in result:
        for scheme in one["schemes"]:
            if scheme["status"] != "ok":
                sys.exit(f"scheme {scheme['name']}: {scheme['status']}: {scheme.get('reason', '')}")
            losses[scheme["name"]] = scheme["accuracy"]["kl_divergence"]["mean"]
            for point in scheme["throughput"]:
                key = (scheme["name"], point["phase"], point["batch"], point.get("prompt"), point.get("depth"))
                rates[key] = point["rate_tokens_per_s"]
    return rates, losses


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("commit")
    parser.add_argument("--device", default="pocl")
    parser.add_argument("--profile", default="standard")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--schemes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        tree, folder = other_tree(args.commit, work)
        here = os.environ.get("QM_BUILD", os.path.join(ROOT, "build"))
        if not os.environ.get("QM_BUILD"):
            build(ROOT, here)
        profile = os.path.join(work, "short.yaml")
        shortened(args.profile, args.seconds, profile)
        sides = [{"name": "this", "tree": ROOT, "build": here}, {"name": "other", "tree": tree, "build": folder}]
        taken = {"this": [], "other": []}
        for number in range(args.rounds):
            for side in random.sample(sides, 2):
                taken[side["name"]].append(rows(run(side, profile, args, work, number)))
        moved = 0
        for scheme, kl in taken["this"][0][1].items():
            before = taken["other"][0][1].get(scheme)
            same = before is not None and abs(kl - before) <= max(0.02 * abs(before), 1e-6)
            moved += not same
            print(f"accuracy  {scheme:28} KL {kl:.6g}, was {before if before is None else format(before, '.6g')}"
                  f"{'' if same else '  MOVED'}")
        ratios = {}
        for key in taken["this"][0][0]:
            per_round = [this[0][key] / other[0][key] for this, other in zip(taken["this"], taken["other"])
                         if key in this[0] and key in other[0]]
            if len(per_round) == args.rounds:
                ratios[key] = per_round
                print(f"rate  {key[0]:28} {key[1]:8} batch {key[2]} at {key[3] or key[4]}:"
                      f" {statistics.median(per_round):.2f}x"
                      f"  ({min(per_round):.2f} to {max(per_round):.2f})")
        for phase in ("prefill", "decode", None):
            chosen = [values for key, values in ratios.items() if phase in (None, key[1])]
            if chosen:
                means = [geometric_mean([values[i] for values in chosen]) for i in range(args.rounds)]
                print(f"geometric mean, {phase or 'both'}: {statistics.median(means):.2f}x of {args.commit}"
                      f" ({min(means):.2f} to {max(means):.2f}; {len(chosen)} points, {args.rounds} rounds, {args.device})")
        sys.exit(1 if moved else 0)


if __name__ == "__main__":
    main()
