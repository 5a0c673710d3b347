"""What `ipse import` is made of: rows, profiles and batches; the rest is that of `ipse load`."""
