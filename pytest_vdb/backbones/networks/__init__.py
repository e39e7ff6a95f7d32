"""What looks: layers and arithmetic, imported when a network is opened. The files beside this folder stay light."""
