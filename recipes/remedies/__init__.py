"""What each kind of remedy does to a model; `prescribe` applies them."""
