"""What people see: text, tables, progress. The only place that scales units or knows of rich."""
