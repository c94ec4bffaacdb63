"""Execute notebooks in place and store their outputs: ``make notebooks``.

What changes from run to run without meaning anything is left out: timings, widget state,
and the random address of a living figure, whose own HTML stays.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FLEETING = "application/vnd.jupyter.widget-view+json"


def execute(path: Path) -> None:
    """Run one notebook in its own folder and write it back."""
    notebook = nbformat.read(path, as_version=4)
    settings = {"timeout": 600, "kernel_name": "python3", "record_timing": False, "store_widget_state": False}
    # Else what is printed comes in as many pieces as the kernel happened to send.
    settings["coalesce_streams"] = True
    NotebookClient(notebook, resources={"metadata": {"path": path.parent}}, **settings).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(FLEETING, None)
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(name, flush=True)
        execute(Path(name))
