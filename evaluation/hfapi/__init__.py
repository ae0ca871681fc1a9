"""What evaluation adds to the Hub API."""
