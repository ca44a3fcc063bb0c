"""`make load`: people text as they do in life, and every answer is held against what is due."""
