"""Draw the worksheet to print and to measure by hand, and its key, a file of its own.

    python -m book.printed.worksheet book/static

Three figures: a line drawing and two films, all at three quarters of the patient's size.  What the key says is computed
from the landmarks.  Everything fits both A4 and Letter.
"""

import io
import sys
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from book.printed import HERE
from lumbo.angles import ANGLES, hip_axis, lumbopelvic_angles, s1_midpoint
from lumbo.films import calibration, hospitals, radiograph
from lumbo.pages.living import COLOURS

SCALE = 0.75  # millimetres on paper to one of the patient
LARGEST_MM = np.array([176.0, 236.0])  # a figure on paper: less than A4 and Letter have
AROUND_MM = np.array(
    [110.0, 60.0]
)  # of the patient, to be seen beside and above the landmarks if there is room
HEAD_MM = 23.0  # radius of a femoral head in the drawing
TALL_PX, QUALITY = 1024, 80
PALER = 0.6  # exponent that spares ink, and that a pencil can be seen on
LETTERS = {"A": ("birch", 12, False), "B": ("fir", 14, True), "C": ("elm", 17, True)}  # patient; as a film?
NOTE = "The patient faces left; the frame is upright. Three quarters of life size. Not for clinical use."


@dataclass(frozen=True)
class Subject:
    """Who stands on a sheet, in millimetres of the patient from the figure's upper left corner, facing left.

    landmarks_mm : (6, 2);  bodies_mm : (5, 4, 2) corners of L5 to L1;  size_mm : (width, height)
    film : a JPEG, bone dark as on a light box, or nothing for a drawing
    """

    landmarks_mm: np.ndarray
    bodies_mm: np.ndarray
    size_mm: tuple[float, float]
    film: bytes = b""


def subject(where: str, seed: int, filmed: bool) -> Subject:
    """Return the first test patient of a hospital and seed."""
    room = hospitals.hospital(where)
    seen = hospitals.visit(room, "test", seed, 0, TALL_PX)
    px = radiograph.project(seen.spines.landmarks_mm, room.scanner, seen.exposure)[0]
    bodies = radiograph.project(seen.spines.corners_mm, room.scanner, seen.exposure)[0, :5]
    mm = seen.exposure.pixel_mm[0] / radiograph.magnification(0.0, room.scanner)[1]
    around = np.minimum(AROUND_MM, LARGEST_MM / SCALE - np.ptp(px, axis=0) * mm)
    assert (around >= [60, 32]).all(), "a patient too large for the paper"
    low = px.min(0) - around * [0.5, 0.3] / mm
    high = px.max(0) + around * [0.5, 0.7] / mm
    (left, top), (right, bottom) = np.ceil(low).astype(int), np.floor(high).astype(int)
    if not filmed:
        return Subject((px - low) * mm, (bodies - low) * mm, tuple((high - low) * mm))
    film = hospitals.draw(room, "test", seed, 0, TALL_PX, n=1).films[0]
    (left, top), right, bottom = (
        np.maximum([left, top], 0),
        min(right, film.shape[1]),
        min(bottom, film.shape[0]),
    )
    file = io.BytesIO()
    grey = (1 - film[top:bottom, left:right] / 255) ** PALER
    Image.fromarray(np.uint8(255 * grey)).save(file, "JPEG", quality=QUALITY)
    corner = np.array([left, top]) - 0.5  # pixels are counted at their centres
    size = (right - left) * mm, (bottom - top) * mm
    return Subject((px - corner) * mm, (bodies - corner) * mm, size, file.getvalue())


def subjects() -> dict[str, Subject]:
    """Return everyone on the worksheet, by letter."""
    return {letter: subject(*who) for letter, who in LETTERS.items()}


