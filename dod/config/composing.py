"""ruamel at work: text → its node graph, or the wreck of a text that is no YAML."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from dod.config.slips import Wreck
from dod.config.source import Source

MAX_NODES = 10_000  # after alias expansion: a "billion laughs" file has few lines
MAX_DEPTH = 30


class _Bounded(Composer):
    """Stops a huge file early instead of reading it for half a minute."""

    count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise MarkedYAMLError(
                problem="too many nodes", problem_mark=self.parser.peek_event().start_mark
            )
        return super().compose_node(parent, index)


def compose(text: str) -> Any:
    """The node of ruamel (None for an empty document), or the wreck of a text without one."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _Bounded
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False
    lines = tuple(text.split("\n"))
    try:
        return yaml.compose(text)
    except MarkedYAMLError as exc:
        mark, context = exc.problem_mark or exc.context_mark, exc.context_mark
        whole = Source("", text)
        place = whole.find(mark.index if mark else 0)
        begin = whole.find(context.index) if context else place
        return Wreck(
            lines,
            place.line,
            place.column,
            str(exc.problem or ""),
            str(exc.context or ""),
            begin.line,
            begin.column,
        )
    except RecursionError:
        return Wreck(lines, 1, 1, "maximum depth of data structure exceeded")
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError, AssertionError) as exc:
        # ruamel meets its own bugs on damaged files ("\UFFFFFFFF", a lone "!<"); still no crash.
        return Wreck(lines, 1, 1, type(exc).__name__)
