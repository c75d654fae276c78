"""Takes the pictures of the docs anew: ``python -m tests.ui.screenshots docs/images``, or only those named after it."""

import sys
import tempfile
from pathlib import Path

from tests.ui.browser import take_picture
from tests.ui.clicking import take_picture_after_click
from tests.ui.webserver import build_lake, webserver

PAGES = {
    "graph": ("/assets/gold/engagements?view=lineage&lineageScope=upstream&lineageDepth=7", 2000, 1250),
    "layers": ("/asset-groups", 1600, 700),
    "gold": ("/assets/gold/engagements", 1600, 1000),
    "checks": ("/assets/silver/pageviews?view=checks", 1600, 800),
    "streams": ("/locations/__repository__@dagster_lake.definitions/asset-groups/streams", 1900, 2300),
    "streams-stream": ("/assets/streams/pageviews_by_http_method_5m", 1600, 1500),
    "lake-status": ("/assets/gold/lake_status?view=events", 1600, 720),
    "streams-alerts": ("/assets/streams/high_latency_alerts?view=checks&checkDetail=no_alerts", 1600, 1000),
}
AFTER_CLICK = {
    "streams-plot": ("/assets/streams/pageviews_by_http_method_5m", "Show Markdown", 1600, 1000),
    "events-in-time": ("/assets/streams/events_in_time", "Show Markdown", 1600, 1000),
}
REPORT = "report"


def main(images: Path, *names: str) -> None:
    """Builds the demo lake in a temporary folder and writes one picture a page, and one of the report; or ``names``."""
    wanted = set(names) or {*PAGES, *AFTER_CLICK, REPORT}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        environment = build_lake(folder, settings={})
        with webserver(folder, environment) as address:
            for name, (path, width, height) in PAGES.items():
                if name in wanted:
                    take_picture(address + path, images / f"{name}.png", width=width, height=height)
            for name, (path, text, width, height) in AFTER_CLICK.items():
                if name in wanted:
                    file = images / f"{name}.png"
                    take_picture_after_click(address + path, text, file, width=width, height=height)
        if REPORT in wanted:
            report = folder / "lake" / "reports" / "engagement.html"
            take_picture(report.as_uri(), images / f"{REPORT}.png", width=1000, height=1500)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
