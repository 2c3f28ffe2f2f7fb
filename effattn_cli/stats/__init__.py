"""Statistics on plain numbers: no records, no units."""
