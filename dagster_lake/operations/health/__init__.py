"""How the lake is: of each table how new, how large and how good it is."""
