"""Checks that warned in a demonstration, and which of them the generators see to."""

from dataclasses import dataclass

from dagster_lake.defs.operations.lake_status import GOOD

_PLANTED = {
    ("silver/order_items_changes", "product_id_exists"): "some items are of products that do not exist",
    ("streams/high_latency_alerts", "no_alerts"): "some page views are very slow",
    ("streams/latency_anomalies", "no_alerts"): "and some of these are outliers",
}


@dataclass(frozen=True)
class Warned:
    """A check that did not pass: its asset, its name, and what it said."""

    asset: str
    check: str
    said: str

    @property
    def told(self) -> str:
        """It in a line, with the reason where it is planted."""
        why = _PLANTED.get((self.asset, self.check))
        if why is None and is_planted(self):
            why = "it repeats the others"
        said = "" if why and self.check == GOOD else self.said
        return f"{self.asset}: {self.check} {said}".strip() + (f" ({why})" if why else "")


def is_planted(warning: Warned) -> bool:
    """Whether the generated data is made so that this check warns, or the lake's status repeats only such ones."""
    if warning.check != GOOD:
        return (warning.asset, warning.check) in _PLANTED
    repeated = [part.partition(" fails ") for part in warning.said.split("; ")]
    return all((table.replace(".", "/"), check) in _PLANTED for table, _, check in repeated)
