"""Methods: one file each, four functions each, none imports another."""
