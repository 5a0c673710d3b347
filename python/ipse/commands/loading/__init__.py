"""The parts of `ipse load`: lines in, batches on the wire, progress on disk, a report."""
