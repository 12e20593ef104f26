"""Who may do what: accounts, their groups and sign-ins, and which groups may see which documents."""
