"""Tests of the project itself: who may know whom, what its text says, what it ships."""
