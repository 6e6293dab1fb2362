"""The five topics: how each should be, creating what is missing, checking what is there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import KafkaUnavailable, kafka_python_config, reaching

DAY_MS = 86_400_000
UNKNOWN = "unknown"
TOPIC_ALREADY_EXISTS = 36  # Kafka protocol's error code: another process was faster


class TopicsError(SegueError):
    """Topics that are missing or do not fit the settings."""


@dataclass(frozen=True)
class TopicPlan:
    """How one topic should be.

    retention_days: None for a compacted topic, which keeps the last record of every key.
    """

    name: str
    partitions: int
    replication: int
    retention_days: float | None = None

    @property
    def cleanup_policy(self) -> str:
        """What Kafka does with old records."""
        return "compact" if self.retention_days is None else "delete"

    def configs(self) -> dict[str, str]:
        """Return the topic configuration in Kafka's own names."""
        configs = {"cleanup.policy": self.cleanup_policy}
        if self.retention_days is not None:
            configs["retention.ms"] = str(round(self.retention_days * DAY_MS))
        return configs


@dataclass(frozen=True)
class TopicReport:
    """How one topic is.

    state: "created", "exists" or "missing". partitions, replication: 0 where it is missing.
    cleanup_policy, retention_ms: what the broker reports of them, or "unknown".
    problem: what does not fit the plan and the remedy, or None.
    """

    name: str
    state: str
    partitions: int = 0
    replication: int = 0
    cleanup_policy: str = UNKNOWN
    retention_ms: str = UNKNOWN
    problem: str | None = None

    def row(self) -> dict[str, Any]:
        """Return the report as one JSON object."""
        return asdict(self)


def plan_topics(settings: Settings) -> list[TopicPlan]:
    """Plan the five topics.

    Plays, recommendations and rejected plays have one number of partitions, for a list is
    published to the partition its play came from. The catalogue and the models are small and
    are read whole: one partition keeps each in order.
    """

    def log(name: str, days: float) -> TopicPlan:
        return TopicPlan(name, settings.topic_partitions, settings.topic_replication, days)

    return [
        log(settings.topic_plays, settings.topic_retention_days),
        log(settings.topic_recommendations, settings.topic_recommendations_retention_days),
        log(settings.topic_rejected, settings.topic_rejected_retention_days),
        TopicPlan(settings.topic_songs, 1, settings.topic_replication),
        TopicPlan(settings.topic_models, 1, settings.topic_replication),
    ]


def ensure_topics(settings: Settings, create: bool = True) -> list[TopicReport]:
    """Create the topics that are missing, and report how all of them are.

    Topics that exist are never changed. With `create` False nothing is created either.
    Raises KafkaUnavailable where the brokers cannot be reached or refuse to create a topic.
    """
    from kafka import KafkaAdminClient

    plans = plan_topics(settings)
    with reaching(settings):
        admin = KafkaAdminClient(**kafka_python_config(settings))
        try:
            found = _found(admin, plans)
            missing = [plan for plan in plans if plan.name not in found]
            if create and missing:
                _create(admin, missing)
                found = _found(admin, plans)
            configs = _configs(admin, list(found))
        finally:
            admin.close()
    created = {plan.name for plan in missing} if create else set()
    return [
        _report(plan, found.get(plan.name), configs.get(plan.name, {}), plan.name in created)
        for plan in plans
    ]


def require_topics(settings: Settings) -> None:
    """Raise TopicsError where a topic is missing or does not fit the settings."""
    reports = ensure_topics(settings, create=False)
    problems = [f"topic {report.name} {report.problem}" for report in reports if report.problem]
    if problems:
        raise TopicsError("; ".join(problems))


