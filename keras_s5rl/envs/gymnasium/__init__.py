"""The package's environments through Gymnasium: numpy values in and out."""
