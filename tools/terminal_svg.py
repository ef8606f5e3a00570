#!/usr/bin/env python3
"""Draws what a command prints on a terminal as SVG: dark on light, text as text, no fonts from elsewhere.

    tools/terminal_svg.py COLUMNS CAPTION COMMAND [ARGUMENT ...] >PICTURE.svg

The command runs on a pseudo-terminal of so many columns, so that it prints what a person would see. The picture shows
"$ COMMAND ..." (a path of the result shortened to its name), its output, and the caption below.
The picture for the README, from the result of a real run:

    ./qmark run --device pocl --out qmark-results
    tools/terminal_svg.py 200 "CAPTION" ./qmark show qmark-results/NAME.yaml >docs/images/quick.svg
"""
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 7.2, 17, 16


def output_of(command, columns):
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
        os.execvp(command[0], command)
    pieces = []
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the other side was closed
            break
        if not piece:
            break
        pieces.append(piece)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        sys.exit(b"".join(pieces).decode(errors="replace"))
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", b"".join(pieces).decode())
    return text.replace("\r", "").rstrip("\n").split("\n")


def wrap(line, columns):
    while len(line) > columns:
        cut = line.rfind(" ", 0, columns)
        cut = cut if cut > columns // 2 else columns
        yield line[:cut]
        line = "    " + line[cut:].lstrip()
    yield line


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    columns, caption, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    shown = "$ " + " ".join([command[0]] + [os.path.basename(word) for word in command[1:]])
    lines = [shown, ""]
    for line in output_of(command, columns):
        lines.extend(wrap(line, columns))
    captions = list(wrap(caption, columns))
    width = MARGIN * 2 + columns * WIDTH
    height = MARGIN * 2 + (len(lines) + len(captions) + 1) * HEIGHT
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
          f'height="{height:.0f}" role="img" aria-label="{escape(caption, {chr(34): "&quot;"})}">')
    print(f'<title>{escape(shown)}</title>')
    print('<rect width="100%" height="100%" rx="6" fill="#fafafa" stroke="#d0d0d0"/>')
    print('<g font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="12" '
          'fill="#1a1a1a">')
    y = MARGIN + 11
    for kind, line in [("", line) for line in lines + [""]] + [("caption", line) for line in captions]:
        style = ' fill="#555555"' if kind else ""
        # Each cell by itself at its column, for viewers join blanks; textLength keeps the grid whatever font there is.
        for cell in re.finditer(r"\S+(?: \S+)*", line):
            print(f'<text x="{MARGIN + cell.start() * WIDTH:.1f}" y="{y}" textLength="{len(cell.group()) * WIDTH:.1f}" '
                  f'lengthAdjust="spacingAndGlyphs"{style}>{escape(cell.group())}</text>')
        y += HEIGHT
    print("</g>\n</svg>")


main()
