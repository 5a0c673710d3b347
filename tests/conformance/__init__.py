"""Other systems' documented behaviour, played against ours from data.

`python -m tests.conformance PATH...` prints one JSON line for each scenario. A form (one
module for each way that the files write expectations) turns a scenario into calls; a
target is one way of making those calls. A check that a form cannot express is a failed
check, never a skipped one.
"""
