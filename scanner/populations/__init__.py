"""Reference populations that come with unmask, one file a base, made by `unmask calibrate`."""
