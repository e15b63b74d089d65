"""The signac store: create, find, edit and end runs. The only importer of signac."""
