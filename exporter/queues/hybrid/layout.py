"""Where a hybrid queue keeps what: two presets, and any mapping of tables, columns and states over them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from chassis.settings import Settings
from exporter.model import OUTCOMES
from exporter.queues.reading.tables import split_name


def _table_name(value: str) -> str:
    split_name(value)
    return value


TableName = Annotated[str, AfterValidator(_table_name)]
Column = Annotated[str, Field(min_length=1, max_length=63)]


class JobsTable(Settings):
    """The table of jobs and its columns. A column that is not there is left out with `null`."""

    table: TableName = Field("jobs", description="Name of the table, with its schema if need be.")
    id: Column = Field("id", description="The job's identity: any type.")
    queue: Column = Field("queue_name", description="The queue's name.")
    status: Column = Field("status", description="The job's state: text or an enum.")
    priority: Column | None = Field(
        "priority", description="A number, ≤ 50 high, > 150 low; null: the name's suffix tells."
    )
    created: Column | None = Field("created", description="When the job was created.")
    run_at: Column | None = Field("run_at", description="When the job is to run; until then it is scheduled.")
    started: Column | None = Field("started", description="When the last attempt started.")
    completed: Column | None = Field("completed", description="When the job was completed.")
    failed: Column | None = Field("failed", description="When the job failed for good.")
    changed: Column | None = Field("updated", description="When the row was last changed; needs an index to be cheap.")
    attempts: Column | None = Field("attempt_count", description="Attempts so far.")
    error: Column | None = Field("last_error_message", description="The last error; only its class is used.")
    worker: Column | None = Field("worker_id", description="Who runs the job.")


class QueuesTable(Settings):
    """The table of queues; null if there is none."""

    table: TableName = Field("job_queues", description="Name of the table.")
    name: Column = Field("name", description="The queue's name, as the table of jobs writes it.")
    active: Column | None = Field("is_active", description="False while the queue is paused.")


class LogsTable(Settings):
    """The table of attempts, one row each, with an identity that only grows; null if there is none."""

    table: TableName = Field("job_logs", description="Name of the table.")
    id: Column = Field("id", description="An integer that only grows.")
    job: Column = Field("job_id", description="The job's identity.")
    status: Column = Field("status", description="What became of the attempt.")
    attempt: Column | None = Field("attempt", description="Number of the attempt, from 1.")
    error: Column | None = Field("error", description="The error; only its class is used.")
    started: Column | None = Field("started_at", description="When the attempt started.")
    finished: Column | None = Field("finished_at", description="When the attempt ended.")
    attempting: tuple[str, ...] = Field(("attempting",), description="States of an attempt under way.")
    success: tuple[str, ...] = Field(("success",), description="States of an attempt that completed its job.")
    retry: tuple[str, ...] = Field(("retry",), description="States of a failed attempt that is tried again.")
    failed: tuple[str, ...] = Field(("failed",), description="States of a failed attempt that was the last.")


class States(Settings):
    """Which values of the status column mean what."""

    waiting: tuple[str, ...] = Field(("queued",), description="Not started, not handed over to Redis.")
    handed_over: tuple[str, ...] = Field(("migrated_to_redis",), description="Not started, handed over to Redis.")
    active: tuple[str, ...] = Field(("running", "processing"), description="Started.")
    completed: tuple[str, ...] = Field(("completed",), description="Ended well.")
    failed: tuple[str, ...] = Field(("failed",), description="Failed for good.")
    cancelled: tuple[str, ...] = Field(("cancelled",), description="Ended before its time by someone.")
    expired: tuple[str, ...] = Field(("expired",), description="Ended because nobody ran it in time.")

    @model_validator(mode="after")
    def _distinct(self) -> States:
        meanings: dict[str, str] = {}
        for meaning, values in self:
            for value in values:
                if value in meanings:
                    raise ValueError(f"{value!r} stands under {meanings[value]} and under {meaning}; keep one")
                meanings[value] = meaning
        if not (self.waiting or self.handed_over):
            raise ValueError("no state means waiting; give at least one under waiting or handed_over")
        return self

    def meaning(self, status: str) -> str | None:
        """`waiting`, `handed_over`, `active` or an outcome; None for a state that is not mapped."""
        for meaning, values in self:
            if status in values:
                return str(meaning)
        return None

    @property
    def usual(self) -> str:
        """The value that most rows bear in the end."""
        return next(iter(self.completed or self.ended or self.all))

    @property
    def ended(self) -> tuple[str, ...]:
        """All values that mean an end."""
        return tuple(value for outcome in OUTCOMES for value in getattr(self, outcome))

    @property
    def unstarted(self) -> tuple[str, ...]:
        """All values that mean waiting or scheduled."""
        return self.waiting + self.handed_over

    @property
    def all(self) -> tuple[str, ...]:
        """All values that mean something."""
        return self.unstarted + self.active + self.ended


PRESETS: dict[str, dict[str, Any]] = {
    "penguinmails": {
        "jobs": {},
        "queues": {},
        # Its log has a random identity: nothing finds what is new there, and `jobs` tells the same.
        "logs": None,
        "states": {},
    },
    "basic": {
        "jobs": {
            "queue": "queue",
            "priority": None,
            "created": "created_at",
            "run_at": None,
            "started": None,
            "completed": None,
            "failed": None,
            "changed": "updated_at",
            "attempts": "attempts",
            "error": None,
            "worker": None,
        },
        "queues": {},
        "logs": {},
        "states": {
            "waiting": ("waiting", "queued", "pending"),
            "handed_over": (),  # its rows do not say what stands in a list
            "active": ("active", "running", "processing"),
        },
    },
}


class Layout(Settings):
    """Tables, columns and states of a hybrid queue."""

    preset: Literal["penguinmails", "basic"] = Field(
        "penguinmails", description="What holds where nothing else is said."
    )
    jobs: JobsTable = Field(default_factory=JobsTable, description="The table of jobs; the only one that is required.")
    queues: QueuesTable | None = Field(
        default_factory=QueuesTable, description="The table of queues; null: there is none."
    )
    logs: LogsTable | None = Field(
        None, description="The table of attempts; null: there is none, or it cannot be read on."
    )
    states: States = Field(default_factory=States, description="Meanings of the status column.")

    @model_validator(mode="before")
    @classmethod
    def _over_preset(cls, given: Any) -> Any:
        """`basic` alone is short for `{preset: basic}`; what is given goes over what the preset says."""
        if isinstance(given, str):
            given = {"preset": given}
        if not isinstance(given, dict):
            return given
        preset = PRESETS.get(given.get("preset", "penguinmails"))
        if preset is None:
            return given
        merged: dict[str, Any] = dict(given)
        for section, defaults in preset.items():
            own = given.get(section, {})
            if section in given and own is None:
                merged[section] = None
            elif isinstance(own, dict) and (defaults is not None or own):
                merged[section] = {**(defaults or {}), **own}
            elif section not in given:
                merged[section] = defaults
        return merged
