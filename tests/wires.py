"""The wire between a figure in Python and a browser that is not there."""


def wired(figure):
    """Return a figure, and the list in which what it sends to the browser comes in."""
    sent = []
    figure.comm.publish_msg = lambda kind, data=None, **_: sent.append(data)
    return figure, sent


def from_browser(figure, state):
    """Hand a figure what a browser says of its fields."""
    _arrives(figure, {"method": "update", "state": state, "buffer_paths": []})


def asked(figure, name):
    """Hand a figure a browser's question for one of its payloads."""
    _arrives(figure, {"method": "custom", "content": {"load": name}})


def _arrives(figure, data):
    figure.comm.handle_msg({"content": {"data": data}, "buffers": []})
