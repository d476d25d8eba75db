"""Demonstrations from whatever holds them, and what the learner's replay makes of them."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.data.demonstration import (
    DemoError,
    DemoFile,
    Demonstration,
    check_demo,
    digest_demos,
    followed,
    stacked_observations,
)
from lpds_ros.data.lerobot import is_lerobot
from lpds_ros.data.mapping import Mapping, MappingError
from lpds_ros.data.robomimic import read_demos_hdf5, write_demos_hdf5
from lpds_ros.data.rollout_log import RolloutLogWriter, read_log
from lpds_ros.records import Decision, Episode, Source

__all__ = [
    "DemoError",
    "DemoFile",
    "Demonstration",
    "decisions_from_demo",
    "demos_from_log",
    "digest_demos",
    "read_demos",
    "write_demos_hdf5",
    "write_demos_log",
]

HDF5_SUFFIXES = (".hdf5", ".h5")


def read_demos(path, contract: Contract | None = None, *, mapping: Mapping | None = None, mask: str = "") -> DemoFile:
    """Read demonstrations from an HDF5 file, a LeRobotDataset's folder, a rollout log (.mcap) or a run folder with logs.

    mapping: which of another recorder's numbers is which of the contract's, for HDF5 and LeRobot. mask: a filter of a robomimic
    file. Raises DemoError for what cannot be read or holds none, MappingError, and ContractError when `contract` is given and
    differs from the file's in more than its horizons.
    """
    path = Path(path)
    if path.suffix in HDF5_SUFFIXES:
        return read_demos_hdf5(path, contract, mapping=mapping, mask=mask)
    if mask:
        raise DemoError(f"{path}: masks are robomimic's; leave '{mask}' out")
    if is_lerobot(path):
        from lpds_ros.data.lerobot_read import read_lerobot

        return read_lerobot(path, contract, mapping)
    if mapping is not None:
        raise MappingError(f"{path}: a rollout log is in the contract's terms already; leave the mapping out")
    if path.suffix != ".mcap" and not path.is_dir():
        raise DemoError(
            f"{path}: neither a demonstration file ({', '.join(HDF5_SUFFIXES)}), a LeRobotDataset, a rollout log (.mcap) nor a "
            "run folder"
        )
    log = read_log(path)
    demos = demos_from_log(log)
    if contract is None and log.contract is None:
        raise DemoError(f"{path}: no contract inside; name the one it follows with --contract")
    contract = followed(contract, log.contract or contract, str(path))
    for i, demo in enumerate(demos):
        check_demo(demo, contract, f"{path}: demonstration {i}")
    if not demos:
        raise DemoError(f"{path}: holds no successful episode driven by an operator alone")
    return DemoFile(demos, contract, digest_demos(demos))


def demos_from_log(log, *, successful_only: bool = True, operator: str = "") -> list[Demonstration]:
    """Episodes of a rollout log (a path, or what `read_log` returned) that an operator drove from first to last tick."""
    log = read_log(log) if isinstance(log, (str, Path)) else log
    return [demo_from_decisions(*driven, operator) for driven in driven_episodes(log, successful_only=successful_only)]


def driven_episodes(log, *, successful_only: bool = True) -> Iterator[tuple[list[Decision], Episode]]:
    """The decisions of each episode that an operator drove from first to last tick; log: (topic, record) as `read_log` yields.

    An episode with a gap, or without its Episode record (it never ended), is left out.
    """
    decisions: dict[tuple[str, int], list[Decision]] = {}
    episodes: list[Episode] = []
    for _, record in log:
        if isinstance(record, Decision):
            decisions.setdefault((record.session, record.episode), []).append(record)
        elif isinstance(record, Episode):
            episodes.append(record)
    for episode in episodes:
        parts = sorted(decisions.get((episode.session, episode.episode), []), key=lambda d: d.index)
        driven = bool(parts) and all(d.source == Source.OPERATOR for d in parts)
        whole = [d.index for d in parts] == list(range(episode.decisions))
        if driven and whole and (episode.success or not successful_only):
            yield parts, episode


def demo_from_decisions(parts: list[Decision], episode: Episode, operator: str) -> Demonstration:
    """The decisions of a whole episode, in their order, as one demonstration; without pictures."""
    width = parts[0].tick_observations.shape[1]
    return Demonstration(
        observations=np.concatenate([d.tick_observations for d in parts]),
        actions=np.concatenate([d.executed[: d.ticks] for d in parts]),
        rewards=np.concatenate([d.rewards[: d.ticks] for d in parts]),
        success=episode.success,
        seed=episode.seed,
        operator=operator,
        final_observation=parts[-1].next_observation[-width:],
    )


def write_demos_log(path, demonstrations, contract: Contract) -> Path:
    """Write demonstrations as a rollout log, one operator-driven episode each; read back they are the same numbers.

    The file appears whole or not at all. Raises DemoError for pictures, which a log has no place for.
    """
    path, demonstrations = Path(path), list(demonstrations)
    if any(demo.images for demo in demonstrations):
        raise DemoError(f"{path}: a rollout log holds no pictures; convert to .hdf5, or to a folder with --to lerobot")
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        with RolloutLogWriter(partial, contract) as log:
            for demo in demonstrations:
                decisions = decisions_from_demo(demo, contract)
                for decision in decisions:
                    log.write_decision(decision)
                log.write_episode(
                    Episode(
                        session=decisions[0].session,
                        episode=0,
                        seed=demo.seed,
                        stamp_ns=round(len(demo) * 1e9 / contract.rate_hz),
                        success=demo.success,
                        episode_return=float(demo.rewards.sum()),
                        ticks=len(demo),
                        decisions=len(decisions),
                        reason="success" if demo.success else "time",
                        weights_version=0,
                        operator_ticks=len(demo),
                        contract_digest=contract.digest,
                    )
                )
                log.flush()
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path


def decisions_from_demo(demo: Demonstration, contract: Contract) -> list[Decision]:
    """Cut a demonstration into the transitions the learner's replay holds: one per T_a ticks, source OPERATOR.

    `session` is made of the demonstration's digest and `decision_id` counts, so the same one is never learned from twice.
    With a delay the states are those of d ticks before, as a chunk's would have been. Rows past `ticks` are zero, except that
    the gripper keeps its last command: an early end is no command to open.
    """
    check_demo(demo, contract, "demonstration")
    horizons, width = contract.horizons, contract.action.size
    states = stacked_observations(np.concatenate([demo.observations, demo.final_observation[None]]), horizons.observed)
    decisions = []
    for index, start in enumerate(range(0, len(demo), horizons.executed)):
        stop = min(start + horizons.executed, len(demo))
        ticks, last = stop - start, stop == len(demo)
        executed = np.zeros((horizons.executed, width), np.float32)
        executed[:ticks] = demo.actions[start:stop]
        if contract.action.gripper != "none":
            executed[ticks:, -1] = demo.actions[stop - 1, -1]
        rewards = np.zeros(horizons.executed, np.float32)
        rewards[:ticks] = demo.rewards[start:stop]
        empty = np.zeros((0, width), np.float32)
        decisions.append(
            Decision(
                session=f"demo:{demo.digest[:32]}",
                decision_id=index,
                episode=0,
                index=index,
                stamp_ns=round(start * 1e9 / contract.rate_hz),
                source=Source.OPERATOR,
                weights_version=0,
                observation=states[max(0, start - horizons.delay)],
                noise=empty,
                delta=empty,
                chunk=empty,
                executed=executed,
                sent=executed,
                rewards=rewards,
                ticks=ticks,
                tick_observations=demo.observations[start:stop],
                next_observation=states[stop if last else stop - horizons.delay],
                terminated=last and demo.success,
                truncated=last and not demo.success,
                contract_digest=contract.digest,
            )
        )
    return decisions
