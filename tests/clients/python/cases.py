"""Helpers of every script: cases with a deadline, and values that must be returned unchanged."""

import faulthandler
import math
import os
import struct
import sys
import threading
import time
import traceback

from convex import ConvexInt64

URL = sys.argv[1]
ADMIN_KEY = os.environ["LENTIL_ADMIN_KEY"]
failures = []

# Prints all stacks if native code hangs, because it blocks the other threads of Python.
faulthandler.dump_traceback_later(75, exit=True)


def case(seconds=15):
    """Runs the decorated function at once. A failure is printed and does not stop the next case."""

    def decorate(run):
        name = run.__name__.replace("_", " ")
        outcome = []

        def body():
            try:
                run()
                outcome.append(None)
            except BaseException:
                outcome.append(traceback.format_exc())

        started = time.monotonic()
        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join(seconds)
        took = f"({1000 * (time.monotonic() - started):.0f} ms)"
        if not outcome:
            stack = "".join(traceback.format_stack(sys._current_frames()[thread.ident]))
            outcome.append(f"it took longer than {seconds} s, at\n{stack}")
        if outcome[0] is None:
            print(f"ok: {name} {took}")
        else:
            failures.append(name)
            print(f"FAILED: {name} {took}\n{outcome[0]}")
        return run

    return decorate


def finish():
    print("all well" if not failures else f"failed: {failures}")
    sys.stdout.flush()
    # The client's threads may never end.
    os._exit(1 if failures else 0)


def failure(call, *args):
    """Returns the error of a call."""
    try:
        value = call(*args)
    except Exception as error:
        return error
    raise AssertionError(f"it did not fail, but gave {value!r}")


def ask(what):
    """Asks the test to "kill", "start" or "restart" the server."""
    print(f"@{what}")
    sys.stdin.readline()


def same(a, b):
    """Equality that distinguishes 0 from -0 and integers from floats, and treats NaN as equal."""
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("<d", a) == struct.pack("<d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, ConvexInt64) and isinstance(b, ConvexInt64):
        return a.value == b.value
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


VALUES = [
    None,
    True,
    False,
    *[ConvexInt64(n) for n in (0, 1, -1, 5, 256, 2**53 + 1, 2**63 - 1, -(2**63))],
    *[0.0, -0.0, 1.0, -1.5, 0.1, 1e21, 1e308, 5e-324, math.nan, math.inf, -math.inf],
    *["", "text", "é\ufffd😀", '\n"\\', "x" * 100_000],
    *[b"", b"\x00\x01\xff"],
    [],
    [[], [None, ConvexInt64(1), -0.0, "a", b"\x01"]],
    {},
    {"": 1.0, "a b": ConvexInt64(2), "nested": {"nan": math.nan, "bytes": b"\x09"}, "list": [{"a": None}]},
]
