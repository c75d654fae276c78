"""Which Java a local Spark would start, and whether it can."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from dagster_lake.errors import LakeError

OLDEST = 17
REMEDY = (
    "install a Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) "
    "and, where it is not the first on the PATH, name its folder in JAVA_HOME"
)


@dataclass(frozen=True)
class Java:
    """A Java: the program, where it was named, and its major version (None when it does not say)."""

    program: str
    found_by: str
    major: int | None

    @property
    def problem(self) -> str | None:
        """Why Spark cannot run on it; None when it can."""
        if self.major is None:
            return f"{self.program} (by {self.found_by}) does not answer `java -version`"
        if self.major < OLDEST:
            return f"{self.program} (by {self.found_by}) is Java {self.major}; Spark needs {OLDEST} or later"
        return None


class NoJava(LakeError):
    """Spark cannot start for want of a Java; the message says what to install or set."""


def find_java() -> Java | None:
    """The Java that Spark's own start-up finds: JAVA_HOME's, else the first on the PATH; None when there is none."""
    home = os.environ.get("JAVA_HOME")
    if home:
        return _java(os.path.join(home, "bin", "java"), "JAVA_HOME")
    program = shutil.which("java")
    return _java(program, "PATH") if program else None


def require_java() -> Java:
    """The Java that Spark will start. Raises NoJava when it is missing or too old."""
    java = find_java()
    if java is None:
        raise NoJava(f"LAKE_ENGINE=spark needs Java, and there is none: {REMEDY}")
    if java.problem:
        raise NoJava(f"LAKE_ENGINE=spark: {java.problem}: {REMEDY}")
    return java


def major_version(says: str) -> int | None:
    """The major version in what ``java -version`` prints: 17 of "17.0.15", 8 of "1.8.0_392"."""
    found = re.search(r'version "(\d+)(?:\.(\d+))?', says)
    if found is None:
        return None
    major, minor = int(found[1]), found[2]
    return int(minor) if major == 1 and minor else major


def _java(program: str, found_by: str) -> Java:
    try:
        says = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Java(program, found_by, None)
    return Java(program, found_by, major_version(says.stderr + says.stdout))
