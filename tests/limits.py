"""How large things may become: the one place of these numbers, which the tests hold everything against."""

NOTEBOOK_BYTES = 1_000_000
PAGE_BYTES = 2_000_000  # a page of the built book, without what it loads on demand
WHEEL_BYTES = 13_000_000  # eight seeds of predictions are four of them
PAYLOAD_BYTES = 200_000  # text in an output, such as the data of a living figure: more is a file of the book

CELLS = 40  # of a notebook before its exercises
CODE_LINES = 12  # of a cell, without comments and empty lines
ALT_CHARACTERS = 20  # of an image's description, at least
