"""Log records as JSON, with all that they carry: what any formatter of a project could show."""

import json
import logging

USUAL = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in USUAL}
        return json.dumps(
            {
                **extra,
                "level": record.levelname,
                "logger": record.name,
                "message": super().format(record),
                "template": record.msg,
            },
            default=repr,
        )
