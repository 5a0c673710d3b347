"""`python -m benchmarks.compare`: ipse beside what people would build instead.

What is measured and what the numbers mean stands in `benchmarks/README.md`. Reading order:
`plan` (what is asked of whom), `systems` and the modules of the peers (how each is started, filled
and asked), `run` (rounds that alternate), `single` (what is measured once), `report` and `chart`.
"""
