"""What tests/judge is made of: the serial stream taken apart (stream), what is wanted of it (rules), what comes of it (verdict)."""
