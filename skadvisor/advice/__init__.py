"""The choice of a scope, or a refusal with its reason, and what it hangs on."""
