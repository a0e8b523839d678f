"""Colours, and the words that go with them: nobody should have to know what a colour means."""

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import dashboard as model

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"

Mappings = list[model.ValueMapping]


def steps(base: str, *above: tuple[float, str]) -> ThresholdsConfig:
    """`base`, and from each value on that value's colour."""
    found = [model.Threshold(value=None, color=base)]
    found += [model.Threshold(value=value, color=colour) for value, colour in above]
    return ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(found)


def words(*meant: tuple[float | str, str, str]) -> Mappings:
    """Value, word and colour of each."""
    return [
        model.ValueMap(
            options={
                str(value): model.ValueMappingResult(text=text, color=colour, index=index)
                for index, (value, text, colour) in enumerate(meant)
            }
        )
    ]


def missing(text: str) -> Mappings:
    """What is said, in no colour, where there is no value: else it had the lowest step's."""
    result = model.ValueMappingResult(text=text, color=GREY)
    options = model.DashboardSpecialValueMapOptions(match=model.SpecialValueMatch.NULL_AND_NAN, result=result)
    return [model.SpecialValueMap(options=options)]


def beyond(least: float, text: str, colour: str) -> Mappings:
    """What is said of values from there on."""
    result = model.ValueMappingResult(text=text, color=colour)
    return [model.RangeMap(options=model.DashboardRangeMapOptions(from_val=least, result=result))]


PLAIN = steps(GREY)
CLEAR = steps("transparent")
NONE_IS_WELL = steps(GREEN, (1, RED))
NONE_IS_BETTER = steps(GREEN, (1, YELLOW))


def _critical(bits: int) -> str:
    """Why: the bits 4 and 8 of promql.queue_status; and whether it is paused as well."""
    why = {1: "backlog", 2: "failing", 3: "both"}[bits // 4]
    return f"Critical: {why}{', paused' if bits % 2 else ''}"


# The bits of promql.queue_status, in a word and with what is wrong.
_NOT_CRITICAL = (
    (0, "Healthy", GREEN),
    (1, "Paused", BLUE),
    (2, "Warning", YELLOW),
    (3, "Warning, paused", YELLOW),
)
_CRITICAL = range(4, 16)
QUEUE_STATUS = words(
    *_NOT_CRITICAL, *((bits, "Critical, paused" if bits % 2 else "Critical", RED) for bits in _CRITICAL)
)
QUEUE_TROUBLE = words(*_NOT_CRITICAL, *((bits, _critical(bits), RED) for bits in _CRITICAL))
SERVICE_STATE = words((2, "Down", RED), (1, "Degraded", YELLOW), (0, "Healthy", GREEN))
PAUSED = words((0, "Running", GREEN), (1, "Paused", BLUE))
LISTED = words((0, "Clean", GREEN), (1, "Listed", RED))
UP = words((0, "Down", RED), (1, "Up", GREEN))
WELL = words((0, "Failing", RED), (1, "Well", GREEN))
SEVERITY = words(("critical", "Critical", RED), ("warning", "Warning", YELLOW), ("info", "Info", BLUE))