def _found(admin: Any, plans: list[TopicPlan]) -> dict[str, tuple[int, int]]:
    """Return partitions and replication of the planned topics that exist."""
    # All topics, not ours by name: asking for a name would create it on some brokers.
    described = {topic["name"]: topic["partitions"] for topic in admin.describe_topics()}
    return {
        plan.name: (
            len(described[plan.name]),
            min(len(partition["replica_nodes"]) for partition in described[plan.name]),
        )
        for plan in plans
        if described.get(plan.name)
    }


def _create(admin: Any, plans: list[TopicPlan]) -> None:
    answer = admin.create_topics(
        {
            plan.name: {
                "num_partitions": plan.partitions,
                "replication_factor": plan.replication,
                "configs": plan.configs(),
            }
            for plan in plans
        },
        raise_errors=False,
    )
    for topic in answer["topics"]:
        if topic["error_code"] not in (0, TOPIC_ALREADY_EXISTS):
            raise KafkaUnavailable(
                f"cannot create topic {topic['name']!r}: {topic['error_message']} "
                f"(Kafka error {topic['error_code']}): see SEGUE_TOPIC_REPLICATION, "
                "SEGUE_TOPIC_PARTITIONS and the rights of our user"
            )
    admin.wait_for_topics([plan.name for plan in plans])


def _configs(admin: Any, names: list[str]) -> dict[str, dict[str, str]]:
    """Return what the broker reports of each topic's configuration; nothing where it refuses."""
    from kafka.admin import ConfigResource
    from kafka.errors import BrokerResponseError, IncompatibleBrokerVersion

    if not names:
        return {}
    resources = [ConfigResource("TOPIC", name) for name in names]
    try:
        answer = admin.describe_configs(resources, config_filter="all")
    except (BrokerResponseError, IncompatibleBrokerVersion):
        return {}
    return {
        name: {key: str(entry["value"]) for key, entry in entries.items()}
        for name, entries in answer.get("topic", {}).items()
    }


def _report(
    plan: TopicPlan, shape: tuple[int, int] | None, configs: dict[str, str], created: bool
) -> TopicReport:
    if shape is None:
        return TopicReport(plan.name, "missing", problem="is missing: run `segue topics`")
    partitions, replication = shape
    return TopicReport(
        plan.name,
        "created" if created else "exists",
        partitions,
        replication,
        configs.get("cleanup.policy", UNKNOWN),
        configs.get("retention.ms", UNKNOWN),
        _problem(plan, partitions, configs),
    )


def _problem(plan: TopicPlan, partitions: int, configs: dict[str, str]) -> str | None:
    if partitions != plan.partitions:
        return (
            f"has {partitions} partitions, not {plan.partitions}: "
            "set SEGUE_TOPIC_PARTITIONS to the number that plays has, or recreate the topic"
        )
    policy = configs.get("cleanup.policy", UNKNOWN)
    if policy not in (UNKNOWN, plan.cleanup_policy):
        return (
            f"has cleanup.policy={policy}, not {plan.cleanup_policy}: "
            "change it with kafka-configs.sh"
        )
    return None


class WorkerError(SegueError):
    """A worker cannot begin its work."""


def planned_partitions(settings: Settings) -> int:
    """Count the partitions of the plays topic; every topic must be as it is planned."""
    reports: dict[str, Any] = {
        report.name: report for report in ensure_topics(settings, create=False)
    }
    needed = [settings.topic_plays, settings.topic_recommendations, settings.topic_rejected]
    needed += [settings.topic_songs]
    if settings.bundle_root is not None:
        needed.append(settings.topic_models)
    for name in needed:
        if reports[name].state == "missing":
            raise WorkerError(f"topic {name!r} is missing: run `segue topics`")
    plays, lists = reports[settings.topic_plays], reports[settings.topic_recommendations]
    if plays.partitions != lists.partitions:
        raise WorkerError(
            f"{plays.name!r} has {plays.partitions} partitions and {lists.name!r} has "
            f"{lists.partitions}, but a list goes to its play's partition: recreate one of them"
        )
    return int(plays.partitions)
