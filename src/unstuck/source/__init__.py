"""One model of the person's text: scopes, values and exact edits."""
