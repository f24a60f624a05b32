"""Pages: views, forms, templates, components, catalogues of words."""
