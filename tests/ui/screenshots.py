"""Takes the pictures of the docs anew: ``python -m tests.ui.screenshots docs/images``."""

import sys
import tempfile
from pathlib import Path

from tests.ui.browser import take_picture
from tests.ui.webserver import build_lake, webserver

PAGES = {
    "graph": ("/assets/gold/engagements?view=lineage&lineageScope=upstream&lineageDepth=7", 2000, 1250),
    "layers": ("/asset-groups", 1600, 700),
    "gold": ("/assets/gold/engagements", 1600, 1000),
    "checks": ("/assets/silver/pageviews?view=checks", 1600, 800),
}


def main(images: Path) -> None:
    """Builds the demo lake in a temporary folder and writes one picture a page, and one of the report."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        environment = build_lake(folder, settings={})
        with webserver(folder, environment) as address:
            for name, (path, width, height) in PAGES.items():
                take_picture(address + path, images / f"{name}.png", width=width, height=height)
        report = folder / "lake" / "reports" / "engagement.html"
        take_picture(report.as_uri(), images / "report.png", width=1000, height=1500)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
