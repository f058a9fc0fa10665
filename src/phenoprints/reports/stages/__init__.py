"""One module per page: each turns a run into the contents of its page."""
