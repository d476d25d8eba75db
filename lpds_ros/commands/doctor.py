"""`lpds doctor`: what this machine has and lacks, with the fix for each."""

import json
from dataclasses import asdict

from lpds_ros.commands._checks import Check, all_checks

HELP = "name what this machine has and lacks, with the fix for each"


def add_arguments(parser):
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args) -> int:
    """Exit code 0 when the simulation stack can run, else 1."""
    checks = all_checks()
    ready = all(check.ok for check in checks if check.required)
    if args.json:
        print(json.dumps({"simulation_ready": ready, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        print(report(checks, ready))
    return 0 if ready else 1


def report(checks: list[Check], ready: bool) -> str:
    """The report as text. LACKS: the simulation needs it; a dash: only a robot, a device or comfort does."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        mark = "ok   " if check.ok else "LACKS" if check.required else "-    "
        lines.append(f"{mark} {check.name:<{width}}  {check.found}")
        if check.fix:
            lines.append(f"{'':<{width + 6}}  -> {check.fix}")
    verdict = "the simulation stack can run" if ready else "the simulation stack cannot run: see the lines marked LACKS"
    return "\n".join([*lines, "", verdict])
