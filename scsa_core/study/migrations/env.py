"""Runs migrations on the connection that `scsa_core.study.database` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from scsa_core.study.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
    version_table="study_schema",
)
context.run_migrations()
