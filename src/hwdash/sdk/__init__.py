"""The client side: request build and response parse without I/O, and the client that drives them."""
