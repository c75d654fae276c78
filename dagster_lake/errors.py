"""The base of every error that the library raises on purpose."""


class LakeError(Exception):
    """Something a person can mend: ``message`` names the thing (file, field, table), ``remedy`` says how to go on.

    Most messages end with their remedy; where it is worked out on its own it is given on its own, and the text of the
    error is ``message; remedy``. The command line shows that text in place of a traceback.
    """

    def __init__(self, message: str = "", remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy
