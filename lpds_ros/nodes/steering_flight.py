"""The flight recorder in the steering node: what it is fed, what it says in the log. It never stops a tick."""

from pathlib import Path

from lpds_ros.records import Observation, OperatorInput
from lpds_ros.run_folder import versions
from lpds_ros.steering.clock import TickClock
from lpds_ros.steering.core import SteeringCore
from lpds_ros.steering.flight import Recording
from lpds_ros.steering.flight_file import Circumstances
from lpds_ros.steering.flight_writer import FlightWriter
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.tick import Tick


class Flight:
    """Of one steering node; without the parameter `flight_dir` it does nothing. decoder: a DecoderSession or None."""

    def __init__(self, node, core: SteeringCore, steering: SteeringParams, decoder):
        p, self._core, self._log = node.params, core, node.get_logger()
        self._period_s = node.contract.period_s
        self._writer: FlightWriter | None = None
        if not p.flight_dir:
            return
        bundle = getattr(decoder, "bundle", None)
        of_bundle = {} if bundle is None else {"bundle": str(bundle.path.absolute()), "digest": bundle.digest}
        of_decoder = {} if decoder is None else {"provider": decoder.provider, "variant": p.variant, "threads": p.threads}
        around = Circumstances(
            node.contract, steering, node.session, p.seed, versions=versions(), **of_bundle, **of_decoder
        )
        self._writer = FlightWriter(
            Path(p.flight_dir),
            around,
            window_s=p.flight_s,
            tail_s=p.flight_tail_s,
            keep=p.flight_keep,
            written=self._written,
            failed=self._log.error,
        )

    @property
    def path(self) -> str:
        """The last recording, "" before any."""
        writer = self._writer  # read once: `note` gives it up on the tick's thread
        return writer.path if writer is not None else ""

    def note(self, observation: Observation, operator: OperatorInput | None, tick: Tick, clock: TickClock):
        """Keep the tick that is just over; by its thread."""
        if self._writer is None:
            return
        try:
            times = clock.compute_s.last, clock.lateness_s.last
            self._writer.recorder.note(observation, operator, tick, self._core.trace(), *times)
        except Exception as error:  # noqa: BLE001 (the arm is steered with or without a recording)
            self._log.error(f"the flight recorder is off: {type(error).__name__}: {error}")
            self._writer = None

    def _written(self, path: Path, recording: Recording):
        tick, seconds = recording.came_down, recording.event * self._period_s
        tail = "" if recording.whole else ", its tail cut short"
        self._log.warning(
            f"{tick.mode.name}: {tick.reason}; the {seconds:.1f} s before it{tail}: lpds replay {path}"
        )

    def end(self):
        """Write what is pending."""
        writer = self._writer
        if writer is not None:
            writer.end()
