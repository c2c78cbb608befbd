"""One number each, on a frozen network: how near a result is to its style, and to its content.

Lower is better everywhere. A figure is only comparable with figures of the same network,
size and set of pairs.
"""

from scsa_core.metrics.cfsd import cfsd
from scsa_core.metrics.network import MetricNetwork
from scsa_core.metrics.regions import RegionScores, region_scores

__all__ = ["MetricNetwork", "RegionScores", "cfsd", "region_scores"]
