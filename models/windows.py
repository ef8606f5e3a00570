"""Windows of the built-in tasks, read from tools/emit_windows."""
import subprocess

import numpy as np


class Stream:
    """Reads windows of one split one after another: each window once."""

    def __init__(self, emitter, split, seed, first, length):
        self.length = length
        self.process = subprocess.Popen([emitter, split, str(seed), str(first), str(1 << 40), str(length)],
                                        stdout=subprocess.PIPE, bufsize=1 << 20)

    def read(self, count):
        """Returns tokens [count, length + 1] (int64) and scored [count, length] (bool)."""
        size = 3 * self.length + 2
        data = np.frombuffer(self.process.stdout.read(count * size), np.uint8).reshape(count, size)
        tokens = data[:, :2 * self.length + 2].copy().view("<u2").astype(np.int64)
        return tokens, data[:, 2 * self.length + 2:].astype(bool)

    def close(self):
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()


def read_windows(emitter, split, seed, first, count, length):
    stream = Stream(emitter, split, seed, first, length)
    result = stream.read(count)
    stream.close()
    return result


def read_examples(emitter, split, seed, first, count, length):
    """Returns [(window, task, difficulty, first, count)], window counted from 0."""
    text = subprocess.run([emitter, "--examples", split, str(seed), str(first), str(count), str(length)],
                          stdout=subprocess.PIPE, check=True).stdout.decode()
    rows = [line.split("\t") for line in text.splitlines()]
    return [(int(w) - first, task, difficulty, int(f), int(n)) for w, task, difficulty, f, n in rows]


def read_vocabulary(emitter):
    return subprocess.run([emitter, "--vocabulary"], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()


def read_entropy_nats(emitter):
    return float(subprocess.run([emitter, "--entropy"], stdout=subprocess.PIPE, check=True).stdout)
