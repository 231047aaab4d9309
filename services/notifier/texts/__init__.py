"""What messages say: templates, their languages, and money in words."""
