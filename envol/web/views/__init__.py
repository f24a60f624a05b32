"""Views shape; rooms decide. One module for each thing a page shows."""
