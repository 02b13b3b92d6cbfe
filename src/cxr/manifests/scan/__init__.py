"""From files or a listing to rows."""
