"""The laboratory: protocols, studies and figures of the four papers; vocable finds it through entry points."""
