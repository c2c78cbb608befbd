"""One study's results: as data for a page, as CSV with a line a vote, as JSON with everything."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from scsa_core.study import stats
from scsa_core.study.records import Records
from scsa_core.study.stats import TIE, Answer, Interval

RULES = {
    "check": "an obvious check was missed (two, where six or more were given)",
    "fast": f"the median answer took under {stats.FAST_MS / 1000:g} s",
    "side": f"the same side in at least {stats.SIDE_SHARE:.0%} of at least {stats.SIDE_TRIALS} comparisons",
}


def results(records: Records, *, draws: int = stats.DRAWS) -> dict[str, Any]:
    """Plain data: the design, how many took part, and the statistics without (`kept`) and with (`all`) those left out."""
    info, answers = records.info, records.answers
    out = stats.exclusions(answers)
    kept = [a for a in answers if a.participant not in out]
    reasons = {rule: sum(rule in why for why in out.values()) for rule in RULES}
    finished = sum(done is not None for _, done in records.participants.values())
    return {
        "study": _design(records),
        "participants": {"started": len(records.participants), "finished": finished, "excluded": len(out)},
        "votes": sum(a.kind == "main" for a in answers),
        "exclusions": {"rules": RULES, "people": reasons},
        "kept": _statistics(kept, info.design.arms, draws),
        "all": _statistics(answers, info.design.arms, draws),
        "pseudo_votes": stats.PSEUDO,
    }


def _design(records: Records) -> dict[str, Any]:
    info = records.info
    design = asdict(info.design)
    design["arms"] = [dict(arm) for arm in info.design.arms]
    created, closed = _iso(info.created), _iso(info.closed)
    return {"id": info.id, "state": info.state, "created": created, "closed": closed, "pairs": list(info.pairs), **design}


def _statistics(answers: Sequence[Answer], arms: Sequence[Mapping[str, Any]], draws: int) -> dict[str, Any]:
    found = stats.scores(answers, len(arms), draws=draws)
    alpha = stats.agreement(answers)
    return {
        "people": len({a.participant for a in answers if a.kind == "main"}),
        "votes": sum(a.kind == "main" for a in answers),
        "preferences": [_plain(p) for p in stats.preferences(answers, draws=draws)],
        "scores": {
            "values": [
                {"arm": arm, "score": value, "interval": _plain(found.intervals[arm])}
                for arm, value in sorted(found.values.items(), key=lambda item: -item[1])
            ],
            "nu": found.nu,
            "left_out": list(found.left_out),
        },
        "pairs": [_plain(row) for row in stats.per_pair(answers)],
        "consistency": _plain(stats.consistency(answers)),
        "positions": [_plain(each) for each in stats.positions(answers)],
        "agreement": alpha,
        "times": stats.times(answers),
    }


def _plain(value: Any) -> Any:
    """A data class as a dict, its tuples as lists."""
    if value is None:
        return None
    if isinstance(value, Interval):
        return [value.low, value.high]
    out: dict[str, Any] = {}
    for name in value.__dataclass_fields__:
        item = getattr(value, name)
        out[name] = _plain(item) if hasattr(item, "__dataclass_fields__") else list(item) if isinstance(item, tuple) else item
    if "votes" in out:
        out["votes"] = {str(arm): count for arm, count in out["votes"].items()}
    return out


COLUMNS = ("participant", "trial", "kind", "pair", "shown", "choice", "chosen", "right", "ms", "at", "excluded")


def rows(records: Records) -> list[dict[str, Any]]:
    """One dict a vote. shown: the methods from left to right; choice counts from 1, 0 is no difference."""
    info, out = records.info, stats.exclusions(records.answers)
    names = [str(arm.get("name", "")) for arm in info.design.arms]
    found = []
    for a in records.answers:
        labels = [names[arm] + (" (blurred)" if a.kind == "check" and k != a.good else "") for k, arm in enumerate(a.order)]
        found.append(
            {
                "participant": a.participant,
                "trial": a.ordinal,
                "kind": a.kind,
                "pair": info.pairs[a.pair],
                "shown": " | ".join(labels),
                "choice": a.choice + 1,
                "chosen": "" if a.choice == TIE else labels[a.choice],
                "right": "" if a.kind != "check" else a.choice == a.good,
                "ms": a.ms,
                "at": _iso(records.at[a.participant, a.ordinal]),
                "excluded": " ".join(out.get(a.participant, ())),
            }
        )
    return found


def as_csv(records: Records) -> str:
    """A line a vote. Cells that a spreadsheet would run as a formula get an apostrophe in front."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    for row in rows(records):
        writer.writerow({k: f"'{v}" if isinstance(v, str) and v[:1] in "=+-@\t\r" and v else v for k, v in row.items()})
    return out.getvalue()


def as_json(records: Records) -> dict[str, Any]:
    """Design, statistics and votes."""
    return {**results(records), "answers": rows(records)}


def _iso(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
