"""Begins to denoise a cloud as the dialog does, gives up in the middle, and prints how that ended, as JSON.

cancelled.py INPUT OUTPUT REPORT
"""

import json
import os
import subprocess
import sys
import threading
import time

import pyqgis
from qgis.core import QgsProcessingContext, QgsProcessingFeedback

#: Seconds for which the denoising itself is left to work.
_WORK = 1.0
_LIST = ["ps", "-eo", "pid,ppid,args"]


def below() -> list[str]:
    """The processes that this one has begun."""
    lines = subprocess.run(_LIST, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    rows = [line.split(None, 2) for line in lines]
    found = [str(os.getpid())]
    for one in found:
        found += [row[0] for row in rows if row[1] == one and row[2] != " ".join(_LIST)]
    return found[1:]


class Feedback(QgsProcessingFeedback):
    """Gives up a little after the denoising itself has begun, from another thread, as a click does."""

    def __init__(self) -> None:
        super().__init__(False)
        self.since, self.family, self.begun = 0.0, list[str](), False

    def setProgressText(self, text: str) -> None:
        # Which of the phases behind the reading is told first is chance.
        if not self.begun and text != "starting" and "readers" not in text:
            self.begun = True
            threading.Timer(_WORK, self.give_up).start()

    def give_up(self) -> None:
        self.family, self.since = below(), time.monotonic()
        self.cancel()


application, provider = pyqgis.started()
feedback = Feedback()
given = dict(zip(("INPUT", "OUTPUT", "REPORT"), sys.argv[1:], strict=True))
results, well = provider.algorithm("denoise").create().run(given, QgsProcessingContext(), feedback)
told = {"seconds": time.monotonic() - feedback.since, "left": below(), "family": feedback.family}
print(json.dumps({**told, "results": results, "text": feedback.textLog()}))
