"""Random pictures of simple shapes, which the network that comes with Naiad classifies.

A network trained on them knows nothing of photographs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.image.schema import SHAPES, as_request
from naiad.core.schema import Array
from naiad.errors import MissingExtra

try:
    from PIL import Image, ImageDraw, ImageFilter
except ImportError as error:
    raise MissingExtra("image", "pillow") from error

Point: TypeAlias = tuple[float, float]
Colour: TypeAlias = tuple[int, int, int]

SIZE: Final = 299
"""Width and height of a picture, in pixels."""

_SIZES: Final = ((320, 240), (640, 480), (1024, 768), (1280, 960))  # of simulated requests
_LEAST_CONTRAST: Final = 90  # sum over red, green and blue


def draw(shape: str, rng: np.random.Generator, size: int = SIZE) -> Image.Image:
    """Draw one of ``SHAPES``: RGB, ``size`` by ``size`` pixels.

    ``rng`` chooses colours, position, size, rotation, background, blur and noise.

    Raises:
        ValueError: no such shape.
    """
    if shape not in _FIGURES and shape not in _TEXTURES and shape != "plain":
        raise ValueError(f"{shape!r} is not one of {', '.join(SHAPES)}")
    back, front = _colours(rng)
    image = _background(back, rng, size)
    if shape in _TEXTURES:
        image.paste(front, mask=_TEXTURES[shape](rng, size))
    elif shape in _FIGURES:
        image.paste(front, mask=_figure(_FIGURES[shape], rng, size))
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 2))))
    noise = rng.standard_normal((size, size, 3), np.float32)
    noisy = noise * np.float32(rng.uniform(0, 14)) + np.asarray(image)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def simulated_requests(n: int, seed: int = 0) -> Iterator[dict[str, Array]]:
    """Yield requests for ``n`` pictures, one each: JPEG files as large as photographs on the web.

    They are drawn small and enlarged, as only their size matters.
    """
    rng = np.random.default_rng(seed)
    for _ in range(n):
        picture = draw(SHAPES[int(rng.integers(len(SHAPES)))], rng)
        file = BytesIO()
        picture.resize(_SIZES[int(rng.integers(len(_SIZES)))]).save(file, "JPEG", quality=85)
        yield as_request([file.getvalue()], top=5)


def _colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Choose two distinguishable colours."""
    while True:
        back, front = rng.integers(0, 256, (2, 3)).tolist()
        if sum(abs(a - b) for a, b in zip(back, front, strict=True)) >= _LEAST_CONTRAST:
            return tuple(back), tuple(front)


def _background(colour: Colour, rng: np.random.Generator, size: int) -> Image.Image:
    """Draw a background of one colour, a little lighter on one side."""
    angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0, 40)
    line = np.linspace(-depth, depth, size, dtype=np.float32)
    slope = line * np.float32(math.cos(angle)) + line[:, None] * np.float32(math.sin(angle))
    pixels = np.clip(np.array(colour, np.float32) + slope[:, :, None], 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def _figure(
    outline: Callable[[np.random.Generator], list[list[Point]]],
    rng: np.random.Generator,
    size: int,
) -> Image.Image:
    """Draw the mask of a figure with random position, rotation and size.

    Every second outline is a hole in the one before.
    """
    radius = rng.uniform(0.18, 0.42) * size
    centre = rng.uniform(radius, size - radius, 2)
    angle = rng.uniform(0, 2 * math.pi)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    scale = 2  # drawn larger and reduced, for smooth edges
    mask = Image.new("L", (scale * size, scale * size))
    pen = ImageDraw.Draw(mask)
    for number, points in enumerate(outline(rng)):
        placed = scale * (radius * (np.array(points) @ turn.T) + centre)
        pen.polygon([(x, y) for x, y in placed.tolist()], fill=0 if number % 2 else 255)
    return mask.resize((size, size), Image.Resampling.BILINEAR)


def _polygon(corners: int, radius: float = 1.0) -> list[Point]:
    angles = 2 * math.pi * np.arange(corners) / corners
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles.tolist()]


def _circle(rng: np.random.Generator) -> list[list[Point]]:
    return [_polygon(64)]


def _ring(rng: np.random.Generator) -> list[list[Point]]:
    return [_polygon(64), _polygon(64, rng.uniform(0.5, 0.75))]


def _square(rng: np.random.Generator) -> list[list[Point]]:
    return [_polygon(4)]


def _triangle(rng: np.random.Generator) -> list[list[Point]]:
    return [_polygon(3)]


def _star(rng: np.random.Generator) -> list[list[Point]]:
    outer, inner = _polygon(5), _polygon(10, rng.uniform(0.35, 0.45))[1::2]
    return [[point for pair in zip(outer, inner, strict=True) for point in pair]]


def _cross(rng: np.random.Generator) -> list[list[Point]]:
    arm = rng.uniform(0.2, 0.32)
    quarter = [(1.0, -arm), (1.0, arm), (arm, arm)]
    points: list[Point] = []
    for _ in range(4):
        points += quarter
        quarter = [(-y, x) for x, y in quarter]
    return [points]


def _stripes(rng: np.random.Generator, size: int) -> Image.Image:
    return _mask(np.sin(_waves(rng, size)[0]) > 0)


def _checkerboard(rng: np.random.Generator, size: int) -> Image.Image:
    across, along = _waves(rng, size)
    return _mask(np.sin(across) * np.sin(along) > 0)


def _dots(rng: np.random.Generator, size: int) -> Image.Image:
    across, along = _waves(rng, size)
    return _mask(np.cos(across) + np.cos(along) > rng.uniform(0.6, 1.2))


def _waves(rng: np.random.Generator, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return phases along two orthogonal random axes, with 4 to 12 periods per picture."""
    angle, periods = rng.uniform(0, math.pi), rng.uniform(4, 12)
    step = 2 * math.pi * periods / size
    x, y = np.meshgrid(np.arange(size) * step, np.arange(size) * step)
    shift = rng.uniform(0, 2 * math.pi, 2)
    cos, sin = math.cos(angle), math.sin(angle)
    return x * cos + y * sin + shift[0], y * cos - x * sin + shift[1]


def _mask(where: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(np.where(where, 255, 0).astype(np.uint8))


_FIGURES: Final = {
    "circle": _circle,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
}
_TEXTURES: Final = {"stripes": _stripes, "checkerboard": _checkerboard, "dots": _dots}
