//! Methods that learn in spite of noise, the training loop, embeddings and corrections.
