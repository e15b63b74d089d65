"""The research record: markdown files with YAML frontmatter under ``kb/research``."""
