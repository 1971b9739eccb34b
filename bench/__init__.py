"""What a tab costs, side by side with a stock Channels consumer: ``python -m bench.run``."""
