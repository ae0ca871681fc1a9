"""The data set viewer: which rows a data set has, shown, searched and described."""
