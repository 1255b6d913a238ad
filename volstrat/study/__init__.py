"""A study is a file: where its subjects lie in a tree, which file plays which role, who read them."""
