"""The vault: texts and files that events only commit to, encrypted, and forgotten when their owner is erased."""
