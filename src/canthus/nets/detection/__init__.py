"""The networks that find and judge faces, each with its config, exported part and loss."""
