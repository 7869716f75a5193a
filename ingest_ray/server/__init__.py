"""The HTTP server around GraphQL and the console: who is asking, how much they may send, what is logged and measured."""
