"""The plugin of CloudCompare's Python plugin: selected clouds are denoised, and stand beside the old ones.

It runs in the Python of CloudCompare, where deburr need not be: so nothing here imports deburr, which is run as a
command (`child.py`) and given files (`handover.py`), and nothing of deburr imports this. What cannot be imported there
vanishes from CloudCompare's menu with no more than a line in its console: modules import pycc, numpy and the standard
library alone.
"""
