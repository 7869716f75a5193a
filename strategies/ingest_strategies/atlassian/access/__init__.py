"""How a site is reached: its login, the scopes of tokens, and the budgets of requests."""
