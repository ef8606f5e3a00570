#!/usr/bin/env python3
"""What the documentation says, tried: its links, and its commands.

    test/docs.py links ROOT
    test/docs.py commands ROOT FOLDER [PAGE ...]      called by test/run_docs.sh, which makes FOLDER
    test/docs.py workflow ROOT FOLDER                 likewise

The pages are README.md, CONTRIBUTING.md, models/README.md, results/README.md and docs/*.md.

links     Every relative link names a file that is there, and a heading that is there; every page and example under docs/ is
          reached from docs/README.md by links.

commands  A command stands in a block of its own: ```sh, or indented by four spaces with a first line that begins with ./,
          tools/ or test/. Blocks of a page run in order, in a copy of FOLDER of the page's own, by `bash -eu`. They are cut
          into commands (a here-document, an open quote and a backslash at a line's end hold lines together), and a command
          either runs as it stands, which qmark and a few harmless words may, or is named in test/docs_commands.txt, which says
          what is run in its place, and why. A row
          there whose command no page has any more is an error, and so is a line that begins with ./qmark in a block of
          another kind. Of each qmark command, run or not, in blocks and in `code` of the text, verb and options must exist.
          Python programs of a page, blocks that begin with `import`, run as well.

workflow  The steps of docs/examples/qmark-gate.yml that run something are run in order, as GitHub's shell does, and once more for
          every exit code of a gate, with a program that ends in it.
"""
import os
import re
import shutil
import subprocess
import sys
import time

REAL_QMARK = os.environ.get("QM_DOCS_PROGRAM", "qmark")


def pages_of(root):
    named = ["README.md", "CONTRIBUTING.md", "models/README.md", "results/README.md"]
    named += sorted("docs/" + name for name in os.listdir(os.path.join(root, "docs")) if name.endswith(".md"))
    return [name for name in named if os.path.exists(os.path.join(root, name))]


def read(root, page):
    with open(os.path.join(root, page), encoding="utf-8") as file:
        return file.read()


# ---- blocks ----


class Block:
    def __init__(self, page, line, kind, text):
        self.page, self.line, self.kind, self.text = page, line, kind, text

    def holds_commands(self):
        return self.kind == "sh" or (self.kind == "indented" and re.match(r"(\./|tools/|test/)", self.text) is not None)


def split_page(page, text):
    """The blocks of a page, and its prose: the text without them."""
    blocks, prose, lines = [], [], text.split("\n")
    at = 0
    while at < len(lines):
        fence = re.match(r"^( *)```(\w*)\s*$", lines[at])
        if fence:
            end = at + 1
            while end < len(lines) and not re.match(r"^ *```\s*$", lines[end]):
                end += 1
            body = [line[len(fence[1]):] for line in lines[at + 1:end]]
            blocks.append(Block(page, at + 2, fence[2] or "none", "\n".join(body)))
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or lines[at - 1] == ""):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or
                                        (lines[end] == "" and end + 1 < len(lines) and lines[end + 1].startswith("    "))):
                end += 1
            blocks.append(Block(page, at + 1, "indented", "\n".join(line[4:] for line in lines[at:end])))
            at = end
        else:
            prose.append((at + 1, lines[at]))
            at += 1
    return blocks, prose


def is_whole(text):
    """Whether the shell would run it, or wait for more lines."""
    if text.endswith("\\"):
        return False
    tried = subprocess.run(["bash", "-n"], input=text + "\n", capture_output=True, text=True)
    return tried.returncode == 0 and "here-document" not in tried.stderr


def commands_of(block):
    """(line, text) of each command of a block."""
    commands, pending, begin = [], [], 0
    for offset, line in enumerate(block.text.split("\n")):
        if not pending and (line.strip() == "" or line.startswith("#")):
            continue
        if not pending:
            begin = block.line + offset
        pending.append(line)
        if is_whole("\n".join(pending)):
            commands.append((begin, "\n".join(pending)))
            pending = []
    if pending:
        sys.exit(f"{block.page}:{begin}: the shell waits for more: {pending[0]}")
    return commands


def bare(command):
    """A command without the remark behind it and with single blanks: its name in the table."""
    return " ".join(re.sub(r"\s#\s.*$", "", line).strip() for line in command.split("\n")).replace(" \\ ", " ").strip()


# ---- the table ----


class Row:
    def __init__(self, line):
        self.line, self.instead, self.exits, self.only, self.because, self.used = line, None, None, None, "", False


pending = set()  # verbs that pages speak of and that this build need not have yet


