"""A cell whose ticks a flight recorder notes, for tests of recordings."""

from steering_fakes import Cell

from lpds_ros.steering.flight import FlightRecorder
from lpds_ros.steering.flight_file import Circumstances
from lpds_ros.steering.params import SteeringParams


class FlyingCell(Cell):
    """`recorder` is fed with every step; `descents` counts its calls."""

    def __init__(self, *arguments, window_s=10.0, tail_s=1.0, recorder=None, params=None, **named):
        super().__init__(*arguments, params=params, **named)
        self.descents = self.completed = 0
        period_s = self.contract.period_s
        self.recorder = recorder or FlightRecorder(period_s, window_s, tail_s, self._descended, self._complete)
        self.around = Circumstances(self.contract, params or SteeringParams(), "session", 3)
        tick = self.core.tick

        def noted(observation, operator=None):
            result = tick(observation, operator)
            self.recorder.note(observation, operator, result, self.core.trace(), 0.001, 0.0002)
            return result

        self.core.tick = noted

    def _descended(self):
        self.descents += 1

    def _complete(self):
        self.completed += 1

    def fly(self, ticks=20, tail=20):
        """Some ticks, a stop, its tail."""
        self.steps(ticks)
        self.core.stop("lpds/stop was called")
        self.steps(tail)

    def stopped(self, ticks=20, tail=20):
        """The recording of it."""
        self.fly(ticks, tail)
        return self.recorder.take()
