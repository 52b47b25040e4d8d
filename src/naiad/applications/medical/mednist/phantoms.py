"""Phantoms of MedNIST's six kinds of images: grey shapes, placed at random.

They resemble real images only roughly. A network trained on them knows nothing of patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from typing import Final

import numpy as np

from naiad.applications.medical.mednist.schema import CLASSES
from naiad.errors import MissingExtra

try:
    from PIL import Image, ImageDraw, ImageFilter
except ImportError as error:
    raise MissingExtra("mednist", "pillow") from error

SIZE: Final = 64
"""Width and height of an image in pixels, as in MedNIST."""

_SCALE: Final = 4  # factor by which images are drawn larger, for smooth edges
_SIDE: Final = float(SIZE * _SCALE)


class _Pen:
    """Pen on a square from -1 to 1, with a small random displacement."""

    def __init__(self, image: Image.Image, rng: np.random.Generator) -> None:
        self.rng = rng
        self._draw = ImageDraw.Draw(image)
        self._shift = rng.uniform(-0.08, 0.08, 2)
        self._scale = rng.uniform(0.88, 1.06, 2)

    def vary(self, value: float, by: float = 0.12) -> float:
        return float(value * self.rng.uniform(1 - by, 1 + by))

    def _at(self, x: float, y: float) -> tuple[float, float]:
        place = (np.array((x, y)) * self._scale + self._shift + 1) / 2 * _SIDE
        return float(place[0]), float(place[1])

    def oval(self, x: float, y: float, wide: float, high: float, grey: float) -> None:
        wide, high = self.vary(wide), self.vary(high)
        box = (*self._at(x - wide, y - high), *self._at(x + wide, y + high))
        self._draw.ellipse(box, fill=self._grey(grey))

    def stroke(self, points: list[tuple[float, float]], width: float, grey: float) -> None:
        places = [self._at(*point) for point in points]
        thick = max(1, round(self.vary(width) * _SIDE / 2))
        self._draw.line(places, fill=self._grey(grey), width=thick, joint="curve")
        for x, y in places:
            r = thick / 2
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=self._grey(grey))

    def _grey(self, grey: float) -> int:
        return int(np.clip(self.vary(grey), 0, 255))


def draw(kind: str, rng: np.random.Generator, size: int = SIZE) -> Image.Image:
    """Draw a grey image of one of ``CLASSES``, ``size`` by ``size`` pixels.

    Raises:
        ValueError: no such class.
    """
    if kind not in _KINDS:
        raise ValueError(f"{kind!r} is not one of {', '.join(CLASSES)}")
    image = Image.new("L", (int(_SIDE), int(_SIDE)), int(rng.integers(0, 20)))
    _KINDS[kind](_Pen(image, rng))
    image = image.rotate(float(rng.uniform(-8, 8)), Image.Resampling.BILINEAR)
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 4))))
    small = np.asarray(image.resize((size, size), Image.Resampling.BOX), np.float32)
    noise = rng.standard_normal((size, size), np.float32) * np.float32(rng.uniform(1, 9))
    bright = (small + noise) * np.float32(rng.uniform(0.75, 1.15))
    return Image.fromarray(np.clip(bright, 0, 255).astype(np.uint8))


def encode(image: Image.Image) -> bytes:
    """Encode an image as a JPEG file."""
    file = BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def _abdomen(pen: _Pen) -> None:
    pen.oval(0, 0, 0.85, 0.62, 70)
    pen.oval(0, 0, 0.78, 0.55, 110)
    pen.oval(-0.36, -0.1, 0.34, 0.3, 150)  # liver
    pen.oval(0.42, -0.12, 0.2, 0.17, 140)
    for x in (-0.3, 0.32):  # kidneys
        pen.oval(x, 0.26, 0.12, 0.14, 165)
    for _ in range(int(pen.rng.integers(2, 6))):  # bowel
        pen.oval(pen.rng.uniform(-0.3, 0.45), pen.rng.uniform(-0.15, 0.22), 0.08, 0.07, 40)
    pen.oval(0, 0.33, 0.13, 0.12, 225)


def _breast(pen: _Pen) -> None:
    pen.stroke([(-0.9, 0.55), (0, 0.4), (0.9, 0.55)], 0.35, 70)
    for x in (-0.46, 0.46):
        pen.oval(x, 0, 0.4, 0.55, 95)
        pen.oval(x, -0.05, 0.22, 0.34, 150)
        for _ in range(int(pen.rng.integers(1, 4))):
            pen.oval(x + pen.vary(0.05, 3), pen.vary(-0.1, 2), 0.06, 0.1, 200)


def _radiograph(pen: _Pen) -> None:
    pen.oval(0, 0.2, 1.1, 1.3, 150)
    for x in (-0.44, 0.44):
        pen.oval(x, -0.02, 0.34, 0.62, 45)
    pen.oval(0.18, 0.3, 0.3, 0.32, 185)  # heart
    pen.stroke([(0, -1), (0, 1)], 0.16, 195)
    for y in np.linspace(-0.6, 0.4, int(pen.rng.integers(4, 7))):  # ribs
        for side in (-1, 1):
            arc = [
                (side * (0.1 + 0.75 * math.sin(t)), y - 0.05 + 0.3 * t * t) for t in (0, 0.5, 1.1)
            ]
            pen.stroke(arc, 0.035, 95)


def _chest(pen: _Pen) -> None:
    pen.oval(0, 0, 0.9, 0.62, 90)
    pen.oval(0, 0, 0.82, 0.55, 140)
    for x in (-0.42, 0.42):
        pen.oval(x, -0.02, 0.3, 0.42, 18)
        for _ in range(int(pen.rng.integers(2, 7))):  # vessels
            pen.oval(x + pen.rng.uniform(-0.18, 0.18), pen.rng.uniform(-0.25, 0.25), 0.03, 0.03, 90)
    pen.oval(0.1, -0.1, 0.2, 0.24, 155)  # heart
    pen.oval(0, 0.38, 0.11, 0.12, 225)


def _hand(pen: _Pen) -> None:
    pen.oval(0, 0.45, 0.36, 0.42, 95)
    for number, reach in enumerate((0.5, 0.86, 0.95, 0.88, 0.62)):
        angle = math.radians(-50 + 24 * number + pen.rng.uniform(-5, 5))
        tip = (reach * math.sin(angle), 0.45 - 1.25 * reach * math.cos(angle))
        base = (0.35 * math.sin(angle), 0.45 - 0.3 * math.cos(angle))
        pen.stroke([base, tip], 0.15, 85)
        joints = np.linspace(0.1, 0.95, 4)
        for start, end in pairwise(joints):  # bones
            line = [
                (base[0] + t * (tip[0] - base[0]), base[1] + t * (tip[1] - base[1]))
                for t in (start + 0.04, end - 0.04)
            ]
            pen.stroke(line, 0.06, 200)
    pen.stroke([(-0.12, 0.95), (-0.1, 0.6)], 0.14, 190)
    pen.stroke([(0.14, 0.95), (0.12, 0.6)], 0.12, 190)


def _head(pen: _Pen) -> None:
    pen.oval(0, 0, 0.66, 0.84, 235)  # skull
    pen.oval(0, 0, 0.57, 0.74, 105)
    for x in (-0.12, 0.12):  # ventricles
        pen.oval(x, -0.02, 0.07, 0.24, 60)
    pen.stroke([(0, -0.7), (0, 0.7)], 0.02, 130)


_KINDS: Final[dict[str, Callable[[_Pen], None]]] = dict(
    zip(CLASSES, (_abdomen, _breast, _radiograph, _chest, _hand, _head), strict=True)
)
