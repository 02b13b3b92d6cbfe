"""What a cloud charges: tables with date and source."""
