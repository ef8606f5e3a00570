#!/usr/bin/env python3
"""Each export of `show` and `compare` is read by somebody else's reader: Python's csv, jq, python3-markdown.

    exports.py QMARK SOURCE

What is not installed is skipped with a line; with CI=true it is a failure.
"""

import csv
import html.parser
import io
import json
import os
import re
import shutil
import subprocess
import sys

QMARK, SOURCE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
DATA = os.path.join(SOURCE, "test", "data")
SCRIPT = "<script>alert(1)</script>|`[x](http://evil.example)*\u202e"
failed = 0


def check(condition, text):
    global failed
    if not condition:
        print("FAILED:", text)
        failed = 1


def qmark(*arguments):
    run = subprocess.run([QMARK, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    check(run.returncode in (0, 13), f"qmark {' '.join(arguments)}: {run.returncode} {run.stderr}")
    return run.stdout


def missing(name):
    print(f"skipped: {name} is not installed")
    check(os.environ.get("CI") != "true", f"CI has no {name}")


def hostile(path):
    """A result with a stranger's texts; somebody edited it, so its hash is not that of its content."""
    with open(os.path.join(DATA, "result-example.yaml"), encoding="utf-8") as file:
        text = file.read()
    text = text.replace("name: llvmpipe (LLVM 15.0.6, 256 bits)", "name: " + json.dumps(SCRIPT))
    text = text.replace("- name: w8a8\n", "- name: '=cmd|calc!A1,\"x\"'\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text), strict=True))


def is_number(text):
    try:
        float(text)
        return True
    except ValueError:
        return False


def look_at_csv(files):
    text = qmark("show", *files, "--print", "csv")
    rows = rows_of(text)
    columns = text.split("\n", 1)[0].split(",")
    check(columns.index("kl_mean_high_nats_per_token") < columns.index("rate_tokens_per_s"), "accuracy stands after speed")
    whole = json.loads(qmark("show", *files, "--json"))
    points = 0
    for entry in whole["results"]:
        for scheme in entry["result"]["schemes"]:
            own = [r for r in rows if r["file"] == entry["file"] and r["scheme"].lstrip("'") == scheme["name"]]
            check(own, f"{entry['file']} {scheme['name']} has no row")
            if scheme["status"] != "ok":
                check(len(own) == 1 and own[0]["rate_tokens_per_s"] == "" and own[0]["reason"], f"{scheme['name']}: a speed")
                continue
            points += len(scheme["throughput"]) + isinstance(scheme["sustained"], dict)
            for point, row in zip(scheme["throughput"], own):
                check(float(row["rate_tokens_per_s"]) == point["rate_tokens_per_s"], "a rate lost digits")
                check(row["phase"] == point["phase"] and int(row["batch"]) == point["batch"], "a point is another")
                check(float(row["kl_mean_nats_per_token"]) == scheme["accuracy"]["kl_divergence"]["mean"], "KL mean")
    check(points == sum(is_number(r["rate_tokens_per_s"]) for r in rows), "not every point has a row")
    for row in rows:
        check(None not in row and None not in row.values(), "a row of another length")
        if row["rate_tokens_per_s"]:
            check(row["accuracy"] == "not measured" or is_number(row["kl_mean_nats_per_token"]), "half a claim")
    return columns, rows


def look_at_jsonl(columns, rows, *arguments):
    text = qmark(*arguments, "--print", "jsonl")
    if not shutil.which("jq"):
        return missing("jq")
    run = subprocess.run(["jq", "-c", "[(.rate_tokens_per_s // .rate_a_tokens_per_s // null), keys_unsorted]"], input=text,
                         stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    check(len(lines) == len(rows), f"{arguments}: {len(lines)} lines of JSON, {len(rows)} of CSV")
    for line, row in zip(lines, rows):
        rate = row.get("rate_tokens_per_s") or row.get("rate_a_tokens_per_s")
        check((line[0] is None and not rate) or float(rate) == line[0], "JSON and CSV have other rates")
        check(set(line[1]) <= set(columns), "a key that is no column")


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.cells, self.text = set(), [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "tr":
            self.cells.append(0)
        if tag in ("td", "th"):
            self.cells[-1] += 1

    def handle_data(self, data):
        self.text += data


def look_at_markdown(rows, *arguments):
    text = qmark(*arguments, "--print", "md")
    sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, where another Python comes first
    try:
        import markdown
    except ImportError:
        return missing("python3-markdown")
    page = Page()
    page.feed(markdown.markdown(text, extensions=["tables"]))
    check(page.tags <= {"table", "thead", "tbody", "tr", "th", "td", "p", "blockquote", "ul", "li", "br"},
          f"{arguments}: markup of a stranger: {page.tags}")
    check(len(page.cells) == len(rows) + 1, f"{arguments}: {len(page.cells)} rows of a table for {len(rows)}")
    check(len(set(page.cells)) == 1, f"{arguments}: rows of other lengths: {set(page.cells)}")
    check("\u202e" not in page.text and "\x1b" not in text, "a character that steers")
    return page


def look_at_documents(*tables):
    with open(os.path.join(SOURCE, "docs", "EXPORTS.md"), encoding="utf-8") as file:
        documented = set(re.findall(r"`([a-z0-9_]+)`", file.read()))
    for column in sum(tables, []):
        check(column in documented, f"docs/EXPORTS.md does not name {column}")


def main():
    bad = "hostile-export.yaml"
    hostile(bad)
    files = [os.path.join(DATA, f"result-{name}.yaml") for name in ("example", "sustained", "pocl")] + [bad]
    columns, rows = look_at_csv(files)
    check(any(row["scheme"].startswith("'=cmd") for row in rows), "a formula is left for a spreadsheet")
    look_at_jsonl(columns, rows, "show", *files)
    page = look_at_markdown(rows, "show", *files)
    if page:
        check("alert(1)" in page.text, "the stranger's text is not told as text")
        check("KL divergence of" in page.text and "stand-in: " in page.text, "the sentence or its cautions are missing")
    pairs = rows_of(qmark("compare", files[0], bad, "--print", "csv"))
    check(pairs and all(row["kl_mean_a_nats_per_token"] for row in pairs), "compare: half a claim")
    look_at_jsonl(list(pairs[0]), pairs, "compare", files[0], bad)
    look_at_markdown(pairs, "compare", files[0], bad)
    look_at_documents(columns, list(pairs[0]))
    os.remove(bad)
    if not failed:
        print(f"{len(rows)} rows of show and {len(pairs)} of compare are read by others")
    return failed


sys.exit(main())
