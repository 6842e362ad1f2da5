"""Feature maps → embeddings → accuracy: the autoencoder, the recurrent predictor, and how each is fitted."""
