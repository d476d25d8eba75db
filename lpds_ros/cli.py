"""`lpds`: finds the verb under lpds_ros/commands, imports that one alone, and turns what goes wrong into one line.

`lpds prior train` is commands/prior_train.py; where no such file exists, commands/prior.py gets `train` as an argument.
"""

import argparse
import ast
import difflib
import importlib
import os
import sys
import traceback
from pathlib import Path

from lpds_ros.environment import apply_defaults

COMMANDS = Path(__file__).with_name("commands")
EXIT_FAILURE, EXIT_REFUSED, EXIT_INTERRUPTED = 1, 2, 130

# Which extra of setup.py brings an optional module, for the line a person can paste.
EXTRAS = {
    "onnxruntime": "cpu",
    "mujoco": "sim",
    "torch": "train",
    "onnx": "train",
    "onnxscript": "train",
    "h5py": "train",
    "tqdm": "train",
    "matplotlib": "train",
    "hid": "teleop",
    "cv2": "vision",
    "pyrealsense2": "realsense",
    "pyarrow": "lerobot",
    "av": "lerobot",
    "gymnasium": "bench",
    "gymnasium_robotics": "bench",
    "stable_baselines3": "peers",
    "pytest": "dev",
}
BUILT_BY_SETUP = ("rclpy", "lpds_msgs", "franka_msgs", "control_msgs", "tf2_msgs", "builtin_interfaces")


def verbs() -> dict[str, Path]:
    """Every verb as it is typed ("prior train", "calibrate hand-eye") and its file."""
    files = sorted(path for path in COMMANDS.glob("*.py") if not path.name.startswith("_"))
    return {path.stem.replace("_", " ", 1).replace("_", "-"): path for path in files}


def help_of(path: Path) -> str:
    """The HELP line of a verb, read without importing what the verb needs."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "HELP":
            return ast.literal_eval(statement.value)
    return ""


def overview() -> str:
    """The text of `lpds --help`."""
    known = verbs()
    width = max(map(len, known), default=0)
    lines = ["usage: lpds <verb> [options]; `lpds <verb> --help` describes one", ""]
    return "\n".join(lines + [f"  {name:<{width}}  {help_of(path)}" for name, path in known.items()])


def find_verb(words: list[str]) -> tuple[str, list[str]]:
    """Split a command line into its verb and the verb's arguments. Raises LookupError that names the nearest verb."""
    known = verbs()
    for count in (2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and name in known:
            return name, words[count:]
    asked = " ".join(word for word in words[:2] if not word.startswith("-"))
    family = [name for name in known if name.split()[0] == words[0]]
    if family and len(asked.split()) == 1:
        raise LookupError(f"'{asked}' needs one more word: {', '.join(family)}")
    close = difflib.get_close_matches(asked, known, n=1, cutoff=0.6)
    close = close or difflib.get_close_matches(words[0], known, n=1, cutoff=0.6)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}"
    raise LookupError(f"unknown verb '{asked or words[0]}'; {hint}")


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit code; 2 for a refused request or configuration, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else EXIT_REFUSED
    try:
        name, arguments = find_verb(words)
    except LookupError as error:
        return _refuse("lpds", error.args[0])
    apply_defaults()
    try:
        module = importlib.import_module(f"lpds_ros.commands.{verbs()[name].stem}")
        parser = argparse.ArgumentParser(prog=f"lpds {name}", description=module.HELP)
        module.add_arguments(parser)
        return int(module.run(parser.parse_intermixed_args(arguments)) or 0)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # `lpds … | head`: nobody reads any more; without this the interpreter complains again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except ModuleNotFoundError as error:
        top = (error.name or "").partition(".")[0]
        if top not in EXTRAS and top not in BUILT_BY_SETUP:
            raise
        return _refuse(f"lpds {name}", _how_to_install(top))
    except ValueError as error:
        if not _is_explained(error):
            raise
        return _refuse(f"lpds {name}", str(error))


def _refuse(who: str, text: str) -> int:
    print(f"{who}: {text}", file=sys.stderr)
    return EXIT_REFUSED


def _how_to_install(module: str) -> str:
    if module in BUILT_BY_SETUP:
        return f"Python module '{module}' is missing: source your ROS 2 workspace, or `make setup`, then .venv/bin/lpds"
    return f"Python module '{module}' is missing: pip install 'lpds_ros[{EXTRAS[module]}]'"


def _is_explained(error: ValueError) -> bool:
    """Whether the text was written for a person: our own error classes, or one raised by a verb itself.

    A bare ValueError out of a library is a defect, and keeps its traceback.
    """
    if type(error).__module__.startswith("lpds_ros."):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return type(error) is ValueError and bool(frames) and Path(frames[-1].filename).parent == COMMANDS


if __name__ == "__main__":
    sys.exit(main())
