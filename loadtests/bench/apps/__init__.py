"""The contestants that are not the router, each written the way its documentation shows."""
