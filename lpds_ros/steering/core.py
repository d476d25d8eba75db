"""The steering core: one control tick at a time, without ROS. Observation in; pose targets, events and records out.

A tick first closes the books of the tick before it (the observation carries its reward), may end the decision and the
episode, and then decides who drives: the operator, the policy's chunk, or nobody (the target is held). Operator and
policy drive the very same target, so neither a takeover nor a release makes a jump.
"""

import traceback
from dataclasses import replace

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.perception.align import PICTURED
from lpds_ros.records import Decision, Episode, Mark, Mode, Observation, OperatorInput, Source
from lpds_ros.robot.gripper import GripperLogic
from lpds_ros.steering.accounts import Accounts, OpenDecision
from lpds_ros.steering.ahead import Ahead
from lpds_ros.steering.ladder import Ladder
from lpds_ros.steering.lost_cameras import LostCameras
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.safety import UnsafeActionError
from lpds_ros.steering.schedule import Chunk, Chunker, ChunkError, NoiseStream
from lpds_ros.steering.sight import Sight
from lpds_ros.steering.tick import PoseTarget, Tick
from lpds_ros.steering.trace import Trace, TracedTarget
from lpds_ros.weights import ActorParameters

UNHURRIED = 3  # an operator without a policy may take this many times max_ticks
NO_POLICY, FIRST_CHUNK = "waiting for the operator: no policy is loaded", "decoding the first chunk"
WAITS = (NO_POLICY, FIRST_CHUNK)  # reasons of a HOLD within an episode in which all is well

__all__ = ["PoseTarget", "SteeringCore", "SteeringParams", "Tick"]


