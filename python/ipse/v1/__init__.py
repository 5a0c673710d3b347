"""Message code of `protos/ipse/v1`, written by `python tools/generate.py`."""
