"""The steering node: observations, operator and weights in; the arm's targets, gripper goals and records out.

A thin shell over steering.core. It holds the only publisher on the target topic: operator and policy are muxed inside.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lpds_ros.nodes.base import LpdsNode, main as run_node  # isort: skip (sets what rclpy reads at its first import)
from lpds_msgs.msg import Decision as DecisionMsg
from lpds_msgs.msg import Episode as EpisodeMsg
from lpds_msgs.msg import LearnerStatus, OperatorCommand, SteeringStatus, SteeringWeights
from lpds_msgs.msg import Observation as ObservationMsg
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from std_srvs.srv import Trigger

from lpds_ros.contract import ContractError
from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import (
    MessageError,
    decision_to_msg,
    episode_to_msg,
    observation_from_msg,
    stamp_msg,
)
from lpds_ros.nodes.steering_command import CommandPort
from lpds_ros.nodes.steering_controllers import ControllerWatch
from lpds_ros.nodes.steering_drive import SILENT_PERIODS, LockstepDriver, RealtimeDriver
from lpds_ros.nodes.steering_flight import Flight
from lpds_ros.nodes.steering_hand import make_hand
from lpds_ros.nodes.steering_intruder import intruder
from lpds_ros.nodes.steering_operator import OperatorInbox
from lpds_ros.nodes.steering_params import Parameters
from lpds_ros.nodes.steering_setup import load, make_gate, steering_params
from lpds_ros.nodes.steering_turn import EpisodeTurn
from lpds_ros.nodes.steering_weights import WeightsInbox
from lpds_ros.records import Mode, Observation
from lpds_ros.robot.command_modes import CONTROLLERS
from lpds_ros.robot.targets import Target
from lpds_ros.steering.clock import TickClock
from lpds_ros.steering.core import SteeringCore
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.tick import Tick

POLL_S = 0.02
FAREWELL_S = 2.0  # after the last episode, so that whoever listens has it
MEASURED_S = 1.0  # an arm that was last measured longer ago may be anywhere: it is not called back there
LAST_CALL_S = 20.0  # a listener that has not acknowledged it by then is dead


class SteeringNode(LpdsNode):
    """Publishes the arm's targets (target_pose, or another command mode's), lpds/decision, lpds/episode, lpds/steering_status;
    serves lpds/stop and lpds/arm.
    """

    NAME = "steering"
    Parameters = Parameters
    core = _driver = _inbox = _hand = _flight = _arm = None

    # -- start --------------------------------------------------------------

    def set_up(self):
        p = self.params
        self.contract, bundle, decoder = load(p)
        self._provider, self._prior_digest = (decoder.provider, bundle.digest) if decoder else ("", "")
        self.session = uuid.uuid4().hex
        self._lockstep = p.clock == "lockstep"
        if not self._lockstep:
            self.claim_realtime()
        named = dict(seed=p.seed, session=self.session, threaded=not self._lockstep)
        steering = steering_params(self, p)
        self.core = SteeringCore(self.contract, steering, decoder, **named)
        self._flight = Flight(self, self.core, steering, decoder)
        self._operator = OperatorInbox(self.contract)
        self._begin: tuple[int, int, int] | None = None
        self._index, self._done, self._done_s = 0, "", 0.0
        self._tick: Tick | None = None
        self._measured: Observation | None = None
        self._intruder = ""
        self._reported_failure = self._refused = ""
        self._hand = make_hand(self, p)
        gate = make_gate(p, self.contract, bundle, self.core, self.session, self.get_logger().warning)
        self._inbox = WeightsInbox(self, gate)
        self.clock = TickClock(self.contract.period_ns)
        self._turn = EpisodeTurn(
            self,
            self._on_ready,
            backlog_limit=p.learner_backlog_limit if p.learner_gate else None,
            patience_s=p.learner_patience_s,
            auto_reset=p.auto_reset,
            reset_patience_s=p.reset_patience_s,
            unready=self._unready,
        )
        self._make_interfaces(steering)
        watched = CONTROLLERS[p.command_mode] if p.controller == "auto" else p.controller
        self._controllers = ControllerWatch(self, "" if self._lockstep else watched)
        if self._lockstep:
            waits = p.wait_for_operator == "always" or (p.wait_for_operator == "auto" and bundle is None)
            self._driver = LockstepDriver(self, self.clock, waits)
        else:
            count = steering.targets_per_period(self.contract.period_s)
            self._driver = RealtimeDriver(self, self, self.clock, self.contract.observation_size, count)
            self._driver.start()
        self._first_episode()

    def _first_episode(self):
        """Begin, unless a steering node of this launch has been here before: it has died, and a person decides."""
        try:
            if self.params.started_mark:
                Path(self.params.started_mark).touch(exist_ok=False)
            self._turn.start(self.params.seed_base)
        except FileExistsError:
            self.core.stop("the steering node before this one has died: look at the arm, then call lpds/arm")

    def _make_interfaces(self, steering: SteeringParams):
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._arm = CommandPort(self, self.params, steering, self.contract.period_s)
        self._decisions = self.create_publisher(DecisionMsg, "lpds/decision", qos.RECORD)
        self._episodes = self.create_publisher(EpisodeMsg, "lpds/episode", qos.RECORD)
        self._status = self.create_publisher(SteeringStatus, "lpds/steering_status", qos.CONTROL)
        self._outbox: deque[Tick] = deque()
        self._news = self.create_guard_condition(self._empty_outbox)
        self.create_subscription(ObservationMsg, "lpds/observation", self._on_observation, qos.CONTROL)
        self.create_subscription(OperatorCommand, "lpds/operator", self._on_operator, qos.CONTROL)
        self.create_subscription(SteeringWeights, "lpds/weights", self._on_weights, qos.LATCHED)
        self.create_subscription(LearnerStatus, "lpds/learner_status", self._on_learner, qos.CONTROL)
        self.create_service(Trigger, "lpds/stop", self._on_stop)
        self.create_service(Trigger, "lpds/arm", self._on_arm)
        self.create_timer(POLL_S, self._poll, clock=steady)
        self.create_timer(1.0 / self.params.status_hz, self._publish_status, clock=steady)

    # -- in --------------------------------------------------------------

    def _on_observation(self, message: ObservationMsg):
        try:
            observation = observation_from_msg(message, self.contract)
        except (ContractError, MessageError) as error:
            self._refuse(f"lpds/observation refused: {error}")
            return
        self._refused = ""
        self._driver.on_observation(observation)

    def _on_operator(self, message: OperatorCommand):
        if message.stop:  # whatever else is wrong with it
            self.core.stop("the operator stopped the arm")
        try:
            self._operator.put(message)
        except MessageError as error:
            self.complain(f"lpds/operator refused: {error}")
            return
        self._driver.on_operator()

    def _refuse(self, reason: str):
        if reason != self._refused:
            self._refused = reason
            self.complain(reason)

    def _on_weights(self, message: SteeringWeights):
        self._inbox.on_weights(message)

    def _on_learner(self, message: LearnerStatus):
        self._inbox.on_status(message)
        self._turn.on_learner(message.backlog)

    def _on_stop(self, request, response):
        self.core.stop("lpds/stop was called")
        response.success, response.message = True, "stopped; lpds/arm starts the next episode"
        return response

    def _on_arm(self, request, response):
        if self.core.latched is None:
            response.success, response.message = False, "the arm is neither stopped nor in a fault, and waits for nobody"
            return response
        if self.core.robot_error:
            response.success, response.message = False, f"not armed: {self.core.robot_error}; recover the robot first"
            return response
        if self.core.lost_camera:
            response.success, response.message = False, f"not armed: {self.core.lost_camera}"
            return response
        reason = self.core.latched[1]
        self.core.arm()
        response.success, response.message = True, f"armed again after: {reason}"
        if not self.core.running and not self._turn.under_way and not self._done:
            self._turn.start(self.params.seed_base + self._index)
        return response

    # -- one tick (called by the driver, in real time on its thread) -----------------

    @property
    def running(self) -> bool:
        """Whether an episode runs."""
        return self.core.running

    @property
    def latched(self) -> bool:
        """Whether the arm waits for a person."""
        return self.core.latched is not None

    @property
    def episode_due(self) -> bool:
        """Whether an episode runs or begins with the next tick."""
        return self.core.running or self._begin is not None

    def answered(self, stamp_ns: int) -> bool:
        """Whether the operator has answered the observation of this stamp."""
        return self._operator.answered(stamp_ns)

    def control(self, observation: Observation) -> Tick:
        """Decide this tick."""
        begin, self._begin = self._begin, None
        if begin is not None:
            index, seed, stamp_ns = begin
            self.core.begin_episode(index, seed, not_before_ns=stamp_ns)
        operator = self._operator.take()
        if self._controllers.error and not observation.robot_error:
            observation = replace(observation, robot_error=self._controllers.error)
        if problem := self._controllers.problem:
            observation = replace(observation, valid=False, reason=problem, driven=False)
        elif self._intruder and observation.valid:
            observation = replace(observation, valid=False, reason=self._intruder)
        elif observation.valid:
            self._measured = observation
        observation = self._arm.mode.seen(observation)
        self._tick = self.core.tick(observation, operator)
        self._noted = (observation, operator)
        return self._tick

    @property
    def streamed(self) -> bool:
        """Whether the commands of a period are to be said one after the other, each at its moment."""
        return self._arm.mode.streamed

    def command(self, tick: Tick) -> tuple[Target, ...]:
        """What the arm is told for this tick."""
        mode = self._arm.mode
        ahead = self.core.ahead(self.params.trajectory_rows) if mode.looks_ahead else ()
        return mode.send(tick.targets, tick.mode, self._noted[0], ahead)

    def pause(self, stamp_ns: int) -> tuple[Target, ...]:
        """What the arm is told when nothing is commanded any more."""
        return self._arm.mode.hold(stamp_ns)

    def publish(self, commands: tuple[Target, ...]):
        """Command."""
        self._arm.publish(commands)

    def aftermath(self, tick: Tick, then: Callable[[], None] | None = None):
        """Hand out what a tick gave: in lockstep at once, in real time by the executor. then: see HandClient.send."""
        self._flight.note(*self._noted, tick, self.clock)
        if self._lockstep:
            self._hand_out(tick, then)
        elif tick.decision or tick.episode or tick.gripper or self.core.failure:
            self._outbox.append(tick)
            self._news.trigger()

    def overdue(self):
        """A tick does not come back."""
        self.core.stop(f"a control tick has taken more than {self.params.watchdog_s:g} s: does the decoder hang?")

    def complain(self, text: str):
        """To the log, as an error."""
        self.get_logger().error(text)

    def _empty_outbox(self):
        while self._outbox:
            self._hand_out(self._outbox.popleft(), None)

    def _hand_out(self, tick: Tick, then: Callable[[], None] | None):
        if tick.decision is not None:
            self._decisions.publish(decision_to_msg(tick.decision))
        if self.core.failure and self.core.failure != self._reported_failure:
            self._reported_failure = self.core.failure
            self.complain(f"{tick.reason}\n{self.core.failure}")
        if tick.gripper is not None:
            self._hand.send(tick.gripper, then or (lambda: None))
        if tick.episode is not None:
            self._episodes.publish(episode_to_msg(tick.episode))
            self._inbox.on_episode(tick.episode)
            self._hand.forget()
            self._next_episode()

    # -- episodes --------------------------------------------------------------

    def _next_episode(self):
        self._index += 1
        if self.params.episodes and self._index >= self.params.episodes:
            self._done = f"done: {self._index} episodes"
            self._done_s = time.monotonic()
        elif self.core.latched is None:
            self._turn.start(self.params.seed_base + self._index)

    def _on_ready(self, seed: int, stamp_ns: int):
        if self.core.latched is None:  # stopped meanwhile: lpds/arm starts this turn again
            self._begin = (self._index, seed, stamp_ns)
            self._driver.retry()

    def _unready(self) -> str:
        """What an episode, and the reset before it, have to wait for, or ""."""
        if (latched := self.core.latched) is not None:
            return f"{latched[0].name} ({latched[1]}): nothing is reset before lpds/arm"
        if self._hand.unhomed:
            return "waiting for the hand to be homed"
        wanted, there = self.params.listeners, self._decisions.get_subscription_count()
        return f"waiting for {wanted} subscribers of lpds/decision, {there} are there" if there < wanted else ""

    # -- housekeeping --------------------------------------------------------------

    def _poll(self):
        self._turn.poll()
        self._driver.poll()
        self._hand.poll()
        if self.core.latched is not None:
            self._hand.end()
        waited_s = time.monotonic() - self._done_s
        if self._done and waited_s > FAREWELL_S and (self._acknowledged() or waited_s > LAST_CALL_S):
            self.finish()

    def _acknowledged(self) -> bool:
        """Whether every listener has every record: one that was stalled gets them later than the others."""
        return all(publisher.wait_for_all_acked(Duration()) for publisher in (self._decisions, self._episodes))

    def _publish_status(self):
        self._intruder = intruder(self, self._arm.publisher)
        tick, latched = self._tick, self.core.latched
        mode, reason = (tick.mode, tick.reason) if tick else (Mode.HOLD, "waiting for the first observation")
        if latched is not None:
            mode, reason = latched
        elif self._done:
            mode, reason = Mode.HOLD, self._done
        elif nobody := self._turn.waiting or self._controllers.problem or self._intruder or self._refused:
            mode, reason = Mode.HOLD, nobody
        elif self._driver.busy_s > SILENT_PERIODS * self.contract.period_s:
            mode, reason = Mode.HOLD, f"the decoder has been at work for {self._driver.busy_s:.2f} s"
        message = SteeringStatus(
            session=self.session,
            mode=int(mode),
            reason="; ".join(filter(None, (reason, self._inbox.lost))),
            provider=self._provider,
            command_mode=self.params.command_mode,
            prior_digest=self._prior_digest,
            weights_version=self.core.weights_version,
            **self._inbox.report(),
            flight_record=self._flight.path,
            episode=self.core.episode,
            episode_tick=self.core.episode_tick,
            ticks=self.clock.ticks,
            missed_deadlines=self.clock.missed,
            tick_p50_s=self.clock.compute_s.percentile(50),
            tick_p99_s=self.clock.compute_s.percentile(99),
            lateness_p99_s=self.clock.lateness_s.percentile(99),
            observation_age_p99_s=self._driver.age_s.percentile(99),
            delta_sq_mean=tick.delta_sq_mean if tick else 0.0,
        )
        message.header.stamp = stamp_msg(tick.stamp_ns if tick else 0)
        self._status.publish(message)

    def stop(self):
        """Last words: hold where the arm is, and say how well time was kept."""
        if self._driver is None:
            return
        self._driver.end()
        self._hand.end()
        now_ns, last = self.get_clock().now().nanoseconds, self._measured
        recent = last is not None and now_ns - last.stamp_ns < MEASURED_S * 1e9 and not self._intruder
        if not self._lockstep and recent and not self.core.robot_error:
            self.publish(self._arm.mode.stop(now_ns, last))
        late, starved = self.core.late_ticks
        ahead = f"; {late} ticks on the rest of a chunk, {starved} without any" if late or starved else ""
        cut = f"; {self.core.cut_ticks} ticks cut by the safety filter" if self.core.cut_ticks else ""
        self.get_logger().info(self.clock.summary() + ahead + cut)

    def destroy_node(self):
        """End the threads, take the actions off the graph, then the node."""
        if self._driver is not None:
            self._driver.end()
        if self._inbox is not None:
            self._inbox.drain()
        if self._hand is not None:
            self._hand.destroy()
        if self._flight is not None:
            self._flight.end()
        if self.core is not None:
            self.core.close()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Entry point of the `steering` executable."""
    return run_node(SteeringNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