def figure(who: Subject, solved: bool = False) -> str:
    """Draw a subject as SVG at its size on paper; `solved` adds the lines that are measured."""
    w, h = who.size_mm
    inner = f'<rect width="{w:.1f}" height="{h:.1f}" fill="none" stroke="#000" stroke-width="0.5"/>'
    if who.film:
        source = f"data:image/jpeg;base64,{b64encode(who.film).decode()}"
        inner = f'<image width="{w:.2f}" height="{h:.2f}" href="{source}"/>{inner}'
    else:
        inner += _drawing(who)
    inner += _solved(who) if solved else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w * SCALE:.2f}mm" height="{h * SCALE:.2f}mm" '
        f'viewBox="0 0 {w:.2f} {h:.2f}" role="img" aria-label="{_words(who, solved)}">{inner}</svg>'
    )


def _words(who: Subject, solved: bool) -> str:
    kind = "A film, bone dark" if who.film else "A line drawing"
    return f"{kind}: lumbar spine, sacrum and both femoral heads from the side, facing left" + (
        "; the S1 and L1 plates and the line from the hip axis to the S1 plate are marked" * solved
    )


def _drawing(who: Subject) -> str:
    """Draw L5 to L1, the upper sacrum and the heads as outlines."""
    front, back = who.landmarks_mm[:2]
    along = (front - back) / np.linalg.norm(front - back)
    down = np.array([-along[1], along[0]]) * 30  # into the sacrum of a patient who faces left
    down = down if down[1] > 0 else -down
    sacrum = np.array([front, back, back + 0.95 * down - 4 * along, front + down - 9 * along])
    drawn = "".join(_path([*corners, corners[0]], "#000", 0.7) for corners in [*who.bodies_mm, sacrum])
    for x, y in who.landmarks_mm[4:]:
        drawn += (
            f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{HEAD_MM}" fill="none" stroke="#000" stroke-width="0.7"/>'
        )
    return drawn


def _solved(who: Subject) -> str:
    """Draw the four lines that are measured, over a paler figure."""
    points = who.landmarks_mm
    middle, hips = s1_midpoint(points), hip_axis(points)
    s1, l1 = points[0] - points[1], points[2] - points[3]
    across = np.array([-s1[1], s1[0]]) / np.linalg.norm(s1)
    across *= np.sign(across @ (hips - middle))
    lines = [
        _path([middle - 1.6 * s1, middle + 1.6 * s1], COLOURS["SS"], 1.1),
        _path([points[2:4].mean(0) - 1.6 * l1, points[2:4].mean(0) + 1.6 * l1], COLOURS["LL"], 1.1),
        _path([hips, middle], COLOURS["PT"], 1.1),
        _path([middle, middle + 60 * across], COLOURS["PI"], 1.1, "3 2"),
        _path([hips, hips - [0, 60]], "#333", 0.6, "1 2"),
        _path([middle - [45, 0], middle + [45, 0]], "#333", 0.6, "1 2"),
    ]
    dots = "".join(f'<circle class="landmark" cx="{x:.2f}" cy="{y:.2f}" r="1.6"/>' for x, y in points)
    return '<g stroke-linecap="round">' + "".join(lines) + dots + "</g>"


def _path(points, colour: str, width: float, dash: str = "none") -> str:
    at = " L".join(f"{x:.2f} {y:.2f}" for x, y in points)
    return f'<path d="M{at}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"/>'


def protractor() -> str:
    """Draw 180 degrees of 80 mm radius, to the degree."""
    marks = []
    for degree in range(181):
        way = np.array([np.cos(np.radians(degree)), -np.sin(np.radians(degree))])
        inner = 72 if degree % 10 == 0 else 75 if degree % 5 == 0 else 77
        marks.append(_path([inner * way, 80 * way], "#000", 0.3 if degree % 10 == 0 else 0.15))
        if degree % 10 == 0:
            (x, y), (u, v) = 67 * way, 60 * way
            marks.append(f'<text x="{x:.2f}" y="{y + 1.3:.2f}">{degree}</text>')
            marks.append(f'<text x="{u:.2f}" y="{v + 1.3:.2f}" fill="#b84a00">{180 - degree}</text>')
    edge = "M-84 0 L-84 8 L84 8 L84 0 A84 84 0 0 0 -84 0"
    centre = _path([(-84, 0), (84, 0)], "#000", 0.25) + _path([(0, -12), (0, 6)], "#000", 0.25)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="172mm" height="96mm" viewBox="-86 -86 172 96" role="img" '
        'aria-label="A protractor of 180 degrees, numbered both ways">'
        f'<path d="{edge}" fill="none" stroke="#000" stroke-width="0.4"/>{centre}'
        f'<g font-size="3.6" font-family="sans-serif" text-anchor="middle">{"".join(marks)}</g></svg>'
    )


