"""Which pictures are worth taking, and what the person who moves board or arm does next."""

import cv2
import numpy as np

from lpds_ros.geometry import turn_between
from lpds_ros.perception.calibration import excitation, intrinsics
from lpds_ros.perception.calibration.hand_eye import MIN_SAMPLES
from lpds_ros.perception.calibration.records import View
from lpds_ros.perception.calibration.session import Session

STILL_PX, STILL_M, STILL_RAD = 0.7, 3e-4, np.deg2rad(0.1)
SHARP = 15.0  # variance of the Laplacian over the board, below which the picture is blurred
WANTED_VIEWS, WANTED_POSES = 20, 15


class Guide:
    """Asked about every picture of a live camera in turn. hand_eye: whether the hand's poses count, or the views alone.

    wanted: pictures after which, if they say enough, it is done; 0: the default.
    """

    def __init__(self, session: Session, hand_eye: bool, wanted: int = 0):
        self._session, self._hand_eye = session, hand_eye
        self.wanted = wanted or (WANTED_POSES if hand_eye else WANTED_VIEWS)
        self._before: tuple[View, np.ndarray | None] | None = None

    def refusal(self, image: np.ndarray, view: View | None, hand: np.ndarray | None) -> str:
        """Why this picture is not taken, or "": the board is in it, at rest, sharp, and the view or pose is a new one."""
        before, self._before = self._before, None if view is None else (view, hand)
        if view is None:
            return "the board is not seen: bring all of it into the picture, in even light"
        if before is None or self._moved(before, (view, hand)):
            return "hold still"
        if blurred(image, view):
            return "the picture is blurred: more light, or farther away"
        if not self._hand_eye:
            summary = intrinsics.summary_of(view, self._session.size_px if self._session.pictures else image.shape[1::-1])
            earlier = [intrinsics.summary_of(v, self._session.size_px) for v in self._session.views]
            return "like an earlier one: " + self.next() if any(intrinsics.alike(summary, e) for e in earlier) else ""
        if hand is None:
            return "no pose of the hand at the time of the picture"
        return "like an earlier one: " + self.next() if any(excitation.alike(hand, e) for e in self._hands()) else ""

    @staticmethod
    def _moved(before, now) -> bool:
        _, first, second = np.intersect1d(before[0].ids, now[0].ids, return_indices=True)
        if not len(first):
            return True
        steps = np.linalg.norm(before[0].corners[first] - now[0].corners[second], axis=1)
        if np.median(steps) > STILL_PX:
            return True
        if before[1] is None or now[1] is None:
            return False
        turn = np.linalg.norm(turn_between(before[1], now[1]))
        return np.linalg.norm(before[1][:3, 3] - now[1][:3, 3]) > STILL_M or turn > STILL_RAD

    def _hands(self) -> list[np.ndarray]:
        return [p.hand for p in self._session.pictures if p.view is not None and p.hand is not None]

    def lacking(self) -> str:
        """What the pictures there are do not say yet, or ""."""
        if not self._hand_eye:
            size = self._session.size_px if self._session.pictures else (1, 1)
            return intrinsics.lacking(intrinsics.excitation_of(self._session.views, size))
        turns = excitation.turns_of(self._hands())
        return turns.lacking() or ("" if turns.distinct >= MIN_SAMPLES else f"{turns.distinct} different poses of {MIN_SAMPLES}")

    @property
    def taken(self) -> int:
        """Pictures that count."""
        return len(self._hands() if self._hand_eye else self._session.views)

    @property
    def done(self) -> bool:
        """Enough of them, and of enough kinds."""
        return self.taken >= self.wanted and not self.lacking()

    def next(self) -> str:
        """What to do for the next one."""
        if self._hand_eye:
            turns = excitation.turns_of(self._hands())
            if self.taken >= 4 and (lack := turns.lacking()):
                return lack
            axis = "xyz"[self.taken % 3]
            return f"turn the hand about its {axis} axis by 20° to 30°, and move it, with the whole board in the picture"
        if self.taken >= 4 and (lack := self.lacking()):
            return lack
        cells = intrinsics.excitation_of(self._session.views, self._session.size_px).cells if self.taken else None
        where = intrinsics.where_missing(cells) if cells is not None else "middle"
        tilt = ("towards you", "to the left", "away from you", "to the right")[self.taken % 4]
        return f"bring the board to the {where} of the picture and tilt it {tilt} by 20° to 40°, near and far in turn"


def blurred(image: np.ndarray, view: View) -> bool:
    """Whether the part of the picture with the board has no sharp edges."""
    (x0, y0), (x1, y1) = np.clip(view.corners, 0, None).min(axis=0).astype(int), view.corners.max(axis=0).astype(int) + 1
    part = image[y0:y1, x0:x1]
    grey = part if part.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var()) < SHARP
