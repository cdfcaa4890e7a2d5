"""The table of bad inputs: each is refused by a sentence, or accepted with a line that tells it.

    python -m tests.campaigns.bad_inputs            # all; prints one line of totals
    python -m tests.campaigns.bad_inputs yaml/      # names that begin so, with what each said
    python -m tests.campaigns.bad_inputs --write    # what they say today into the table: review it

Every case runs in a process of its own, in a folder of its own, under limits of time and memory.
A case fails where it ends in a traceback, a hang or a crash; takes more memory than `MEMORY`; says
something else than the table has; is accepted though `accepted.py` has no reason for it; runs the
code of a pickle; or opens a file that lies outside the folder of the data.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaigns.accepted import ACCEPTED

TABLE = Path(__file__).with_suffix(".json")
SECONDS = 30.0
"""Of one case."""
MEMORY = 1.5e9
"""Bytes that a case may take beyond what the process had before it."""
ADDRESSES = 24 << 30
LONGEST = 6000
"""Characters of a message."""


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        name: its kind, a slash, and what is bad.
        run: the arguments of `mentee`, or a function that is called in its folder.
        prepare: changes its folder first, a copy of `boxes.fill`.
    """

    name: str
    run: list[str] | Callable[[], Any]
    prepare: Callable[[Path], Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a case: `refused`, `accepted`, or what is a fault; and what it said."""

    kind: str
    text: str
    seconds: float = 0.0
    memory: float = 0.0

    @property
    def fragment(self) -> str:
        """The line that tells what was wrong, or what was made of it, without the folder."""
        lines = [line.strip(" -│╭╰─") for line in self.text.splitlines()]
        lines = [line for line in lines if line and not line.startswith(("Usage:", "Try '"))]
        named = [
            line for line in lines if line.startswith(("error:", "note:", "Invalid", "Missing"))
        ]
        first = (named or lines or [""])[0]
        if first.endswith(":") and lines.index(first) + 1 < len(lines):  # a list of problems
            first = lines[lines.index(first) + 1]
        # Where a file is cut depends on the seconds in it, an address on the process, and what is
        # free on the machine.
        return re.split(r"(?<=cut or no JSON)|(?<= at 0x)|(?<=of memory and)", first)[0][:100]


def run_case(case: Case, template: Path) -> Outcome:
    """Run a case in a child process, in a copy of the template."""
    with tempfile.TemporaryDirectory(prefix="bad-", ignore_cleanup_errors=True) as place:
        box = Path(place) / "box"
        shutil.copytree(template, box, symlinks=True)
        try:
            if case.prepare is not None:
                case.prepare(box)
        except Exception:
            return Outcome("not prepared", traceback.format_exc())
        log, began = Path(place) / "log.json", time.monotonic()
        sys.stdout.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            _child(case, box, log)
        status, used = _wait(pid, began)
        seconds = time.monotonic() - began
        if status is None:
            return Outcome("hang", f"more than {SECONDS} seconds", seconds)
        if not log.is_file():
            return Outcome("crash", f"wait status {status}", seconds)
        content = json.loads(log.read_text(encoding="utf-8"))
        memory = 1024 * used.ru_maxrss - content["before"]
        folder = str(box.resolve())
        kind, text = content["kind"], content["text"].replace(folder, "BOX")
        text = text.replace(f"{folder[:12]}...", "BOX...")  # of a name that a message cuts
        if (box / "EXECUTED").exists() or (box / "outside/EXECUTED").exists():
            kind = "code was executed"
        elif content["outside"]:
            kind, text = "read outside", f"{content['outside'][:3]} {text}"
        elif memory > MEMORY:
            kind = "memory"
        elif kind == "accepted" and not text.strip():
            kind = "silent"
        elif len(text) > LONGEST:
            kind = "long message"
        return Outcome(kind, text, seconds, memory)


def resident() -> int:
    """The bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _wait(pid: int, began: float) -> tuple[int | None, Any]:
    while time.monotonic() - began < SECONDS:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            return status, used
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.wait4(pid, 0)
    return None, None


def _child(case: Case, box: Path, log: Path) -> None:
    """Run the case and write what came of it; never returns."""
    before = resident()  # less than the parent's: pages of libraries come when they are read
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    os.chdir(box)
    secret, outside = str(box / "outside"), list[str]()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            with contextlib.suppress(OSError, ValueError):
                path = os.path.realpath(os.fsdecode(arguments[0]))
                if path.startswith(secret) or (path.startswith("/etc/") and "passwd" in path):
                    outside.append(path)

    sys.addaudithook(watch)
    out = io.StringIO()
    out.isatty = lambda: False  # type: ignore[method-assign]
    warnings.simplefilter("default")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            kind = _carry_out(case, out)
        content = {"kind": kind, "text": out.getvalue(), "outside": outside, "before": before}
        log.write_text(json.dumps(content), encoding="utf-8")
    finally:
        os._exit(0)


def _carry_out(case: Case, out: io.StringIO) -> str:
    from mentee.cli import main
    from mentee.errors import MenteeError

    try:
        if callable(case.run):
            print(case.run(), file=out)
            return "accepted"
        sys.argv = ["mentee", *case.run]
        main()
    except SystemExit as end:
        return "accepted" if end.code in (0, None) else "refused"
    except MenteeError as error:
        print(f"error: {error}", file=out)
        return "refused"
    except BaseException:
        traceback.print_exc(file=out)
        return "traceback"
    return "accepted"


def row(case: Case, outcome: Outcome) -> list[str]:
    """What the table has of a case: outcome, the line that tells it, and why it is accepted."""
    if outcome.kind == "accepted" and case.name in ACCEPTED:
        return [outcome.kind, *ACCEPTED[case.name]]
    return [outcome.kind, outcome.fragment]


def fault(case: Case, outcome: Outcome, expected: list[str] | None) -> str | None:
    """Why a case fails, of which the table has this row; None: it does not."""
    if outcome.kind not in ("refused", "accepted") or "Traceback" in outcome.text:
        return f"{outcome.kind}: {outcome.text[-400:]}"
    if outcome.kind == "accepted" and case.name not in ACCEPTED:
        return f"accepted without a reason: {outcome.text[:300]}"
    if expected is None:
        return f"is not in the table: {outcome.kind}: {outcome.fragment}"
    if outcome.kind != expected[0]:
        return f"{outcome.kind}, expected {expected[0]}: {outcome.text[:300]}"
    if " ".join(expected[1].split()) not in " ".join(outcome.text.split()):
        return f"does not say {expected[1]!r}: {outcome.text[:300]}"
    return None


def run_all(
    cases: Iterable[Case],
    template: Path,
    table: dict[str, list[str]] | None,
    *,
    verbose: bool = False,
) -> tuple[dict[str, Outcome], dict[str, str]]:
    """Outcomes by name, and why some failed; without a table it may say anything."""
    outcomes, faults = {}, {}
    for case in cases:
        outcome = outcomes[case.name] = run_case(case, template)
        expected = row(case, outcome) if table is None else table.get(case.name)
        text = fault(case, outcome, expected)
        if text is not None:
            faults[case.name] = text
        if text is not None or verbose:
            mark = "FAULT" if text else "ok"
            print(
                f"{mark:5} {case.name} [{outcome.kind}, {outcome.seconds:.1f} s, "
                f"{outcome.memory / 1e6:.0f} MB] {text or outcome.text.strip()[:500]}",
                flush=True,
            )
    return outcomes, faults


def load_everything() -> None:
    """Import what the cases need once, so that no child has to."""
    import mentee.api
    import mentee.experiments.compare
    import mentee.experiments.pipeline
    import mentee.experiments.probe
    import mentee.experiments.search
    import mentee.recording.embedders  # noqa: F401


def totals(outcomes: dict[str, Outcome], faults: dict[str, str], seconds: float) -> str:
    """One line."""
    kinds = Counter(outcome.kind for outcome in outcomes.values())
    longest = max(outcomes.items(), key=lambda item: item[1].seconds)
    return (
        f"{len(outcomes)} bad inputs: "
        + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        + f"; {len(faults)} faults; {seconds:.0f} s, longest {longest[1].seconds:.1f} s "
        f"({longest[0]}), most memory {max(o.memory for o in outcomes.values()) / 1e6:.0f} MB"
    )


def main() -> int:
    """Run the table."""
    from tests.campaigns.boxes import fill
    from tests.campaigns.cases import CASES

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("prefix", nargs="?", default="", help="only names that begin so")
    parser.add_argument("--write", action="store_true", help="write what they say into the table")
    parser.add_argument("--verbose", action="store_true", help="a line for each")
    options = parser.parse_args()
    table: dict[str, list[str]] = json.loads(TABLE.read_text(encoding="utf-8"))
    cases = [case for case in CASES if case.name.startswith(options.prefix)]
    load_everything()
    with tempfile.TemporaryDirectory(prefix="bad-inputs-") as place:
        template = Path(place) / "template"
        fill(template)
        began = time.monotonic()
        verbose = options.verbose or bool(options.prefix)
        known = None if options.write else table
        outcomes, faults = run_all(cases, template, known, verbose=verbose)
    if options.write:
        names = {case.name for case in CASES}
        good = {
            case.name: row(case, outcomes[case.name])
            for case in cases
            if outcomes[case.name].kind in GOOD
        }
        kept = {name: each for name, each in table.items() if name in names} | good
        text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False)
        TABLE.write_text(text + "\n", encoding="utf-8")
    print(totals(outcomes, faults, time.monotonic() - began))
    return 1 if faults else 0


GOOD = ("refused", "accepted")

if __name__ == "__main__":
    sys.exit(main())
