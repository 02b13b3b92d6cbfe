"""All that is asked of a cloud: plans, prices, the journal, the services."""