def read_table(path):
    rows, row = {}, None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if line == "" or line.startswith("#"):
                continue
            word, _, rest = line.partition(" ")
            rest = rest.strip()
            if word == "pending":
                pending.add(rest)
                row = Row(number) # its reason belongs to no command
            elif word == "command":
                row = rows[rest] = Row(number)
            elif row is not None and word == "instead":
                row.instead = rest
            elif row is not None and word == "only":
                row.only = rest
            elif row is not None and word == "exits":
                row.exits = rest.split()
            elif row is not None and word == "because":
                row.because = rest
            else:
                sys.exit(f"{path}:{number}: '{word}'; expected command, instead, only, exits, because or pending")
    for command, row in rows.items():
        if row.because == "" or (row.instead is None and row.only is None and row.exits is None):
            sys.exit(f"{path}:{row.line}: '{command}' has no reason, or nothing that is different")
    for verb in sorted(pending):
        print(f"{path}: the verb '{verb}' is {'here: its row can go' if options_of(verb) else 'not here yet: left out'}")
    return rows


# ---- verbs and options ----

options_of_verb = {}


def options_of(verb):
    """The options that `qmark VERB --help` lists; None if there is no such verb."""
    if verb not in options_of_verb:
        words = verb.split(" ")
        told = subprocess.run([REAL_QMARK, *words, "--help"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        known = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", told.stdout)) | {"--help"}
        options_of_verb[verb] = known if told.returncode == 0 else None
    return options_of_verb[verb]


def check_options(where, command, problems):
    text = re.sub(r"\s#\s.*", "", command)
    for found in re.finditer(r"(?:^|[\s;|&(`!])(?:\./|\S*/)?qmark((?:[ \t]+|\\\n)[^;|&\n]*(?:\\\n[^;|&\n]*)*)", text):
        words = found[1].replace("\\\n", " ").split()
        while words and words[0] in ("--yes", "--version"):
            words.pop(0)
        if not words or not re.fullmatch(r"[a-z]+", words[0]):
            continue
        verb = words[0]
        if verb in pending and options_of(verb) is None:
            return
        if verb == "history" and len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
            verb += " " + words[1]
        known = options_of(verb)
        if known is None:
            problems.append(f"{where}: there is no verb '{verb}'")
            continue
        for word in words:
            option = re.match(r"--[a-z][a-z0-9-]*", word)
            if option and option[0] not in known:
                problems.append(f"{where}: '{verb}' has no option '{option[0]}'")


# ---- commands ----

# What may run as it stands: qmark, and what does nothing outside of the page's folder.
HARMLESS = re.compile(r"([A-Z][A-Z_]*=\S+ )*(\./qmark|cat|cd|cmp|echo|grep|head|jq|ls|mkdir|sed|test)\b")


def script_of(blocks, rows, problems):
    """The script of a page: its commands, or what the table has in their place, each told before it begins."""
    script, counts = [], {"run": 0, "instead": 0, "looked at": 0}
    for block in blocks:
        for line, command in commands_of(block):
            where = f"{block.page}:{line}"
            check_options(where, command, problems)
            row = rows.get(bare(command))
            text = command
            if row is not None:
                row.used = True
                if row.instead == "-" or (row.only and row.only != block.page):
                    counts["looked at"] += 1
                    continue
                if row.instead is not None:
                    text = row.instead
            if text is command and not HARMLESS.match(bare(command)):
                problems.append(f"{where}: '{bare(command)}' is not in test/docs_commands.txt")
                continue
            verb = re.match(r"\./qmark ([a-z]+)", bare(command))
            if verb and verb[1] in pending and options_of(verb[1]) is None:
                counts["looked at"] += 1
                continue
            counts["run" if text is command else "instead"] += 1
            script.append(f"begin '{where}' <<'COMMAND-OF-A-PAGE'\n{text}\nCOMMAND-OF-A-PAGE")
            if row is not None and row.exits:
                allowed = " || ".join(f"[ $status -eq {code} ]" for code in row.exits)
                script.append(f"status=0; {{ {text}\n}} || status=$?\n{{ {allowed}; }} || exit $status")
            else:
                script.append(text)
    return script, counts


def run_page(folder, page, script):
    place = os.path.join(folder, "pages", page.replace("/", "-"))
    shutil.copytree(os.path.join(folder, "template"), place, symlinks=True)
    with open(os.path.join(place, "..", page.replace("/", "-") + ".sh"), "w", encoding="utf-8") as file:
        file.write("begin() { { echo \"@@ $1\"; cat; } >command; cat command; }\n" + "\n".join(script) + "\n")
    ran = subprocess.run(["bash", "-eu", file.name], cwd=place, stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, errors="replace", env=dict(os.environ, PWD=place))
    with open(os.path.join(folder, "pages", page.replace("/", "-") + ".log"), "w", encoding="utf-8") as log:
        log.write(ran.stdout + ran.stderr)
    if ran.returncode == 0:
        return None
    with open(os.path.join(place, "command"), encoding="utf-8") as file:
        at = file.read().strip()
    tail = (ran.stdout.split("@@ ")[-1] + ran.stderr).strip().split("\n")[-25:]
    return f"{at}\n    exit code {ran.returncode}\n" + "\n".join("    | " + line for line in tail)


def run_python(folder, page, block):
    """The message of a program that failed, or None; one whose modules are not installed is told and left out."""
    place = os.path.join(folder, "pages", page.replace("/", "-"))
    if not os.path.exists(place):
        shutil.copytree(os.path.join(folder, "template"), place, symlinks=True)
    ran = subprocess.run([sys.executable, "-c", block.text], cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    missing = re.search(r"ModuleNotFoundError: (.*)", ran.stderr)
    if missing and os.environ.get("CI") != "true":
        print(f"{page}:{block.line}: left out: {missing[1]}")
        return None
    return f"{page}:{block.line}: {ran.stderr.strip()}" if ran.returncode else None


def check_commands(root, folder, chosen):
    rows = read_table(os.path.join(root, "test/docs_commands.txt"))
    problems = []
    for page in pages_of(root):
        if chosen and page not in chosen:
            continue
        blocks, prose = split_page(page, read(root, page))
        for block in blocks:
            if not block.holds_commands() and re.search(r"^\s*(\$ )?\./qmark\b", block.text, re.M):
                problems.append(f"{page}:{block.line}: a command in a block that is not ```sh is never tried")
        for line, text in prose:
            for code in re.findall(r"`((?:\./)?qmark [^`]+)`", text):
                check_options(f"{page}:{line}", code, problems)
        script, counts = script_of([block for block in blocks if block.holds_commands()], rows, problems)
        programs = [block for block in blocks if block.kind == "python" and block.text.startswith("import ")]
        if not script and not counts["looked at"] and not programs:
            continue
        begin = time.monotonic()
        problem = run_page(folder, page, script) if script else None
        if problem:
            problems.append(problem)
        for block in programs:
            counts["run"] += 1
            failed = run_python(folder, page, block)
            if failed:
                problem = failed
                problems.append(failed)
        print(f"{page}: {counts['run']} as they stand, {counts['instead']} in a brief form, {counts['looked at']} looked at; "
              f"{time.monotonic() - begin:.0f} s{'  FAILED' if problem else ''}", flush=True)
    if not chosen:
        for command, row in rows.items():
            verb = re.match(r"\./qmark ([a-z]+)", command)
            if not row.used and not (verb and verb[1] in pending and options_of(verb[1]) is None):
                problems.append(f"test/docs_commands.txt:{row.line}: no page has '{command}'")
    return problems


# ---- links ----


def anchor_of(heading):
    """As GitHub makes them."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors_of(text):
    anchors, seen, inside = set(), {}, False
    for line in text.split("\n"):
        if line.startswith("```"):
            inside = not inside
        heading = re.match(r"#{1,6} +(.*)", line)
        if heading and not inside:
            anchor = anchor_of(heading[1].replace("`", ""))
            count = seen[anchor] = seen.get(anchor, -1) + 1
            anchors.add(anchor if count == 0 else f"{anchor}-{count}")
    return anchors


def check_links(root):
    problems, reached_from = [], {}
    for page in pages_of(root):
        _, prose = split_page(page, read(root, page))
        reached_from[page] = set()
        # A link may be broken over two lines.
        text = re.sub(r"`[^`\n]*`", "", "\n".join(line for _, line in prose))
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if file.startswith("..") or not os.path.exists(os.path.join(root, file)):
                problems.append(f"{page}: the link to '{target}' leads nowhere")
                continue
            reached_from[page].add(file)
            if anchor and file.endswith(".md") and anchor not in anchors_of(read(root, file)):
                problems.append(f"{page}: '{file}' has no heading '#{anchor}'")
    found, todo = {"docs/README.md"}, ["docs/README.md"]
    while todo:
        for file in reached_from.get(todo.pop(), ()):
            if file not in found:
                found.add(file)
                todo.append(file)
    for folder, _, names in os.walk(os.path.join(root, "docs")):
        if os.path.basename(folder) == "images":  # tools/pictures.sh makes more than pages show
            continue
        for name in sorted(names):
            file = os.path.relpath(os.path.join(folder, name), root)
            if file not in found:
                problems.append(f"{file} is not reached from docs/README.md")
    return problems


# ---- the workflow ----

VERDICTS = {0: (0, "PASS"), 12: (0, "::warning"), 10: (10, "REGRESSED"), 4: (4, "WRONG"), 2: (2, "::error"), 5: (5, "::error")}


def run_step(place, name, text, environment):
    return subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text], cwd=place, env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def check_workflow(root, folder):
    try:
        import yaml
    except ModuleNotFoundError:
        print("the workflow is left out: python3-yaml is not installed")
        return ["python3-yaml is not installed"] if os.environ.get("CI") == "true" else []
    begin = time.monotonic()
    file = "docs/examples/qmark-gate.yml"
    workflow = yaml.safe_load(read(root, file))
    (job,) = workflow["jobs"].values()
    place = os.path.join(folder, "workflow")
    shutil.copytree(os.path.join(folder, "template"), place, symlinks=True)
    manifests, programs = os.path.join(place, "icd.d"), os.path.join(place, "bin")
    os.makedirs(manifests)
    os.makedirs(programs)
    open(os.path.join(manifests, "lvp_icd.x86_64.json"), "w", encoding="utf-8").close()
    for name in ("apt-get", "sudo"):
        with open(os.path.join(programs, name), "w", encoding="utf-8") as stub:
            stub.write("#!/bin/sh\nexit 0\n")
        os.chmod(stub.name, 0o755)
    github = {name: os.path.join(place, name) for name in ("GITHUB_ENV", "GITHUB_STEP_SUMMARY")}
    environment = dict(os.environ, **github, PATH=programs + ":" + os.environ["PATH"], QMARK_PROFILE="regression")
    with open(os.path.join(place, "qmark"), encoding="utf-8") as stand_in:
        real = stand_in.read().replace("verb=${1-}", '[ "${1-}" != --yes ] || shift\nverb=${1-}')
    problems, gate = [], None
    for step in job["steps"]:
        if ("run" in step) == ("uses" in step):
            problems.append(f"{file}: step '{step.get('name')}' has neither or both of 'run' and 'uses'")
        if "run" not in step:
            continue
        for name, value in [line.split("=", 1) for line in open(github["GITHUB_ENV"], encoding="utf-8")] \
                if os.path.exists(github["GITHUB_ENV"]) else []:
            environment[name] = value.strip()
        text = step["run"].replace("/usr/share/vulkan/icd.d", manifests)
        if "${{" in text:
            problems.append(f"{file}: step '{step['name']}' has an expression in its script: pass it by env")
        check_options(f"{file}: {step['name']}", text, problems)
        with open(os.path.join(place, "qmark"), "w", encoding="utf-8") as stand_in:
            stand_in.write(real)
        ran = run_step(place, step["name"], text, environment)
        if ran.returncode != 0:
            problems.append(f"{file}: step '{step['name']}' ends with {ran.returncode}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        if "qmark gate" in text:
            gate = text
    for name in ("gate.xml", "gate.txt", "gate-results/a", "gate-results/b"):
        if not os.path.exists(os.path.join(place, name)):
            problems.append(f"{file}: the gate left no {name}")
    for code, (expected, words) in VERDICTS.items():
        with open(os.path.join(place, "qmark"), "w", encoding="utf-8") as stand_in:
            stand_in.write(f"#!/bin/sh\nexit {code}\n")
        ran = run_step(place, "", gate or "false", environment)
        if ran.returncode != expected or words not in ran.stdout:
            problems.append(f"{file}: of a gate's exit code {code} the step makes {ran.returncode}, and says {ran.stdout.strip()!r}")
    print(f"{file}: as it stands, and {len(VERDICTS)} exit codes; {time.monotonic() - begin:.0f} s")
    return problems


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("links", "commands", "workflow"):
        sys.exit(__doc__)
    if sys.argv[1] == "links":
        problems = check_links(sys.argv[2])
    elif sys.argv[1] == "workflow":
        problems = check_workflow(sys.argv[2], sys.argv[3])
    else:
        problems = check_commands(sys.argv[2], sys.argv[3], sys.argv[4:])
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems" if problems else "all well")
    sys.exit(1 if problems else 0)


main()
