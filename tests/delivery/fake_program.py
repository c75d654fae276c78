#!/usr/bin/env python3
"""Stands in for az, gh, docker or skopeo, by whichever name it is called.

It answers from the JSON file that FAKE_ANSWERS names: the beginning of a command line, and what is printed, or an exit
code where it is a number. Each call is noted in FAKE_CALLS, a line each. What is not expected fails.
"""

import json
import os
import sys
from pathlib import Path

line = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
with open(os.environ["FAKE_CALLS"], "a", encoding="utf-8") as calls:
    calls.write(line + "\n")
answers = json.loads(Path(os.environ["FAKE_ANSWERS"]).read_text(encoding="utf-8"))
fitting = [beginning for beginning in answers if line.startswith(beginning)]
if not fitting:
    sys.exit(f"{line}: not expected")
answer = answers[max(fitting, key=len)]
if isinstance(answer, int):
    sys.exit(answer)
print(answer if isinstance(answer, str) else json.dumps(answer))
