"""The recipe of the book's synthetic data, as data files.  Read by `lumbo.films.anatomy` and `lumbo.films.hospitals`."""
