"""What a model will need and cost on a device: counted, measured elsewhere or fitted, and each figure says which."""
