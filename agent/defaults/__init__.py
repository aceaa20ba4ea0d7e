"""The built-in helpdesk as configuration, and the files that `support-agent init` writes."""
