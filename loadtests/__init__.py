"""What the router costs and how much it bears."""
