"""What a crash may take, and what it may not: acknowledged events are there after a kill -9.

The machine's own crash (lost page cache) is simulated where the file system is ours: in the
tests of the Rust store. Here the process dies and the files are damaged by hand.
"""
