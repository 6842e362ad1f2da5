"""What stage=rank ranks: networks that it trains, or what a store holds."""
