"""LightningDataModules: images (candidates), feature maps (autoencoders), embeddings (predictor)."""
