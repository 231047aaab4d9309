"""How many members get their group: the market's ways of matching beside what a clairvoyant could have done."""
