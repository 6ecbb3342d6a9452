"""The ways in which windows come: one after the other, in real time, in batches, from many streams, to a cold start."""
