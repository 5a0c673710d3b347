"""Generated message and stub code of `protos/ipse/v1`; `python tools/generate.py` writes it."""