def ruler() -> str:
    """Draw a ruler of 100 mm, which shows whether the printer has scaled the page."""
    ticks = "".join(_path([(x, 0), (x, 5 if x % 10 == 0 else 2.5)], "#000", 0.2) for x in range(101))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="104mm" height="7mm" viewBox="-2 -1 104 7" role="img" '
        f'aria-label="A ruler of 100 mm">{_path([(0, 0), (100, 0)], "#000", 0.3)}{ticks}</svg>'
    )


def page(title: str, body: str) -> str:
    """Write a page to print."""
    style = (HERE / "worksheet.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def worksheet(people: dict[str, Subject]) -> str:
    """Write the sheets: what to do, the figures, the protractor."""
    blank = "<td></td>" * 9
    rows = "".join(f'<tr><th scope="row">{letter}</th>{blank}</tr>' for letter in people)
    names = "".join(f'<th scope="col">{name}</th>' for name in ANGLES)
    tasks = (HERE / "worksheet.html").read_text(encoding="utf-8")
    tasks = tasks.replace("{ruler}", ruler()).replace("{names}", names).replace("{rows}", rows)
    sheets = [tasks]
    for letter, who in people.items():
        kind = "a synthetic film, bone dark" if who.film else "a drawing of a synthetic patient"
        sheets.append(f"<section><h2>{letter}: {kind}</h2><p>{NOTE}</p>{figure(who)}</section>")
    cut = "Print on a transparent sheet, or cut out and lay it on with its centre at the corner of the angle."
    sheets.append(f"<section><h2>Protractor</h2><p>{cut}</p>{protractor()}</section>")
    return page("Measure by hand: a worksheet", "\n".join(sheets))


def key(people: dict[str, Subject]) -> str:
    """Write the values, and the figures with their lines."""
    names = "".join(f'<th scope="col">{name}</th>' for name in ANGLES)
    rows = ""
    for letter, who in people.items():
        values = "".join(
            f"<td>{_degrees(value)}</td>" for value in lumbopelvic_angles(who.landmarks_mm, "left")
        )
        rows += f'<tr id="{letter}"><th scope="row">{letter}</th>{values}</tr>'
    human = calibration.yardstick()["human"]
    twice = "".join(f"<td>{human['degrees'][name]:.1f}</td>" for name in ANGLES)
    rows += f'<tr><th scope="row">one reader, twice</th>{twice}</tr>'
    text = (
        f"<section><h1>Measure by hand: the key</h1><table><thead><tr><td></td>{names}</tr></thead>"
        f"<tbody>{rows}</tbody></table><p>Degrees, computed from the landmarks that the figures are made from. "
        f"Last row: by how much two ratings of one film by one person differ in the mean ({human['source']}). "
        "A reading that is closer than that is a good one. If your PI is not your PT + SS, "
        "a line moved between two readings.</p>"
        "<p>Blue: S1 plate. Green: L1 plate. Orange: from the hip axis to the middle of the S1 plate. Purple, dashed: "
        "perpendicular to the S1 plate. Dotted: upright and level. Not for clinical use.</p></section>"
    )
    text += "".join(
        f"<section><h2>{letter}</h2>{figure(who, True)}</section>" for letter, who in people.items()
    )
    return page("Measure by hand: the key", text)


def _degrees(value: float) -> str:
    return f"{value:.1f}".replace("-", "\N{MINUS SIGN}")


def main(folder: Path) -> None:
    """Write both files."""
    people = subjects()
    for name, text in (("worksheet.html", worksheet(people)), ("worksheet-key.html", key(people))):
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
