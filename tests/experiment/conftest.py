"""The tiny experiment, run once for all tests of this wing."""

import pytest
from tiny import tiny, wide

from lumbo.experiment.runner import run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder in which the tiny experiment ran from end to end, one model after the other."""
    folder = tmp_path_factory.mktemp("finished")
    run(tiny(), folder, workers=1)
    return folder


@pytest.fixture(scope="session")
def finished_wide(tmp_path_factory):
    """The same, of two seeds, with a hospital left out of each and a learning curve."""
    folder = tmp_path_factory.mktemp("wide")
    run(wide(), folder, workers=1)
    return folder
