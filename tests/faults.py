"""Faults to plant in a table, so that a test can see them named."""

import copy

ABSENT = object()  # the value of a field that is to be left out


def planted(table: dict, path: str, value: object) -> dict:
    """Copy a table and put `value` at a path such as ``claims.0.kind`` in it, or take the field out."""
    faulty = copy.deepcopy(table)
    *parents, key = (int(part) if part.isdecimal() else part for part in path.split("."))
    place = faulty
    for parent in parents:
        place = place[parent]
    if value is ABSENT:
        del place[key]
    else:
        place[key] = value
    return faulty
