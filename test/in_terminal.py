#!/usr/bin/env python3
"""Runs a command in a terminal of a size and prints what it wrote there, colours and all, with \\n at line ends.

    in_terminal.py COLUMNS ROWS COMMAND...
"""

import fcntl
import os
import pty
import struct
import sys
import termios

columns, rows = int(sys.argv[1]), int(sys.argv[2])
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.execvp(sys.argv[3], sys.argv[3:])
written = b""
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:  # what Linux gives when the other side has ended
        break
    if not piece:
        break
    written += piece
sys.stdout.buffer.write(written.replace(b"\r\n", b"\n"))
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
