"""Tests of the whole: see README.md for what each directory covers."""
