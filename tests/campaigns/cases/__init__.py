"""The bad inputs, by what they are in."""

from collections import Counter

from tests.campaigns.cases import commands, data, python, recipes, records, runs, tables, weights

CASES = [
    case
    for room in (recipes, commands, data, tables, records, weights, runs, python)
    for case in room.CASES
]
_twice = [n for n, k in Counter(case.name for case in CASES).items() if k > 1]
assert not _twice, _twice
