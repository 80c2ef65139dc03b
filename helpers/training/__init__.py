"""How models are trained and measured: one loop, intervals, shards, the device."""
