"""Side-by-side figures: the router and the programs that people would otherwise write."""
