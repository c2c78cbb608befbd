"""Rendering a folder of pairs: which renders there are (`jobs`), who does them (`pools`), and what is kept of them (`report`)."""

from __future__ import annotations

from scsa_core.batch.jobs import Job, Outcome, Payload, perform, plan
from scsa_core.batch.pools import run_local, run_on_ray
from scsa_core.batch.report import Report

__all__ = ["Job", "Outcome", "Payload", "Report", "perform", "plan", "run_local", "run_on_ray"]
