"""What a comparison leaves in its folder beside the report."""
