"""Studies, pairs, pictures, participants, trials and votes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("results_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("end_text", sa.Text(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("repeat", sa.Boolean(), nullable=False),
        sa.Column("ties", sa.Boolean(), nullable=False),
        sa.Column("max_participants", sa.Integer(), nullable=False),
        sa.Column("arms", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "study_pairs",
        sa.Column("id", sa.Integer(), primary_key=True),
        _study(),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.UniqueConstraint("study_id", "number"),
    )
    op.create_table(
        "study_pictures",
        sa.Column("id", sa.String(32), primary_key=True),
        _study(),
        sa.Column("pair", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("arm", sa.Integer(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
    )
    op.create_index("ix_study_pictures_study_id", "study_pictures", ["study_id"])
    op.create_table(
        "study_participants",
        sa.Column("id", sa.Integer(), primary_key=True),
        _study(),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("preview", sa.Boolean(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=True),
    )
    op.create_index("ix_study_participants_study_id", "study_participants", ["study_id"])
    op.create_table(
        "study_trials",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("participant_id", sa.Integer(), sa.ForeignKey("study_participants.id", ondelete="CASCADE"), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("pair", sa.Integer(), nullable=False),
        sa.Column("arm_order", sa.JSON(), nullable=False),
        sa.Column("good", sa.Integer(), nullable=True),
        sa.Column("repeats", sa.Integer(), nullable=True),
        sa.UniqueConstraint("participant_id", "ordinal"),
    )
    op.create_table(
        "study_votes",
        sa.Column("trial_id", sa.Integer(), sa.ForeignKey("study_trials.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("choice", sa.Integer(), nullable=False),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("voted_at", sa.BigInteger(), nullable=False),
    )


def _study() -> sa.Column[str]:
    return sa.Column("study_id", sa.String(32), sa.ForeignKey("studies.id", ondelete="CASCADE"), nullable=False)


def downgrade() -> None:
    for table in ("study_votes", "study_trials", "study_participants", "study_pictures", "study_pairs", "studies"):
        op.drop_table(table)
