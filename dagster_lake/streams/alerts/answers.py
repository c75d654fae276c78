"""What a channel's answer means: whether it took a delivery, is to be asked again, or does not want this one."""

from dagster_lake.errors import LakeError
from dagster_lake.streams.alerts.channels import Address

TOO_LARGE = 413
_PASSING = {408, 425, 429}
_OF_THE_ADDRESS = {401, 402, 403, 404, 405, 407, 410}
"""Answers that another delivery would get as well: they are about the address or who may post there."""


class NotTaken(LakeError):
    """A channel did not take a delivery; the message says why, without its address."""


class Unavailable(NotTaken):
    """It takes none at the moment: it is down, or the address is wrong. To be tried again."""


class Refused(NotTaken):
    """It does not want this delivery, and may want others."""


class Passing(Unavailable):
    """A failure that may be over in a moment."""


class TooLarge(Refused):
    """The channel takes smaller ones."""


def not_taken(address: Address, status: int) -> NotTaken:
    """What an HTTP status that is no success says."""
    answered = f"{address.who} answered {status}"
    if status in _PASSING or status >= 500:
        return Passing(answered)
    if 300 <= status < 400:
        return Unavailable(f"{answered}; set {address.setting} to the address it has moved to")
    if status in _OF_THE_ADDRESS:
        return Unavailable(f"{answered}; is {address.setting} right?")
    if status == TOO_LARGE:
        return TooLarge(answered)
    return Refused(f"{answered}: it does not take what is sent; docs/alerts.md says what that is")
