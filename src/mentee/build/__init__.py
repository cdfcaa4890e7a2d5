"""From a recipe to objects: examples, networks, teachers, the bound method, the optimizer."""
