"""Dossiers: what concerns a dispute, an order or a group, with the proofs that anybody can check offline."""
