"""What a run page says beyond the score: groups of items, and what confidence is worth."""

from __future__ import annotations

import math
from typing import Any

from evaluation.metrics import info_of

SIDE = 240
EDGE = 8


def slices_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Scores by group, one entry a metric, as the record has them."""
    found = []
    for entry in record.get("results", {}).get("slices", []):
        slices, info = entry["slices"], info_of(entry["metric"])
        scores = [group["score"] for group in slices["groups"]]
        ends = [e for s in scores for e in (s["low"], s["high"], s["value"]) if e is not None]
        gap = slices["gap"]
        found.append(
            {
                "info": info,
                "groups": [
                    {**group, "is_worst": bool(gap) and group["group"] == gap["worst"]}
                    for group in slices["groups"]
                ],
                "gap": gap,
                "small": slices["small"],
                "n_ungrouped": slices["n_ungrouped"],
                "n_clusters": next((s["n_clusters"] for s in scores if s["n_clusters"]), None),
                "axis_low": min(ends, default=0.0),
                "axis_high": max(ends, default=1.0),
            }
        )
    return found


def halves_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Both halves of the items beside each other, one row a metric; empty without halves."""
    found = []
    for entry in record.get("results", {}).get("halves", []):
        sides = {group["group"]: group["score"] for group in entry["slices"]["groups"]}
        public, private = sides.get("public"), sides.get("private")
        if not public or not private:
            continue
        values, errors = (public["value"], private["value"]), (public["se"], private["se"])
        gap = "–" if None in values else f"{values[0] - values[1]:+.3f}".replace("-", "−")
        error = "" if None in errors else f"{1.96 * math.hypot(*errors):.3f}"
        info = info_of(entry["metric"])
        row = {"info": info, "public": public, "private": private, "gap": gap, "gap_error": error}
        found.append(row)
    return found


def reliability_of(record: dict[str, Any]) -> dict[str, Any] | None:
    """The measures of calibration, and the points of its plot; None where there are none."""
    found = record.get("results", {}).get("calibration")
    if not found:
        return None
    filled = [each for each in found["bins"] if each["n"]]
    most = max(each["n"] for each in filled)
    points = [
        {
            **each,
            "x": _across(each["confidence"]),
            "y": _up(each["accuracy"]),
            "y_low": _up(each["ci_low"]),
            "y_high": _up(each["ci_high"]),
            "radius": round(2.5 + 4 * (each["n"] / most) ** 0.5, 1),
        }
        for each in filled
    ]
    temperature = found["temperature"] or {}
    return {**found, "points": points, "side": SIDE, "t": temperature.get("temperature")}


def _across(share: float) -> float:
    return round(EDGE + (SIDE - 2 * EDGE) * share, 1)


def _up(share: float) -> float:
    return round(SIDE - _across(share), 1)
