"""One number each, on a frozen network: how near a result is to its style, and to its content.

Lower is better everywhere. A figure is only comparable with figures of the same network,
size and set of pairs.
"""

from scsa_core.metrics.cfsd import cfsd
from scsa_core.metrics.colour import colour_distance, region_colour_distance
from scsa_core.metrics.content_distance import content_distance
from scsa_core.metrics.network import MetricNetwork
from scsa_core.metrics.regions import RegionScores, RegionTarget, region_scores
from scsa_core.metrics.trivial import colour_match

__all__ = [
    "MetricNetwork",
    "RegionScores",
    "RegionTarget",
    "cfsd",
    "colour_distance",
    "colour_match",
    "content_distance",
    "region_colour_distance",
    "region_scores",
]
