"""What the verbs about demonstrations and priors share: finding a contract, reading several files as one set."""

from pathlib import Path

from lpds_ros.config import nearest
from lpds_ros.contract import Contract, ContractError, contract_directory, load_contract
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.demos import read_demos

SOURCES = "demonstration files (.hdf5), LeRobot data sets, bags (.mcap, .db3, folders), rollout logs or run folders"


def find_contract(name: str | None) -> Contract | None:
    """The contract at a path, or by name under config/contracts; None for None. Raises ContractError, ConfigError."""
    return None if name is None else load_contract(contract_path(name))


def contract_path(name: str) -> Path:
    """The file of a contract: a path as it is, or a name's under config/contracts. Raises ContractError."""
    if Path(name).suffix:
        return Path(name)
    known = {path.stem: path for path in contract_directory().glob("*.yaml")}
    if name not in known:
        raise ContractError(f"no contract '{name}' under config/contracts{nearest(name, known)}")
    return known[name]


def add_mapping(parser):
    """--mapping and --mask, for files of other recorders."""
    parser.add_argument("--mapping", type=Path, help="YAML: what another recorder's numbers or topics mean")
    parser.add_argument("--mask", default="", help="of a robomimic file only this filter's demonstrations, for example train")


def read_all(
    paths, contract: Contract | None, *, mapping: Path | None = None, mask: str = ""
) -> tuple[list[Demonstration], Contract]:
    """Every demonstration of several files, in order, all under one contract (the first file's when None is given)."""
    demos = []
    for path in paths:
        file = read_demos(path, contract, mapping=mapping, mask=mask)
        contract = file.contract
        demos += file.demonstrations
    return demos, contract
