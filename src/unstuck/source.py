"""The person's sources: immutable text by path, searched by place, edited through libcst so that layout stays."""
