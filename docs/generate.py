"""Writes what the documentation repeats of the code: ``python -m docs.generate``.

Whole files, and in hand-written ones what stands between ``<!-- name: begin -->`` and ``<!-- name: end -->``.
"""

import json
import re
from pathlib import Path

from docs import asyncapi, operations, tables, typescript
from realtime_session.protocol import CLIENT_MESSAGES, SERVER_MESSAGES

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PROTOCOL = ROOT / "docs/protocol.md"
OPERATIONS = ROOT / "docs/operations.md"
ASYNCAPI = ROOT / "docs/asyncapi.json"
DECLARATION = ROOT / "realtime_session/static/realtime_session/client.d.ts"


def generated() -> dict[Path, str]:
    """Return what each file with generated parts is to hold."""
    return {
        README: _filled(README, {"settings": tables.settings_table()}),
        PROTOCOL: _filled(
            PROTOCOL,
            {
                "server": tables.messages_reference(SERVER_MESSAGES),
                "client": tables.messages_reference(CLIENT_MESSAGES),
                "limits": tables.limits_table(),
                "close codes": tables.close_codes_table(),
            },
        ),
        OPERATIONS: _filled(
            OPERATIONS,
            {"events": operations.events_table(), "metrics": operations.metrics_table()},
        ),
        ASYNCAPI: json.dumps(asyncapi.document(), indent=2, ensure_ascii=False) + "\n",
        DECLARATION: typescript.declaration(),
    }


def _filled(path: Path, parts: dict[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        pattern = re.compile(f"(?<={begin}\n).*?(?={end})", re.DOTALL)
        assert pattern.search(text), f"{path.name} has no place for {name}"
        text = pattern.sub(lambda _, part=part: part + "\n", text)
    return text


def main() -> None:
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