class SteeringCore:
    """See the module's docstring. decoder: a DecoderSession, or None when only an operator drives. threaded: chunks of a
    contract with a delay are decoded in a thread of their own (in real time), which `close` ends.

    `tick` and `begin_episode` belong to one thread; `install_weights`, `stop` and `arm` may be called from any.
    `failure` is the traceback of an unexpected error (mode FAULT), for the log. `robot_error` is the last observation's.
    """

    def __init__(self, contract: Contract, params: SteeringParams, decoder, *, seed: int, session: str, threaded=False):
        self._contract, self._params, self._seed = contract, params, seed
        self._noises = params.noises(contract.horizons.delay)
        bundle = getattr(decoder, "bundle", None)
        self._chunker = Chunker(contract, decoder, params.max_radius, params.prefix)
        self._ahead = Ahead(contract, self._chunker, threaded=threaded)
        self._accounts = Accounts(contract, session, bundle.digest if bundle else "")
        self._ladder = Ladder(params.resume_after)
        self._target = TracedTarget(contract, params)
        self._gripper = GripperLogic(params.gripper_threshold, params.gripper_dwell_s)
        self._sight = Sight(contract.horizons, params)
        self._cameras = LostCameras(contract, params.camera_lost_s)
        self._open: OpenDecision | None = None
        self._chunk: Chunk | None = None
        self._asked: Chunk | None = None  # whose row this tick asked for, also where that was refused
        self._noise: NoiseStream | None = None
        # A person who records demonstrations takes the time that the task needs.
        self._max_ticks = contract.max_ticks * (1 if decoder is not None else UNHURRIED)
        self._not_before_ns = 0
        self._relieved = self._waited = False
        self.failure = self.robot_error = ""

    @property
    def weights_version(self) -> int:
        """Version of the weights in use; 0 is the prior."""
        return self._chunker.version

    @property
    def late_ticks(self) -> tuple[int, int]:
        """Ticks that ran on the rest of an old chunk because the next was late, and those that had to be held."""
        return self._ahead.late, self._ahead.starved

    @property
    def cut_ticks(self) -> int:
        """Ticks whose action the safety filter cut."""
        return self._target.cuts.total

    @property
    def episode(self) -> int:
        return self._accounts.episode

    @property
    def episode_tick(self) -> int:
        """Ticks of the running episode so far."""
        return self._accounts.ticks

    @property
    def running(self) -> bool:
        """Whether an episode runs."""
        return self._accounts.running

    @property
    def latched(self) -> tuple[Mode, str] | None:
        """(STOP, FAULT or a HOLD that only a person ends, reason) until `arm`, else None."""
        return self._ladder.latched

    @property
    def lost_camera(self) -> str:
        """Which cameras were lost and are not back, or ""."""
        return self._cameras.missing

    def trace(self) -> Trace:
        """What the last tick did, for the flight recorder: to be asked once after each tick, by its thread."""
        books = self._accounts
        moves, first, version = self._target.take(), self._ahead.first, self.weights_version
        return Trace(moves, self._chunk or self._asked, first, version, books.episode, books.seed, books.ticks)

    def ahead(self, most: int | None = None) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Poses at the ends of the ticks that follow (at most so many), as far as the decision under way has rows: position
        [3] m, orientation [4] xyzw. To be asked for after `tick`, by its thread.
        """
        return self._target.foresee(self._open.rest()[:most]) if self._by_policy and self._target.seeded else ()

    def install_weights(self, parameters: ActorParameters):
        """Take up these weights at the next chunk. Raises ValueError when their shapes do not fit the contract."""
        self._chunker.install(parameters)

    def begin_episode(self, episode: int, seed: int, not_before_ns: int = 0):
        """Start an episode with the first valid observation stamped `not_before_ns` or later, pictures and what goes with them
        included; the hand is taken as open.

        Raises RuntimeError while another episode runs.
        """
        if self._accounts.running:
            raise RuntimeError(f"episode {self._accounts.episode} still runs: end it by stop() before the next begins")
        self._accounts.begin(episode, seed)
        self._noise = NoiseStream(self._seed, seed, self._contract.noise_shape)
        self._not_before_ns = not_before_ns
        self._ladder.release()
        self._target.clear()
        self._gripper.reset()
        self._sight.clear()

    def close(self):
        """End the decoding thread, if there is one."""
        self._ahead.close()

    def stop(self, reason: str):
        """STOP from the next tick on: the episode ends, nothing moves until `arm`. The first reason is kept."""
        self._ladder.latch(Mode.STOP, reason)

    def arm(self):
        """Leave STOP or FAULT. The next episode starts from the measured pose."""
        self.failure = ""
        self._ladder.arm()

    def tick(self, observation: Observation, operator: OperatorInput | None = None) -> Tick:
        """One control tick; never raises. An unexpected error latches FAULT and holds the target."""
        try:
            return self._tick(observation, self._fresh(operator, observation.stamp_ns))
        except Exception as error:  # noqa: BLE001 (the arm must be held, whatever is broken; `failure` has the traceback)
            self.failure = traceback.format_exc()
            self._ladder.latch(Mode.FAULT, f"internal error: {type(error).__name__}: {error}")
            self._open = None
            self._ahead.cancel()
            return self._held(observation.stamp_ns, *self._ladder.latched)

    def _oldest_ns(self, observation: Observation) -> int:
        """Stamp of the observation; with pictures that of the oldest sample in it: it may show what was before a reset."""
        if not (self._contract.images and observation.valid):
            return observation.stamp_ns
        streams = self._contract.streams
        ages_s = [age_s for name, age_s in observation.ages_s.items() if name.removesuffix(PICTURED) in streams]
        return observation.stamp_ns - round(1e9 * max(ages_s, default=0.0))

    def _fresh(self, operator: OperatorInput | None, now_ns: int) -> OperatorInput | None:
        """The operator's input unless it belongs to an earlier episode; too old (a dead device?), it drives not."""
        if operator is None or operator.stamp_ns < self._not_before_ns:
            return None
        old = abs(now_ns - operator.stamp_ns) > self._params.operator_max_age_s * 1e9
        return replace(operator, active=False) if old else operator

    def _tick(self, observation: Observation, operator: OperatorInput | None) -> Tick:
        now_ns = observation.stamp_ns
        self._asked = None
        if operator is not None and operator.stop:
            self._ladder.latch(Mode.STOP, "the operator stopped the arm")
        self.robot_error = observation.robot_error
        if observation.robot_error:
            self._ladder.latch(Mode.STOP, observation.robot_error)
        if observation.robot_error or not observation.driven:
            self._target.clear()  # nothing is commanded: its controller starts again from where the arm is by then
        if lost := self._cameras.notice(observation):
            self._ladder.latch(Mode.HOLD, lost)
        if self._oldest_ns(observation) < self._not_before_ns:
            return self._held(now_ns, *self._idle("waiting for the first state of the episode"))
        problem = self._sight.problem(observation, self._target.seeded)
        if self._ladder.latched is None:
            self._relieved = False
        decision, episode = self._close(observation, operator, not problem)
        if episode is None and problem:
            decision = self._end_decision(truncated=True)
            self._sight.clear()
            self._ladder.hold(problem)
        if not problem:
            self._sight.see(observation)
        if not self._accounts.running or self._ladder.latched is not None:
            return self._rest(observation, not problem, decision, episode)
        self._accounts.ticks += 1
        if problem:
            return self._held(now_ns, Mode.HOLD, problem, decision)
        return self._drive(observation, operator, decision)

    def _close(self, observation: Observation, operator: OperatorInput | None, valid: bool):
        """Books of the tick before: (finished decision or None, ended episode or None)."""
        books = self._accounts
        if not books.running:
            return None, None
        mark = operator.mark if operator is not None else Mark.NONE
        by_operator = self._contract.reward.source == "operator"
        started = books.ticks > 0  # what came with the first observation belongs to no tick of this episode
        reward = float(by_operator and mark == Mark.SUCCESS) if by_operator else observation.reward * started
        success = mark == Mark.SUCCESS if by_operator else bool(observation.success and started)
        books.reward(reward)
        if self._open is not None:
            self._open.rewarded(reward, valid)
        if success:
            end = "success"
        elif mark == Mark.FAILURE:
            end = "failure"
        elif self._ladder.latched is not None:
            end = self._ladder.latched[1]
        elif books.ticks >= self._max_ticks:
            end = "time"
        else:
            return None, None
        terminated = end in ("success", "failure")
        if valid:
            self._sight.see(observation)
        decision = self._end_decision(terminated=terminated, truncated=not terminated)
        self._sight.clear()
        return decision, books.end(observation.stamp_ns, success, end, self.weights_version)

    def _end_decision(self, *, terminated=False, truncated=False, next_state=None) -> Decision | None:
        """Finish the open decision, if there is one and it ran.

        next_state: that of the decision which follows at once; without one the arm comes to rest, and the chunk under way is
        dropped.
        """
        running, self._open = self._open, None
        if next_state is None:
            self._chunk = None
            self._ahead.cancel()
        if running is None:
            return None
        next_state = self._sight.state if next_state is None else next_state
        fields = running.finish(next_state, terminated=terminated, truncated=truncated)
        return None if fields is None else self._accounts.decision(fields)

    @property
    def _by_policy(self) -> bool:
        """Whether the open decision is the policy's."""
        return self._open is not None and self._open.source != Source.OPERATOR

    def _drive(self, observation: Observation, operator: OperatorInput | None, decision: Decision | None) -> Tick:
        now_ns = observation.stamp_ns
        if not self._target.seeded:
            self._ladder.release()  # nothing was commanded yet: there is nothing to resume
            self._target.seed(observation.position, observation.orientation)
        elif self._ladder.held:
            decision = decision or self._end_decision(truncated=True)
            if not self._ladder.clean():
                return self._held(now_ns, Mode.HOLD, self._ladder.waiting, decision)
            self._target.seed(observation.position, observation.orientation)
        by_operator = operator is not None and operator.active
        if not by_operator and not self._chunker.ready:
            # Nobody drives: the decision stays open, so that a later mark still finds it.
            return self._held(now_ns, Mode.HOLD, NO_POLICY, decision)
        if self._ahead.stale(now_ns):
            decision = self._end_decision(truncated=True)
        if by_operator and self._open is not None and (self._open.complete or self._ahead.under_way or self._by_policy):
            decision = self._end_decision(next_state=self._sight.state_before)
        try:
            if by_operator:
                row = self._operated(now_ns, operator)
            else:
                decision = self._next_chunk(now_ns) or decision
                row = self._steered(now_ns)
            if row is None:
                return self._held(now_ns, Mode.HOLD, self._wait(), decision)
            if self._waited:
                self._target.seed(observation.position, observation.orientation)
                self._waited = False
            self._asked = self._chunk
            sent = self._target.advance(row, observation.position, observation.orientation, observation.joints)
        except (ChunkError, UnsafeActionError) as error:
            who = "the operator's " if by_operator else ""
            self._ladder.hold(f"{who}{error}")
            cut = self._open is not None and not self._open.complete
            return self._held(now_ns, Mode.HOLD, f"{who}{error}", self._end_decision(truncated=cut) or decision)
        self._ahead.step(moved=True)
        if not self._open.complete:  # it is while the rest of its chunk runs, for want of the next
            self._open.executed(row, sent, observation.data)
        self._accounts.operator_ticks += by_operator
        grips = self._contract.action.gripper != "none"
        chunk_reason = self._chunk.reason if self._chunk is not None else ""
        return Tick(
            stamp_ns=now_ns,
            mode=Mode.PRIOR if chunk_reason else Mode.RUN,
            reason="the operator drives"
            if by_operator
            else chunk_reason or f"steered by version {self._chunk.version}",
            source=Source.OPERATOR if by_operator else self._chunk.source,
            targets=self._target.sub_targets(now_ns),
            gripper=self._gripper.update(float(row[-1]), now_ns) if grips else None,
            decision=decision,
            delta_sq_mean=self._chunk.delta_sq_mean if self._chunk is not None else 0.0,
            decode_s=self._chunk.decode_s if self._chunk is not None and self._open.ticks == 1 else 0.0,
        )

    def _operated(self, now_ns: int, operator: OperatorInput) -> np.ndarray:
        """The operator's row [d_a]; a decision is started where none is open."""
        if self._open is None:
            self._ahead.cancel()
            self._chunker.swap()
            self._chunk = None
            self._open = OpenDecision.of_operator(self._contract, now_ns, self._sight.state_before, self.weights_version)
        return np.clip(operator.action, -1.0, 1.0).astype(np.float32)

    def _next_chunk(self, now_ns: int) -> Decision | None:
        """Start the next chunk when its time has come and it is there; the decision before ends only then, so that what is
        earned while waiting is its own. Raises ChunkError when the policy has no executable chunk.
        """
        ahead = self._ahead
        if self._by_policy and not self._open.complete:
            return None
        if not ahead.under_way:
            ahead.request(self._sight.state, self._noise.next(self._noises), now_ns)
        if not ahead.due:
            return None
        state, stamp_ns = ahead.state, ahead.stamp_ns
        chunk, first = ahead.take()
        decision = self._end_decision(next_state=state)
        self._chunk = chunk
        self._open = OpenDecision.of_chunk(self._contract, stamp_ns, state, chunk, first)
        return decision

    def _steered(self, now_ns: int) -> np.ndarray | None:
        """The policy's row [d_a]: of the open decision, or of the rest of its chunk when that is over; None: there is none."""
        ahead = self._ahead
        if not self._by_policy or self._open.complete:
            return ahead.bridge()
        ran = self._open.ticks
        if ahead.delay and ran == self._contract.horizons.executed - ahead.delay:
            ahead.request(self._sight.state, self._noise.next(self._noises), now_ns, ran)
        return self._open.row()

    def _wait(self) -> str:
        """A tick for which the policy has no row: why. Whatever runs next starts from the measured pose."""
        self._ahead.step(moved=False)
        self._waited = True
        return "the decoder is late, and the last chunk has run out" if self._by_policy else FIRST_CHUNK

    def _idle(self, otherwise: str) -> tuple[Mode, str]:
        return self._ladder.latched or (Mode.HOLD, otherwise)

    def _rest(self, observation: Observation, valid: bool, decision: Decision | None, episode: Episode | None) -> Tick:
        """Between episodes, or stopped: the target is held; on STOP or FAULT it goes once to the measured pose."""
        if self._ladder.latched is not None and valid and self._target.seeded and not self._relieved:
            self._target.seed(observation.position, observation.orientation)
            self._relieved = True
        mode, reason = self._idle(
            f"episode {self._accounts.episode} ended: {episode.reason}" if episode else "between episodes"
        )
        return self._held(observation.stamp_ns, mode, reason, decision, episode)

    def _held(
        self, now_ns: int, mode: Mode, reason: str, decision: Decision | None = None, episode: Episode | None = None
    ):
        if self._target.seeded:
            self._target.hold()
        return Tick(now_ns, mode, reason, None, self._target.sub_targets(now_ns), None, decision, episode)
