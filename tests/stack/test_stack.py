"""The real processes, in lockstep: they learn, change what is commanded, refuse what they must, leave nothing."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
from launched import RUN_PATIENCE_S, belonging_to, lpds

from lpds_ros.arguments import parse
from lpds_ros.bringup import plan
from lpds_ros.data.rollout_log import read_log
from lpds_ros.environment import ros_environment
from lpds_ros.prior.session import DecoderSession
from lpds_ros.records import Decision, Episode, Source
from lpds_ros.rollout import Rollout, make_core
from lpds_ros.run_folder import open_run
from lpds_ros.sim.control import Mode
from lpds_ros.stack import command
from lpds_ros.steering.params import SteeringParams
from lpds_ros.summary import read_rows
from lpds_ros.weights import unpack_weights


def test_a_demo_learns_and_leaves_a_whole_run_folder(start, basics, tiny_bundle):
    run = start("demo", "--episodes", "6", "--seed", "1", *basics)
    assert run.end() == 0, run.output
    assert not belonging_to(run.run_dir)
    assert (run.run_dir.parent / "latest").resolve() == run.run_dir.resolve()

    records = [record for _, record in read_log(run.run_dir)]
    episodes = [r for r in records if isinstance(r, Episode)]
    decisions = [r for r in records if isinstance(r, Decision)]
    assert [e.episode for e in episodes] == list(range(6))
    assert [e.seed for e in episodes] == [2_000_000 + i for i in range(6)]
    assert len({d.key for d in decisions}) == len(decisions) == sum(e.decisions for e in episodes)

    steered = [d for d in decisions if d.weights_version > 0]
    assert steered and all(np.any(d.delta) for d in steered), "weights arrived and moved the noise"
    session = DecoderSession(tiny_bundle, provider="cpu")
    for decision in (decisions[0], steered[-1]):
        state = decision.observation[None]
        np.testing.assert_array_equal(session.decode(state, (decision.noise + decision.delta)[None])[0], decision.chunk)
    of_prior = session.decode(steered[-1].observation[None], steered[-1].noise[None])[0]
    assert np.abs(of_prior - steered[-1].chunk).max() > 1e-4, "learned weights change what is commanded"
    first = [d for d in decisions if d.weights_version == 0]
    assert first and not any(np.any(d.delta) for d in first) and all(d.source == Source.PRIOR for d in first)

    # The same episode in one process, without ROS: the nodes exchange and compute the very same numbers.
    rollout = Rollout(tiny_bundle.contract, make_core(tiny_bundle.contract, session, seed=1))
    alone = [decision for _, decision, _ in rollout.episode(0, episodes[0].seed) if decision is not None]
    together = [d for d in decisions if d.episode == 0]
    assert len(alone) == len(together)
    for a, b in zip(alone, together):
        for name in ("observation", "noise", "chunk", "sent", "rewards", "tick_observations", "next_observation"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=f"decision {a.index}: {name}")

    summary = json.loads((run.run_dir / "summary.json").read_text())
    assert summary["episodes"] == 6 and summary["end"] == "all episodes done" and summary["weights_version"] > 0
    assert summary["success"]["all"] == np.mean([e.success for e in episodes])
    assert summary["simulated_s_per_wall_s"] > 0.0
    assert len(read_rows(run.run_dir / "episodes.csv")) == 6
    assert (run.run_dir / "curve.png").read_bytes().startswith(b"\x89PNG")
    latest = (run.run_dir / "actor" / "latest.safetensors").read_bytes()
    assert unpack_weights(latest, contract=tiny_bundle.contract, prior_digest=tiny_bundle.digest).version >= 1

    again = start("demo", "--resume", str(run.run_dir), "--episodes", "1", run_dir=run.run_dir)
    assert again.end() == 0, again.output
    assert [r.seed for r in read_rows(run.run_dir / "episodes.csv")] == [2_000_000 + i for i in range(7)]


def test_an_episode_of_trajectories_is_the_one_without_ros(start, tiny_bundle):
    words = [f"prior:={tiny_bundle.path}", "clock:=lockstep", "learner:=false", "command_mode:=joint_trajectory"]
    run = start("demo", "--episodes", "1", *words, "gripper_actions:=gripper_command")
    assert run.end() == 0, run.output
    records = [record for _, record in read_log(run.run_dir)]
    (episode,) = (r for r in records if isinstance(r, Episode))
    together, params = [r for r in records if isinstance(r, Decision)], SteeringParams()
    core = make_core(tiny_bundle.contract, DecoderSession(tiny_bundle, provider="cpu"), seed=0)
    mode = params.command_mode("joint_trajectory", tiny_bundle.contract.period_s)
    rollout = Rollout(tiny_bundle.contract, core, command_mode=mode)
    alone = [decision for _, decision, _ in rollout.episode(0, episode.seed) if decision is not None]
    assert len(alone) == len(together) and rollout.world.control.mode is Mode.TRAJECTORY
    for a, b in zip(alone, together):
        np.testing.assert_array_equal(a.tick_observations, b.tick_observations, err_msg=f"decision {a.index}")


def test_ctrl_c_ends_a_demo_cleanly_with_a_summary(start, basics):
    run = start("demo", *basics)
    run.wait_for("episode 2:")
    assert run.end(signal.SIGINT) == 0, run.output
    assert not belonging_to(run.run_dir)
    summary = json.loads((run.run_dir / "summary.json").read_text())
    assert summary["episodes"] >= 2 and summary["end"] == "asked to stop"
    assert "was killed" not in run.output
    assert any(isinstance(record, Episode) for _, record in read_log(run.run_dir))


def test_a_busy_domain_and_a_second_learner_are_refused_with_one_line(start, basics, tiny_bundle, tmp_path):
    run = start("launch", "franka_steer.launch.py", *basics)
    run.until((run.run_dir / "actor" / "latest.safetensors").exists, "the first weights")
    second = lpds("launch", "franka_steer.launch.py", *basics)
    output, _ = second.communicate(timeout=RUN_PATIENCE_S)
    assert second.returncode == 2 and len(output.splitlines()) == 1
    assert str(run.run_dir) in output and "ROS_DOMAIN_ID=" in output
    for folder, told in ((run.run_dir, "already learns in"), (tmp_path / "elsewhere", "already serves this robot")):
        words = ["-p", f"bundle:={tiny_bundle.path}", "-p", f"run_dir:={folder}"]
        learner = subprocess.run(
            [sys.executable, "-m", "lpds_ros.nodes.learner", "--ros-args", *words],
            capture_output=True,
            text=True,
            timeout=RUN_PATIENCE_S,
            env=ros_environment(),
        )
        assert learner.returncode == 2, learner.stderr
        line = learner.stderr.splitlines()[-1]
        assert line.startswith("lpds learner: a second learner") and told in line
    assert run.end(signal.SIGTERM) == 0, run.output
    assert not belonging_to(run.run_dir)


def test_a_killed_learner_is_started_again_and_goes_on(start, basics):
    run = start("launch", "franka_steer.launch.py", *basics)
    versions = lambda: len(list((run.run_dir / "actor").glob("v*.safetensors")))  # noqa: E731
    run.until(lambda: versions() >= 2, "two versions")
    (pid,) = [pid for pid, line in belonging_to(run.run_dir).items() if "nodes.learner" in line]
    os.kill(pid, signal.SIGKILL)
    run.wait_for("learner was killed by SIGKILL; started again")
    before = versions()
    run.until(lambda: versions() > before, "a version of the learner that was started again")
    assert run.end(signal.SIGINT) == 0, run.output
    assert not belonging_to(run.run_dir)
    reported = [d for _, d in read_log(run.run_dir) if isinstance(d, Decision)]
    used = [d.weights_version for d in reported]
    assert used == sorted(used), "versions never go back"


def test_an_essential_process_that_dies_ends_the_run_and_is_named(start, basics):
    run = start("launch", "franka_steer.launch.py", *basics, "learner:=false")
    run.until(lambda: len(belonging_to(run.run_dir)) == 5, "launcher and four nodes")
    run.wait_for("[recorder]")
    (pid,) = [pid for pid, line in belonging_to(run.run_dir).items() if "nodes.perception" in line]
    os.kill(pid, signal.SIGKILL)
    assert run.end() == 1
    assert "perception was killed by SIGKILL" in run.output
    assert not belonging_to(run.run_dir)


def test_a_missing_object_pose_holds_the_arm_and_is_named(ros, basics, tmp_path):
    from lpds_msgs.msg import Observation, SteeringStatus

    from lpds_ros.nodes import qos

    todo = plan(parse([*basics, "learner:=false", "recorder:=false", f"run_dir:={tmp_path / 'run'}"]))
    open_run(todo)
    statuses, observations, node = [], [], ros.node("watcher")
    node.create_subscription(SteeringStatus, "lpds/steering_status", statuses.append, qos.CONTROL)
    node.create_subscription(Observation, "lpds/observation", observations.append, qos.CONTROL)
    children = []
    try:
        for process in todo.processes:
            argv = list(command(todo, process).argv)
            if process.name == "perception":
                argv += ["-r", "lpds/object_pose:=lpds/nowhere"]
            children.append(subprocess.Popen(argv, env=ros_environment(todo.run_dir)))
        held = lambda: any(s.mode == SteeringStatus.HOLD and "object" in s.reason for s in statuses)  # noqa: E731
        ros.wait(held, what="HOLD naming the object")
        ros.wait(lambda: observations, what="an observation")
        assert not any(o.valid for o in observations)
    finally:
        for child in reversed(children):
            child.send_signal(signal.SIGINT)
        assert [child.wait(RUN_PATIENCE_S) for child in children] == [0] * len(children)
