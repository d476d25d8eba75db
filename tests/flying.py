"""A cell whose ticks a flight recorder notes, and recordings with something else in them, for tests."""

import json

from safetensors.numpy import save
from steering_fakes import Cell

from lpds_ros.steering import flight_file
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


def altered(file, change):
    """The same file with something else inside, signed again."""
    blob = file.read_bytes()
    header, columns = flight_file._opened(blob)
    columns = {name: column.copy() for name, column in columns.items()}
    change(header, columns)
    text = json.dumps(header)
    metadata = {"format": flight_file.FORMAT, "header": text, "sha256": flight_file._digest(text, columns)}
    file.write_bytes(save(columns, metadata))
    return file
