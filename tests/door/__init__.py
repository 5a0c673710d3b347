"""Who gets in: tokens, roles, encryption, and what of it is written down."""
