"""The recipe of the book's synthetic data, as data files.  Read by `lumbo.anatomy` and `lumbo.hospitals`."""
