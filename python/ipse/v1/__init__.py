"""Message code of `protos/ipse/v1`, written by `python .ci/generate.py`."""
