"""``lake stream``: one process that lands events as they arrive, tells of alerts at once, and keeps the tables fresh.

Three things go on at their own pace (``loop`` turns them):

- ``landing``: every second, what is new in the hubs becomes an attempt of raw, whose manifest is the commit point.
- ``early``: what has just landed is judged by the models' own SQL, so that an alert is told about a second after its
  event arrived, and is the very row that the table will hold.
- ``tables``: bronze, silver and the streams of the hours that changed are made anew, as a Dagster run would; as often
  as the machine can, which for a large hour is not every second.

An hour that has ended is landed until it is complete, and its tables are made once more; ``finished`` remembers that.
"""
