"""Laws: what holds for every sequence of events, tried on many."""
