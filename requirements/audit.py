"""Asks whether a pinned package has a known vulnerability, and fails where one has.

    python requirements/audit.py requirements/beam.txt requirements/trainer.txt

pip-audit asks the vulnerability service of the package index. Where it cannot be reached, as on a
machine without the internet or behind a mirror without that service, nothing was audited: it says
so, and does not fail.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

UNREACHABLE = (
    "ConnectionError", "ConnectTimeout", "ReadTimeout", "ServiceError", "ProxyError", "SSLError",
)  # fmt: skip


def asked(lock: str) -> dict[str, Any] | None:
    """Returns what pip-audit says about the pins in a file; None where nobody answers it.

    Raises:
        ValueError: it fails for another reason.
    """
    program = Path(sys.executable).with_name("pip-audit")
    options = "--require-hashes --disable-pip --progress-spinner=off --format=json".split()
    run = subprocess.run(
        [program, *options, "--requirement", lock], capture_output=True, text=True, check=False
    )
    if run.stdout:
        answer: dict[str, Any] = json.loads(run.stdout)
        return answer
    if any(name in run.stderr for name in UNREACHABLE):
        return None
    raise ValueError(f"{lock}: {run.stderr.strip()}")


def verdict(answers: Sequence[dict[str, Any] | None]) -> tuple[bool, str]:
    """Returns whether nothing is known against any pin, and what to say.

    >>> clean = {"name": "six", "version": "1.17.0", "vulns": []}
    >>> verdict([{"dependencies": [clean, {"name": "own", "skip_reason": "not found"}]}])
    (True, 'no known vulnerability in 1 package; not known to the service: own')
    >>> bad = {"name": "six", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
    >>> verdict([{"dependencies": [clean, bad]}])
    (False, 'six 1.0: CVE-1, mended in 1.1')
    >>> verdict([None])
    (True, 'NOT AUDITED: the vulnerability service cannot be reached from here')
    """
    pins = [pin for answer in answers if answer for pin in answer["dependencies"]]
    audited = {(pin["name"], pin["version"]): pin["vulns"] for pin in pins if "vulns" in pin}
    found = [
        f"{name} {version}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'none yet'}"
        for (name, version), flaws in audited.items()
        for flaw in flaws
    ]
    if found:
        return False, "\n".join(found)
    if None in answers or not audited:
        return True, "NOT AUDITED: the vulnerability service cannot be reached from here"
    skipped = sorted({pin["name"] for pin in pins if "vulns" not in pin})
    packages = "1 package" if len(audited) == 1 else f"{len(audited)} packages"
    rest = f"; not known to the service: {', '.join(skipped)}" if skipped else ""
    return True, f"no known vulnerability in {packages}{rest}"


def main(locks: Sequence[str]) -> None:
    """Prints what is known; ends with status 1 where that is something."""
    try:
        fine, said = verdict([asked(lock) for lock in locks])
    except ValueError as error:
        sys.exit(f"audit: {error}")
    print("\n".join(f"audit: {line}" for line in said.splitlines()))
    sys.exit(not fine)


if __name__ == "__main__":
    main(sys.argv[1:])
