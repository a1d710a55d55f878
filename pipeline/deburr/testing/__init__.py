"""For the tests of stages, other packages' too: the promises that every stage keeps, and tiles in memory.

>>> from deburr.testing import contract
>>> contract.check("filters.mine")
"""
