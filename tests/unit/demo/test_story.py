"""The scenes: each begins, is told, and repairs what it broke."""

from collections.abc import Sequence
from unittest.mock import Mock

import pytest

from demo.platform import Platform
from demo.queues import ANALYTICS, DIVISION, QUEUES, WARMUP, NewJob
from demo.story import SCENES, Scene, Story


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_platform() -> Mock:
    platform = Mock(spec=Platform)
    platform.held = set()
    platform.producer = Mock()
    platform.producer.draw.side_effect = lambda queue, count: [NewJob(queue, 1.0)] * count
    return platform


def play(scenes: Sequence[Scene], beats: int, platform: Mock) -> list[str]:
    clock = Clock()
    story = Story(platform, scenes, clock)
    names: list[str] = []
    while len(names) < beats:
        clock.now += story.left
        assert story.tick()
        assert not story.tick(), "one beat at a time"
        names.append(story.scene.name)
    return names


def test_the_story_is_told_in_a_loop() -> None:
    names = play(SCENES, 35, a_platform())
    order = [name for name, before in zip(names, [None, *names], strict=False) if name != before]
    scenes = ["campaign", "analytics", "expiry", "worker-death", "services", "listing"]
    assert order[:7] == [*scenes, "campaign"]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_scene_names_a_metric_of_the_catalogue_prefix(scene: Scene) -> None:
    beats = list(scene.script(a_platform()))
    assert all("postwatch_" in beat.metric and beat.seconds >= 5 for beat in beats)
    assert 30 <= sum(beat.seconds for beat in beats) <= 110


def test_every_scene_leaves_the_platform_as_it_was() -> None:
    platform = a_platform()
    for scene in SCENES:
        list(scene.script(platform))
    assert platform.held == set()
    platform.producer.set_broken.assert_any_call(ANALYTICS, DIVISION)
    assert platform.producer.set_broken.call_args.args == (ANALYTICS, None)
    assert platform.producer.set_rate.call_args.args == (WARMUP, WARMUP.per_second)
    platform.hand_over_again.assert_called_once_with(WARMUP)
    platform.kill_worker.assert_called_once_with("worker-2")
    platform.revive_worker.assert_called_once_with("worker-2")
    names = [call[0] for call in platform.mock_calls]
    for trouble in ("slow_down", "break_api", "list_sender"):
        assert "outside_as_ever" in names[names.index(trouble) :]


def test_the_campaign_is_over_a_thousand_jobs() -> None:
    platform = a_platform()
    next(SCENES[0].script(platform))
    assert len(platform.producer.add.call_args.args[0]) > 1000


def test_the_five_queues() -> None:
    assert [queue.key for queue in QUEUES] == [
        "queue:email-sending:high",
        "queue:email-sending",
        "queue:email-sending:low",
        "queue:analytics:daily-aggregate",
        "queue:warmup:process",
    ]
    assert [queue.level for queue in QUEUES] == ["high", "normal", "low", "normal", "normal"]
